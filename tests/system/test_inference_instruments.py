"""The inference metrics by themselves, and the durations that pace them."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from harness.clock import wait_until
from harness.system.durations import parse_duration, real_s
from harness.system.telemetry.inference import InferenceInstruments

# Names, types and labels as the specification fixes them.
METRICS = {
    "inference_requests": ("counter", {"model_name", "status"}),
    "inference_request_duration_seconds": ("histogram", {"model_name"}),
    "inference_tokens_generated": ("counter", {"model_name"}),
    "inference_active_connections": ("gauge", set()),
    "inference_cpu_usage_percent": ("gauge", set()),
    "inference_memory_usage_bytes": ("gauge", set()),
    "model_cache_hits": ("counter", {"model_name"}),
    "model_cache_misses": ("counter", {"model_name"}),
    "model_accuracy": ("gauge", {"model_name"}),
}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def instruments(registry: CollectorRegistry) -> InferenceInstruments:
    return InferenceInstruments(registry=registry, models=["m"])


def test_names_types_and_labels_are_the_specified_ones(
    registry: CollectorRegistry, instruments: InferenceInstruments
) -> None:
    instruments.accuracy("m", 1)
    families = {family.name: family for family in registry.collect()}
    found = {
        name: (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
        for name, family in families.items()
    }
    assert found == METRICS
    buckets = [
        sample.labels["le"]
        for sample in families["inference_request_duration_seconds"].samples
        if sample.name.endswith("_bucket")
    ]
    assert [float(bucket) for bucket in buckets] == [0.1, 0.5, 1, 2, 5, 10, 30, 60, float("inf")]


def test_accuracy_is_absent_until_there_is_one(registry: CollectorRegistry, instruments: InferenceInstruments) -> None:
    assert registry.get_sample_value("model_accuracy", {"model_name": "m"}) is None
    instruments.accuracy("m", 0.5)
    assert registry.get_sample_value("model_accuracy", {"model_name": "m"}) == 0.5
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError):
            instruments.accuracy("m", share)


def test_a_request_is_counted_once_as_success_or_error(
    registry: CollectorRegistry, instruments: InferenceInstruments
) -> None:
    with instruments.request("m") as request:
        assert registry.get_sample_value("inference_active_connections") == 1
        request.generated(2)
        request.generated(3)
    with instruments.request("m") as request:
        request.failed()
    with pytest.raises(KeyError), instruments.request("m"):
        raise KeyError
    with pytest.raises(asyncio.CancelledError), instruments.request("m"):
        raise asyncio.CancelledError
    counts = instruments.counts("m")
    assert (counts.successes, counts.errors, counts.inferences) == (1, 3, 1)
    assert registry.get_sample_value("inference_active_connections") == 0
    assert registry.get_sample_value("inference_tokens_generated_total", {"model_name": "m"}) == 5
    assert registry.get_sample_value("inference_request_duration_seconds_count", {"model_name": "m"}) == 4


def test_an_answer_from_the_cache_is_a_request_but_no_inference(instruments: InferenceInstruments) -> None:
    with instruments.request("m") as request:
        request.cache_hit()
    with instruments.request("m") as request:
        request.cache_miss()
    counts = instruments.counts("m")
    assert (counts.successes, counts.cache_hits, counts.cache_misses, counts.inferences) == (2, 1, 1, 1)


def test_a_model_that_was_not_declared_has_no_counts(instruments: InferenceInstruments) -> None:
    with pytest.raises(KeyError, match="not declared"):
        instruments.counts("other")


def test_usage_is_there_from_the_start_and_sampled_again(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIME_SCALE", "1000")
    with InferenceInstruments(registry=registry):
        memory = registry.get_sample_value("inference_memory_usage_bytes")
        assert memory is not None
        assert memory > 1_000_000
        assert (registry.get_sample_value("inference_cpu_usage_percent") or 0) > 0
        more = bytearray(b"x" * 60_000_000)
        wait_until(
            lambda: (registry.get_sample_value("inference_memory_usage_bytes") or 0) > memory + 40_000_000,
            what="the next sample",
            timeout_s=5,
        )
        del more


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("500ms", 0.5), ("0", 0), ("1d", 86400)]
)
def test_a_duration_is_read_as_prometheus_does(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "-5s", "1.5s", "30s5m", "30 s", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_real_time_is_spec_time_by_the_scale_but_no_less_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIME_SCALE", raising=False)
    assert real_s(30) == 30
    monkeypatch.setenv("TIME_SCALE", "60")
    assert real_s(30) == 0.5
    assert real_s(5, at_least_s=0.25) == 0.25
    for wrong in ("0", "-1", "fast", "nan", "inf"):
        monkeypatch.setenv("TIME_SCALE", wrong)
        with pytest.raises(ValueError, match="TIME_SCALE"):
            real_s(30)
