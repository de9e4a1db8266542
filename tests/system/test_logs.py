"""Structured logs: each call is exactly one JSON line, and no call raises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from harness.system.telemetry.logs import configure_logs

_START = """
import logging, sys, threading, pathlib, datetime, warnings, enum
import structlog
from harness.system.telemetry.logs import configure_logs, get_logger
configure_logs("demo")
log = get_logger()
"""


def lines_of(program: str, **environment: str) -> list[dict[str, Any]]:
    """The lines a program logs; it runs by itself, because logging is set up once for a whole process."""
    done = subprocess.run(
        [sys.executable, "-c", _START + program],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == b"", done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def test_a_line_has_the_fields_of_the_specification_and_the_callers() -> None:
    (line,) = lines_of("get_logger(pod='a').warning('slow', latency_s=0.5, parts=[1, {'b': None}])")
    assert list(line)[:4] == ["timestamp", "service", "level", "message"]
    assert line["timestamp"].endswith("Z")
    assert line["timestamp"][10] == "T"
    del line["timestamp"]
    assert line == {
        "service": "demo",
        "level": "warning",
        "message": "slow",
        "pod": "a",
        "latency_s": 0.5,
        "parts": [1, {"b": None}],
    }


def test_the_level_decides_what_is_written() -> None:
    lines = lines_of("log.debug('no'); configure_logs('demo', 'debug'); log.debug('yes')")
    assert [line["message"] for line in lines] == ["yes"]
    with pytest.raises(ValueError, match="loud"):
        configure_logs("demo", "loud")


def test_the_standard_library_logs_the_same_way() -> None:
    (line,) = lines_of("logging.getLogger('uvicorn.error').info('port %d', 80, extra={'a': 1, 'color_message': 'x'})")
    assert (line["message"], line["level"], line["a"]) == ("port 80", "info", 1)
    assert "color_message" not in line


@pytest.mark.parametrize(
    "call",
    [
        "log.exception('failed')",
        "log.error('failed', exc_info=True)",
        "log.error('failed', exc_info=error)",
        "logging.exception('failed')",
    ],
)
def test_an_error_comes_with_its_exception(call: str) -> None:
    (line,) = lines_of(f"try:\n  1 / 0\nexcept ZeroDivisionError as error:\n  {call}")
    assert (line["level"], line["exception"], line["error_type"]) == ("error", "division by zero", "ZeroDivisionError")
    assert line["traceback"].startswith("Traceback (most recent call last):\n")


def test_without_an_exception_there_are_no_error_fields() -> None:
    (line,) = lines_of("log.error('failed', exc_info=True)")
    assert not {"exception", "error_type", "traceback"} & set(line)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("log.info('100% of %s')", {"message": "100% of %s"}),
        ("log.info('50% done', 'x')", {"message": "50% done", "arguments": ["x"]}),
        ("log.info('%d', 'x')", {"message": "%d", "arguments": ["x"]}),
        ("logging.info('%d %d', 1)", {"message": "%d %d", "arguments": [1]}),
        ("logging.info('%(a)s', {'a': 1})", {"message": "1"}),
        ("log.info('%(a)s', {'a': 1})", {"message": "1"}),
        ("log.info('a\\nb\\u2028c\\x85d')", {"message": "a\nb\u2028c\x85d"}),
        ("log.info('a\\nb', **{'x\\u2028': '\\r\\u2029'})", {"message": "a\nb", "x\u2028": "\r\u2029"}),
        ("log.info('\\udc80', **{'\\udc81': 1})", {"message": "\\udc80", "\\udc81": 1}),
        ("log.info(None)", {"message": ""}),
        ("log.info({'a': 1})", {"message": "{'a': 1}"}),
        ("log.info('x', a=float('nan'), b=float('inf'))", {"a": "nan", "b": "inf"}),
        ("log.info('x', a=10**5000, b=2**63, c=-2**63)", {"b": "0x8000000000000000", "c": -(2**63)}),
        ("log.info('x', a=pathlib.Path('/m'), b=datetime.date(2026, 1, 2))", {"a": "/m", "b": "2026-01-02"}),
        ("import numpy; log.info('x', a=numpy.int64(3), b=numpy.float32(0.5))", {"a": 3, "b": 0.5}),
        (
            "log.info('x', service='a', level='b', message='c', timestamp='d', _id='e')",
            {
                "service": "demo",
                "level": "info",
                "message": "x",
                "field_service": "a",
                "field_level": "b",
                "field_message": "c",
                "field_timestamp": "d",
                "field__id": "e",
            },
        ),
        ("loop = []; loop.append(loop); log.info('x', a=loop)", {"message": "x"}),
        ("log.info('x', exc_info=(1, 2))", {"message": "x"}),
    ],
)
def test_whatever_is_logged_becomes_one_line(call: str, expected: dict[str, Any]) -> None:
    (line,) = lines_of(call)
    assert {key: line[key] for key in expected} == expected


def test_a_value_that_cannot_be_shown_does_not_cost_the_line() -> None:
    (line, error) = lines_of(
        "class Broken(Exception):\n"
        "  def __repr__(self): raise RuntimeError('no')\n"
        "  __str__ = __repr__\n"
        "log.info('x', a=Broken(), b={Broken(): 1})\n"
        "log.error('%s', Broken(), exc_info=Broken())\n"
    )
    assert line["a"] == "<Broken that cannot be shown: RuntimeError>"
    assert line["b"] == {"<Broken that cannot be shown: RuntimeError>": 1}
    assert (error["message"], error["error_type"]) == ("%s", "Broken")


def test_an_uncaught_exception_is_a_line_too() -> None:
    lines = lines_of(
        "def fail(): raise KeyError('k')\n"
        "thread = threading.Thread(target=fail, name='worker'); thread.start(); thread.join()\n"
        "warnings.warn('old')\n"
        "fail()\n"
    )
    assert [(line["level"], line.get("thread")) for line in lines] == [
        ("error", "worker"),
        ("warning", None),
        ("critical", None),
    ]
    assert lines[0]["error_type"] == "KeyError"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_output_s_encoding_loses_nothing(encoding: str) -> None:
    (line,) = lines_of("log.info('模型 ready')", PYTHONIOENCODING=encoding)
    assert line["message"] == "模型 ready"


def test_threads_do_not_mix_their_lines() -> None:
    lines = lines_of(
        "def talk(number):\n"
        "  for _ in range(50): log.info('x' * 9000, number=number)\n"
        "threads = [threading.Thread(target=talk, args=(n,)) for n in range(4)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
    )
    assert sorted(line["number"] for line in lines) == sorted([0, 1, 2, 3] * 50)
