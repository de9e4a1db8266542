"""The service's counters under the names Triton's inference server gives them, as Prometheus text."""

from __future__ import annotations

from collections.abc import Mapping

from harness.system.telemetry.inference import Counts

# Triton's counters carry no ``_total``, which the client library would add: hence written here.
# Source: docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/user_guide/metrics.html
_COUNTERS = (
    ("nv_inference_request_success", "Requests answered."),
    ("nv_inference_request_failure", "Requests that failed."),
    ("nv_inference_count", "Inferences the model made; answers from the cache are none."),
    ("nv_inference_exec_count", "Executions of the model; each is of one inference, for nothing is batched."),
    ("nv_inference_request_duration_us", "Time from taking requests to their answers, added up."),
    ("nv_cache_num_hits_per_model", "Requests answered from the cache."),
    ("nv_cache_num_misses_per_model", "Requests the model had to answer."),
)


def render(counts: Mapping[tuple[str, str], Counts]) -> str:
    """The text of a scrape; ``counts`` by model name and version."""
    lines = []
    figures = {labels: _figures(of_model) for labels, of_model in counts.items()}
    for name, text in _COUNTERS:
        lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
        lines += [
            f'{name}{{model="{_escaped(model)}",version="{_escaped(version)}"}} {of_model[name]:.0f}'
            for (model, version), of_model in figures.items()
        ]
    return "\n".join(lines) + "\n"


def _figures(counts: Counts) -> dict[str, float]:
    return {
        "nv_inference_request_success": counts.successes,
        "nv_inference_request_failure": counts.errors,
        "nv_inference_count": counts.inferences,
        "nv_inference_exec_count": counts.inferences,
        "nv_inference_request_duration_us": counts.duration_s * 1e6,
        "nv_cache_num_hits_per_model": counts.cache_hits,
        "nv_cache_num_misses_per_model": counts.cache_misses,
    }


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
