"""Manifests → Stack → configuration: what a team's directory says, resolved as the Prometheus operator
resolves it.
"""

from harness.stack.alertmanager_rendering import render_alertmanager
from harness.stack.objects import (
    Container,
    EnvVar,
    HttpProbe,
    Mount,
    Rendered,
    ScrapeEndpoint,
    Service,
    ServicePort,
    Stack,
    Volume,
    Workload,
)
from harness.stack.prometheus_rendering import render_prometheus
from harness.stack.promql import compress_promql, thresholds
from harness.stack.reading import load_stack, load_stack_of

__all__ = [
    "Container",
    "EnvVar",
    "HttpProbe",
    "Mount",
    "Rendered",
    "ScrapeEndpoint",
    "Service",
    "ServicePort",
    "Stack",
    "Volume",
    "Workload",
    "compress_promql",
    "load_stack",
    "load_stack_of",
    "render_alertmanager",
    "render_prometheus",
    "thresholds",
]
