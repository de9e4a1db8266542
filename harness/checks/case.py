"""One expectation of an alert held against one window, and how its stages are told as results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.checks.peers import peers_wait_s
from harness.checks.window import AlertHistory, StateChange, Window, alert_histories
from harness.model import CheckResult, Expectation, Verdict
from harness.spec import Spec

# An evaluation's time and a fault's time come from two clocks of one machine; rules are evaluated to the millisecond.
CLOCK_SLACK_S = 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """What every stage of the check needs."""

    expectation: Expectation
    window: Window
    spec: Spec
    time_scale: float

    @property
    def alert(self) -> str:
        """The expected alert's name."""
        return str(self.expectation.params["alert"])

    def histories(self) -> list[AlertHistory]:
        """The instances of the alert that carry the labels the expectation names."""
        return [each for each in alert_histories(self.window.events) if is_expected(self.expectation, each.labels)]

    def firing(self, history: AlertHistory) -> StateChange | None:
        """The instance's first change to firing within the window."""
        return history.first("firing", since_s=self.window.begin_s, until_s=self.window.end_s)

    def peers_wait_s(self, until_s: float) -> float:
        """Real seconds for which a notification due at this time may wait for Alertmanagers that were disturbed."""
        before = (event for event in self.window.events if self.window.begin_s <= event.t_s <= until_s)
        return peers_wait_s(before, self.spec, time_scale=self.time_scale)

    def within(self, stage: str, took_s: float, limit_s: float, what: str, evidence: tuple[int, ...]) -> CheckResult:
        """PASS up to and at the limit, FAIL above it, UNKNOWN for a time that is no number."""
        if not math.isfinite(took_s):
            return self.result(stage, Verdict.UNKNOWN, None, limit_s, f"the record holds no time {what}", evidence)
        verdict = Verdict.PASS if took_s <= limit_s else Verdict.FAIL
        late = "" if verdict is Verdict.PASS else ", too late"
        return self.result(stage, verdict, took_s, limit_s, f"{took_s:.2f} s {what}{late}", evidence)

    def result(
        self,
        stage: str,
        verdict: Verdict,
        measured: float | None,
        limit: float | None,
        summary: str,
        evidence: tuple[int, ...],
    ) -> CheckResult:
        """One stage's result, in seconds."""
        name = f"alert {self.alert}: {stage}"
        rounded = None if measured is None else round(measured, 3)
        return CheckResult(self.window.name, name, verdict, rounded, limit, "s", summary, tuple(sorted(set(evidence))))


def is_expected(expectation: Expectation, labels: Mapping[str, str]) -> bool:
    """Whether an alert instance is one the expectation speaks of: its name, and every label it names."""
    wanted: Mapping[str, str] = expectation.params.get("labels") or {}
    return labels.get("alertname") == expectation.params["alert"] and wanted.items() <= labels.items()


def labels_text(labels: Mapping[str, str]) -> str:
    """Labels as PromQL writes them, without the alert's name."""
    shown = {name: value for name, value in labels.items() if name != "alertname"}
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(shown.items())) + "}"
