"""nvidia-smi's words, and the exporter held against them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import requests

from benchmarks.gpu.__main__ import BEGIN, END, agreement, exporter, report, write
from benchmarks.gpu.agreement import TOLERANCES, Comparison, compare
from benchmarks.gpu.nvidia_smi import FIELDS, Readings, parse, query
from harness import gpu

# As drivers 535 to 570 print it: a data centre card, one in MIG mode, a consumer card without a power sensor.
TWO_GPUS = "0, 41, 118.32, 4573, 81559, 37, 12\n1, 39, 71.05, 14, 81559, [N/A], [N/A]\n"
WITHOUT_POWER = "0, 52, [Not Supported], 300, 8192, 3, 1\n"
MIB = 2.0**20


def test_figures_come_in_the_units_of_the_metrics() -> None:
    assert parse(TWO_GPUS)["0"] == {
        "gpu_temperature_celsius": 41.0,
        "gpu_power_watts": 118.32,
        "gpu_memory_used_bytes": 4573 * MIB,
        "gpu_memory_total_bytes": 81559 * MIB,
        "gpu_utilization_percent": 37.0,
        "gpu_memory_utilization_percent": 12.0,
    }


def test_what_a_device_does_not_tell_is_absent_and_never_zero() -> None:
    mig = parse(TWO_GPUS)["1"]
    assert mig["gpu_utilization_percent"] is mig["gpu_memory_utilization_percent"] is None
    assert parse(WITHOUT_POWER)["0"]["gpu_power_watts"] is None
    assert parse("0, [GPU is lost], [Unknown Error], [N/A], N/A, [N/A], [N/A]\n")["0"] == dict.fromkeys(FIELDS)


@pytest.mark.parametrize(
    "text",
    [
        "No devices were found\n",
        "0, 41\n",
        "0, warm, 118, 1, 1, 1, 1\n",
        "0, nan, 118, 1, 1, 1, 1\n",
        "x, 1, 1, 1, 1, 1, 1\n",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(RuntimeError, match="nvidia-smi: got the"):
        parse(text)


def test_a_program_that_is_missing_or_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no-such-program"):
        query(program="no-such-program")
    failing = script(tmp_path, "echo 'NVIDIA-SMI has failed' >&2; exit 9")
    with pytest.raises(RuntimeError, match="status 9: NVIDIA-SMI has failed"):
        query(program=str(failing))


@pytest.mark.parametrize("metric", list(FIELDS))
def test_a_figure_agrees_up_to_its_tolerance_beyond_what_the_readings_span(metric: str) -> None:
    before, after = 1000.0 * MIB, 1100.0 * MIB
    least, share = TOLERANCES[metric]
    within = (after + least) / (1 - share)
    assert Comparison("0", metric, before - least, before, after).agrees
    assert Comparison("0", metric, within * 0.999_999_9, before, after).agrees
    assert Comparison("0", metric, within * 1.01 + 1, before, after).agrees is False
    assert Comparison("0", metric, before * 0.9 - 2 * least, before, after).agrees is False


def test_a_figure_that_one_side_lacks_disagrees_and_one_that_both_lack_proves_nothing() -> None:
    assert Comparison("0", "gpu_power_watts", 70.0, None, None).agrees is False
    assert Comparison("0", "gpu_power_watts", None, 70.0, 70.0).agrees is False
    assert Comparison("0", "gpu_power_watts", None, None, None).agrees is None
    assert Comparison("0", "gpu_power_watts", 70.0, None, 70.0).agrees


def test_a_device_that_only_one_side_knows_disagrees() -> None:
    told = {(each.gpu_id, each.metric): each.agrees for each in compare(lambda: "", lambda: parse(TWO_GPUS))}
    assert told["0", "gpu_temperature_celsius"] is False
    assert told["1", "gpu_utilization_percent"] is None


def test_the_report_says_what_holds_what_does_not_and_what_was_not_measured() -> None:
    good = Comparison("0", "gpu_power_watts", 70.0, 70.0, 71.0)
    bad = Comparison("0", "gpu_temperature_celsius", 50.0, 40.0, 41.0)
    none = Comparison("0", "gpu_utilization_percent", None, None, None)
    lines = report([*agreement([good, bad, none])]).splitlines()[2:]
    assert lines == [
        "| GPU 0: gpu_power_watts | 1 of 1 readings agree, the last 70 | yes |",
        "| GPU 0: gpu_temperature_celsius | 1 of 1 readings disagree, the first: exporter 50.0, nvidia-smi 40.0 before "
        "and 41.0 after | NO |",
        "| GPU 0: gpu_utilization_percent | neither has the figure | – |",
    ]


def test_figures_go_between_the_documents_marks(tmp_path: Path) -> None:
    document = tmp_path / "gpu.md"
    document.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    write(document, "new")
    assert document.read_text() == f"above\n{BEGIN}\nnew\n{END}\nbelow\n"
    document.write_text("no marks")
    with pytest.raises(ValueError, match="has no"):
        write(document, "new")
    assert document.read_text() == "no marks"


def test_the_exporter_on_a_device_is_held_against_a_program_that_tells_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpu.STATE_VARIABLE, str(tmp_path / "device"))
    gpu.create(tmp_path / "device", time_scale=1.0)
    with exporter() as url:
        text = requests.get(f"{url}/metrics", timeout=5).text
        figures = exported(text)
        same = script(
            tmp_path, f"echo '{', '.join(['0', *(f'{figures[each] / FIELDS[each][1]:.2f}' for each in FIELDS)])}'"
        )

        def smi() -> Readings:
            return query(program=str(same))

        assert {each.metric: each.agrees for each in compare(lambda: text, smi)} == dict.fromkeys(FIELDS, True)
        hotter = text.replace('gpu_temperature_celsius{gpu_id="0"} ', 'gpu_temperature_celsius{gpu_id="0"} 9')
        told = {each.metric: each.agrees for each in compare(lambda: hotter, smi)}
        assert told.pop("gpu_temperature_celsius") is False
        assert set(told.values()) == {True}


def exported(text: str) -> dict[str, float]:
    lines = (line.split("{") for line in text.splitlines() if line.startswith("gpu_") and "{" in line)
    return {name: float(rest.rsplit(" ", 1)[1]) for name, rest in lines if name in FIELDS}


def script(directory: Path, body: str) -> Path:
    path = directory / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
