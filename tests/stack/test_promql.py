"""Durations in PromQL shrink, nothing else changes, and what cannot shrink is named."""

import string

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import format_duration, parse_duration
from harness.stack import compress_promql
from harness.stack.promql import (
    check_promql,
    comparison,
    counts_over_s,
    lookback_s,
    metrics_of,
    selections_of,
    thresholds,
)
from harness.stack.promql_clock import incompressible, is_constant


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("rate(x[5m])", "rate(x[5s])"),
        ("x offset 1h", "x offset 1m"),
        ("x OFFSET 1h", "x OFFSET 1m"),
        ("rate(x[5m] offset -1h30m)", "rate(x[5s] offset -1m30s)"),
        ("x offset - 1h", "x offset - 1m"),
        ("max_over_time(rate(x[5m])[30m:1m] offset 1h)", "max_over_time(rate(x[5s])[30s:1s] offset 1m)"),
        ("max_over_time(rate(x[5m])[30m:])", "max_over_time(rate(x[5s])[30s:])"),
        ("max_over_time((a - b offset 10m)[1h:5m])", "max_over_time((a - b offset 10s)[1m:5s])"),
        ("rate(x[ 5m ])  >\n 1 # [5m] offset 1h", "rate(x[ 5s ])  >\n 1 # [5m] offset 1h"),
        ("rate(x[1ms])", "rate(x[1ms])"),
        ("rate(x[1s])", "rate(x[17ms])"),
        ("rate(x[300])", "rate(x[5s])"),
        ("x offset /* y */ 5m" if False else "x offset # why\n 1h", "x offset # why\n 1m"),
    ],
)
def test_durations_are_divided(before: str, after: str) -> None:
    assert compress_promql(before, 60) == after


@pytest.mark.parametrize(
    "expr",
    [
        'x{a="[5m]", offset="5m", b=~"offset 1h", c=\'[1h]\', d=`[2h]`} > 5',
        "offset_total + job:x:rate5m > 300",
        "sum by (offset) (x) - 5",
        'label_replace(x, "a", "[5m] offset 1h", "b", "\\"(.*)[5m]")',
        "histogram_quantile(0.95, sum by (le) (x)) > 2e3",
        "x # offset 5m",
        "vector(1)",
    ],
)
def test_what_is_no_duration_stays_byte_for_byte(expr: str) -> None:
    assert compress_promql(expr, 60) == expr


def test_a_scale_of_one_changes_nothing() -> None:
    assert compress_promql("rate(x[90s] offset 120s)", 1) == "rate(x[90s] offset 120s)"


def test_text_that_is_no_promql_is_refused_with_its_problem() -> None:
    with pytest.raises(ValueError, match="inside brackets"):
        compress_promql("rate(x[5m", 60)


_durations = st.integers(1, 10**8).map(lambda ms: format_duration(ms / 1000))
_names = st.text(string.ascii_lowercase + "_", min_size=1, max_size=6).map("m_{}_5m".format)
_leaves = st.tuples(_names, st.text(max_size=8)).map(
    lambda pair: '{}{{l="{}"}}'.format(pair[0], pair[1].replace("\\", "").replace('"', "").replace("\n", ""))
)
_vectors = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.tuples(_leaves, _durations, _durations).map(lambda t: f"rate({t[0]}[{t[1]}] offset -{t[2]})"),
        st.tuples(inner, _durations, _durations).map(lambda t: f"max_over_time(({t[0]})[{t[1]}:{t[2]}])"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]} / on (offset) ({t[1]}) # [1h]\n"),
    ),
    max_leaves=5,
)


@given(_vectors, st.sampled_from([2, 7, 60, 1000]))
def test_only_durations_change_whatever_the_expression(expr: str, scale: int) -> None:
    compressed = compress_promql(expr, scale)
    promql_parser.parse(compressed)
    expected = max(0.001, lookback_s(expr) / scale)
    assert lookback_s(compressed) == pytest.approx(expected, abs=0.02) or lookback_s(expr) == 0


@given(_durations, st.sampled_from([2, 60, 1000]))
def test_a_range_is_rounded_to_the_millisecond_and_never_zero(duration: str, scale: int) -> None:
    text = compress_promql(f"rate(x[{duration}])", scale).removeprefix("rate(x[").removesuffix("])")
    assert parse_duration(text) == pytest.approx(max(0.001, parse_duration(duration) / scale), abs=0.0006)


def test_a_raw_string_reads_no_escapes() -> None:
    assert compress_promql(r"rate(x{path=~`a\.b\"[1h]`}[5m]) > 1", 60) == r"rate(x{path=~`a\.b\"[1h]`}[5s]) > 1"
    assert selections_of("x{path=`\\n`}")[0].equal == {"path": "\\n"}
    with pytest.raises(ValueError, match="is not PromQL"):
        check_promql("x{path=`a}")


@pytest.mark.parametrize(
    ("expr", "constant"),
    [
        ("vector(1)", True),
        ("1 > bool 0", True),
        ('absent({job="api"})', False),
        ('{__name__=~"node_.*errors"} > 0', False),
        ("hour() >= 2 and hour() < 4", False),
        ("vector(time()) > 0", False),
    ],
)
def test_only_what_reads_neither_series_nor_the_clock_is_constant(expr: str, constant: bool) -> None:
    assert is_constant(expr) is constant


@pytest.mark.parametrize(
    ("expr", "reason"),
    [
        ("time() - x > 600", "compares time() with 600"),
        ("600 < (time() - x)", "compares time() with 600"),
        ("time() - timestamp(x) > y", "compares time() with y"),
        ("(time() - x) / 3600", "calculates time() / 3600"),
        ("vector(time()) - 60", "calculates time() - 60"),
        ("predict_linear(x[1h], 4 * 3600) < 0", "predicts 4 * 3600 s ahead with predict_linear()"),
        ("x and on () hour() > 8", "reads the calendar with hour()"),
        ("day_of_week(timestamp(x)) == 0", "reads the calendar with day_of_week()"),
        ("rate(x[5m] @ 1609746000)", "reads at a fixed time (@ 1609746000.000)"),
    ],
)
def test_seconds_outside_durations_are_named(expr: str, reason: str) -> None:
    assert reason in incompressible(expr)


@pytest.mark.parametrize(
    "expr",
    ["rate(x[5m]) > 600", "time() - x", "timestamp(x) - timestamp(y offset 5m)", "x unless y", "up == 0"],
)
def test_an_expression_without_such_seconds_is_compressible(expr: str) -> None:
    assert incompressible(expr) == ()


@pytest.mark.parametrize(
    ("expr", "seconds"),
    [
        ("x", 0),
        ("x offset 5m", 300),
        ("x offset -5m", 0),
        ("rate(x[5m])", 300),
        ("rate(x[5m] offset 1h)", 3900),
        ("max_over_time(rate(x[5m])[30m:1m] offset 1h)", 5700),
        ("rate(x[5m]) / rate(y[10m])", 600),
        ("vector(1)", 0),
    ],
)
def test_lookback_adds_up_along_a_branch_and_takes_the_furthest(expr: str, seconds: float) -> None:
    assert lookback_s(expr) == seconds


@pytest.mark.parametrize(
    ("expr", "seconds"),
    [
        ("changes(start[15m]) > 2", 900),
        ("increase(a[10m]) > 0 and rate(b[1h]) > 0", 600),
        ("sum_over_time(resets(a[5m])[30m:1m])", 2100),
        ("max_over_time(count(a)[30m:]) > count(a)", 0),
        ("a > 1", 0),
    ],
)
def test_counting_is_told_from_looking_back(expr: str, seconds: float) -> None:
    assert counts_over_s(expr) == seconds


def test_metrics_are_named_once_also_by_their_name_matcher() -> None:
    assert metrics_of('a / a{x="1"} + {__name__="b"} + sum(c)') == ("a", "b", "c")


@pytest.mark.parametrize(
    ("expr", "compared", "threshold"),
    [
        ("gpu_temperature_celsius > 80", "gpu_temperature_celsius", 80.0),
        ("(used / total) * 100 >= 9.05e1", "(used / total) * 100", 90.5),
        ("(deriv(training_loss[10m]) > -0.001)", "deriv(training_loss[10m])", -0.001),
        ("0.1 > free / size", "free / size", 0.1),
        ("free / size < 0.1 and readonly == 0", "free / size", 0.1),
        ("(a > 5) unless on (x) b", "a", 5.0),
        ("up == bool 0", "up", 0.0),
    ],
)
def test_what_is_compared_with_a_number_is_told_apart_from_it(expr: str, compared: str, threshold: float) -> None:
    found = comparison(expr)
    assert found is not None
    assert (" ".join(found[0].split()), found[1]) == (compared, threshold)


@pytest.mark.parametrize("expr", ["up", "a > b", "absent(up)", "vector(1)", "a > (b > 5)", "a + 5"])
def test_what_is_compared_with_no_number_has_no_threshold(expr: str) -> None:
    assert comparison(expr) is None


def test_every_number_that_something_is_compared_with_counts() -> None:
    assert thresholds("a > 5 and (3 < b) or c == d") == (5.0, 3.0)
    assert thresholds("a + 5") == ()
