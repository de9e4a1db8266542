"""How long each stage of an alert's life may take, from the stack's own settings.

Spec time is divided by the time scale. What computers need to pass a message on does not shrink with it: every bound
gets an allowance of real time on top.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.spec import AlertSpec, Route

# Each notification may be late by 10 % of its bound or one second, whichever is more.
_ALLOWANCE_S = 1.0
_ALLOWANCE_SHARE = 0.10


@dataclass(frozen=True, slots=True)
class AlertBounds:
    """Real seconds. Each ``*_s`` is the latest end of a stage, counted from the end of the stage before.

    ``condition_s``: the fault's effect → the rule's condition is true in Prometheus (it enters pending).
    ``earliest_firing_s``, ``firing_s``: pending → firing. ``notice_s``: firing → at the receiver.
    ``inactive_s``: the fault is gone → no longer firing. ``resolved_notice_s``: that → resolution at the receiver.
    """

    condition_s: float
    earliest_firing_s: float
    firing_s: float
    notice_s: float
    inactive_s: float
    resolved_notice_s: float

    @property
    def whole_s(self) -> float:
        """The latest a first notification can arrive after the fault's effect."""
        return self.condition_s + self.firing_s + self.notice_s

    def with_wait(self, wait_s: float) -> AlertBounds:
        """The bounds where either notification may come this much later."""
        return replace(self, notice_s=self.notice_s + wait_s, resolved_notice_s=self.resolved_notice_s + wait_s)


def alert_bounds(alert: AlertSpec, route: Route, *, time_scale: float, group_exists: bool = True) -> AlertBounds:
    """The bounds of one alert on the way to one route's receiver.

    ``group_exists``: the alert joins a notification group that has already been sent, and waits for the group's
    interval rather than for its first wait.
    """
    step_s = alert.evaluation_interval_s
    wait_s = max(route.group_wait_s, route.group_interval_s) if group_exists else route.group_wait_s
    drain_s = alert.lookback_s + alert.scrape_interval_s + step_s

    def real(spec_s: float) -> float:
        return with_allowance(spec_s / time_scale)

    return AlertBounds(
        condition_s=real(drain_s),
        earliest_firing_s=alert.for_s / time_scale,
        firing_s=real(alert.for_s + step_s),
        notice_s=real(wait_s),
        inactive_s=real(drain_s + alert.keep_firing_for_s),
        resolved_notice_s=real(route.group_interval_s),
    )


def with_allowance(bound_s: float) -> float:
    """A bound in real seconds, with what messages need to travel."""
    return bound_s + max(_ALLOWANCE_S, _ALLOWANCE_SHARE * bound_s)
