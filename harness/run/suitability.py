"""Whether an experiment can prove anything where it is to be run, at the time scale it is to be run at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.checks import incompressible_alerts
from harness.model import Experiment
from harness.spec import Spec

# A kubelet starts a container that ended again at once, then after 10 s, 20 s and so on, and no setting changes that
# (kubelet, backOffPeriod and MaxContainerBackOff). These are seconds of real time, whatever the time scale.
_FIRST_DELAY_S = 10.0
_LONGEST_DELAY_S = 300.0
# For noticing each end, and starting.
_RESTART_S = 2.0


def why_unsuitable(experiment: Experiment, spec: Spec, *, environment: str, time_scale: float) -> str | None:
    """Why the experiment would prove nothing; None when it can be run."""
    return _incompressible(experiment, spec, time_scale) or too_fast_here(
        experiment, spec, environment=environment, time_scale=time_scale
    )


def too_fast_here(experiment: Experiment, spec: Spec, *, environment: str, time_scale: float) -> str | None:
    """Why the cluster itself is too slow for the experiment at this time scale; None when it is not."""
    if environment == "local":
        return None
    kills = Counter(fault.target for fault in experiment.faults if fault.kind == "pod-kill")
    restarts_s = max((restart_delays_s(count) for count in kills.values()), default=0.0)
    expected = {str(each.params["alert"]) for each in experiment.expectations if each.kind == "alert"}
    for alert in (alert for name in sorted(expected) for alert in spec.alert(name)):
        if restarts_s and alert.lookback_s < restarts_s * time_scale:
            most = alert.lookback_s / restarts_s
            return (
                f"a kubelet takes {restarts_s:g} s over these restarts, longer than {alert.name} looks back at this "
                f"time scale; use --time-scale {int(most) or 1} or less"
            )
    return None


def restart_delays_s(restarts: int) -> float:
    """How long a kubelet takes, in seconds, before it has restarted a container this often; 0 for a single restart."""
    if restarts < 2:
        return 0.0
    waits_s = sum(min(_FIRST_DELAY_S * 2.0**number, _LONGEST_DELAY_S) for number in range(restarts - 1))
    return waits_s + restarts * _RESTART_S


def split(
    experiments: Sequence[Experiment], spec: Spec, *, environment: str, time_scale: float
) -> tuple[tuple[Experiment, ...], tuple[str, ...]]:
    """Those the environment is fast enough for, and why each of the others is left out."""
    suited, left_out = [], []
    for experiment in experiments:
        why = too_fast_here(experiment, spec, environment=environment, time_scale=time_scale)
        if why is None:
            suited.append(experiment)
        else:
            left_out.append(f"experiment {experiment.name}: {why}")
    return tuple(suited), tuple(left_out)


def _incompressible(experiment: Experiment, spec: Spec, time_scale: float) -> str | None:
    expected = {str(each.params["alert"]) for each in experiment.expectations if "alert" in each.params}
    for alert in incompressible_alerts(spec, time_scale=time_scale):
        if alert.name in expected:
            return f"{alert.name} needs --time-scale 1, since it {'; '.join(alert.incompressible)}"
    return None
