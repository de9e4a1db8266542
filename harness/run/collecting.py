"""What of a running stack goes on record: all that is looked at while it runs, and what its rules saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from harness.evidence.deliveries import DeliveryCollector
from harness.evidence.notices import NoticeCollector
from harness.evidence.panels import PanelCollector
from harness.evidence.prometheus import PrometheusCollector
from harness.evidence.recorder import Recorder
from harness.evidence.samples import SampleReader
from harness.evidence.timeline import Timeline
from harness.run.running import Running
from harness.spec import Spec
from harness.stack import compress_promql

# Prometheus keeps every evaluation and a receiver every notification, so nothing in between is missed.
RECORDING_PERIOD_S = 0.5
# What nobody waits for: a count that only grows, asked of each Alertmanager.
_COUNTING_PERIOD_S = 2.0


def make_recorder(environment: Running, spec: Spec, timeline: Timeline, *, further: Sequence[Any]) -> Recorder:
    """A recorder, not started, of the whole environment, and with ``further`` collectors of what is beside it."""
    state, clock = environment.state, timeline.clock
    often: list[Any] = [
        PrometheusCollector(state.prometheus, timeline.record, clock, RECORDING_PERIOD_S, spec.external_labels),
        *(NoticeCollector(url, timeline.record, clock) for url in state.receivers),
        PanelCollector(state.prometheus, timeline.record, _panel_queries(spec, state.time_scale)),
        *further,
    ]
    seldom = [DeliveryCollector(url, timeline.record) for url in state.alertmanagers]
    periods = [(RECORDING_PERIOD_S, often), (_COUNTING_PERIOD_S, seldom)]
    return Recorder([(each, period_s) for period_s, some in periods for each in some], clock=clock)


def sample_rules(environment: Running, spec: Spec, timeline: Timeline, *, alerts: Iterable[str], from_s: float) -> None:
    """Records what the rules of these alerts compared with their thresholds, from then until now."""
    state, now_s = environment.state, timeline.clock.now_s()
    reader = SampleReader(state.prometheus, timeline.record, timeline.clock)
    for rule in (rule for name in dict.fromkeys(alerts) for rule in spec.alert(name) if rule.compared is not None):
        reader.read(rule.name, compress_promql(str(rule.compared), state.time_scale), from_s=from_s, to_s=now_s)


def _panel_queries(spec: Spec, time_scale: float) -> list[tuple[str, str]]:
    """Each query of each panel that can be asked, in the time the running Prometheus knows."""
    return [
        (panel.name, compress_promql(query, time_scale))
        for panel in spec.panels
        if not panel.problem
        for query in dict.fromkeys(panel.queries)
    ]
