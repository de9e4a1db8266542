"""Alert rules → what the harness can guess of an experiment: which fault, on what, and who is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.spec import AlertSpec, Spec
from harness.stack import Stack, Workload, thresholds

# One restart is what a cluster is for; rules on restarts count several.
_KILLS = 3
_TODO = "TODO"


@dataclass(frozen=True, slots=True)
class Step:
    """One activity of the method: a function of ``harness.chaos`` and its arguments."""

    function: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """An experiment as far as it can be guessed. ``todo``: what a person must say; empty when it can be run as it is.

    ``because``: what the guess rests on. ``receiver`` is None where the routing tree leads nowhere in particular.
    """

    alert: str
    expr: str
    steps: tuple[Step, ...]
    because: str
    todo: tuple[str, ...]
    receiver: str | None
    allow: tuple[str, ...] = ()

    @property
    def faults(self) -> frozenset[str]:
        """The functions of the faults it puts in; none where a person must say."""
        return frozenset(step.function for step in self.steps) - {"hold", _TODO}


@dataclass(frozen=True, slots=True)
class _Guess:
    steps: tuple[Step, ...]
    because: str
    todo: tuple[str, ...] = ()


def draft_experiments(stack: Stack) -> tuple[Draft, ...]:
    """One for each rule in the stack's order; heartbeats, which always fire, need none.

    What another draft guesses the same fault for may fire beside it.
    """
    drafts = [_draft(alert, stack) for alert in stack.spec.alerts if not alert.is_heartbeat]
    return tuple(replace(draft, allow=tuple(_beside(draft, drafts))) for draft in drafts)


def _beside(draft: Draft, drafts: Sequence[Draft]) -> Iterator[str]:
    for name in dict.fromkeys(other.alert for other in drafts if other.faults & draft.faults):
        if name != draft.alert:
            yield name


def _draft(alert: AlertSpec, stack: Stack) -> Draft:
    found = next((guess for pattern, make in _GUESSES if _reads(alert, pattern) for guess in make(alert, stack)), None)
    if found is None:
        metrics = ", ".join(alert.metrics) or alert.expr
        found = _Guess(
            (Step(_TODO, {}),), f"nothing is known of {metrics}", (f"say how to make {metrics} cross the threshold",)
        )
    receiver, unsure = _receiver(alert, stack.spec)
    return Draft(alert.name, alert.expr, found.steps, found.because, (*found.todo, *unsure), receiver)


def _reads(alert: AlertSpec, pattern: str) -> bool:
    return any(re.search(pattern, metric, re.IGNORECASE) for metric in alert.metrics)


def _receiver(alert: AlertSpec, spec: Spec) -> tuple[str | None, tuple[str, ...]]:
    """Who is told, by the rule's own labels; a label that is a template is only known when it fires."""
    if spec.route is None:
        return None, ("the stack has no Alertmanager: nobody is told of this alert",)
    labels = {**spec.external_labels, **alert.labels, "alertname": alert.name}
    if any("{{" in value for value in labels.values()):
        return None, ()
    return spec.route.resolve(labels)[0].receiver.rpartition("/")[2], ()


def _temperature(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    limit = _limit(alert, 80.0)
    hot = min(120.0, limit + 6.0)
    yield _Guess((Step("lose_gpu_cooling", {"gpu": 0, "celsius": hot}),), f"above the threshold of {limit:g} °C")


def _gpu_memory(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    limit = _limit(alert, 0.9)
    share = limit / 100 if 1 < limit <= 100 else limit
    if 0 < share < 0.99:
        taken = min(0.99, round(share + (1 - share) / 2, 3))
        yield _Guess((Step("take_gpu_memory", {"gpu": 0, "fraction": taken}),), f"above the threshold of {share:.0%}")


def _throttling(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    yield _Guess((Step("throttle_gpu", {"gpu": 0, "clock_mhz": 90}),), "the rule is about clocks held down")


def _xid(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    yield _Guess((Step("raise_gpu_xid", {"gpu": 0, "code": 48}),), "the rule counts XIDs")


def _lost(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    yield _Guess((Step("lose_gpu", {"gpu": 0}),), "the rule is about devices that are gone")


def _filesystem(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    limit = _limit(alert, 0.1)
    share = limit / 100 if 1 < limit <= 100 else limit
    below = bool(re.search(r"<=?", alert.expr))
    percent = 100 * (1 - share / 2) if below else 100 * (share + (1 - share) / 2)
    found = [(workload, volume) for workload in _own(stack) for volume in workload.volumes if volume.size_bytes]
    if found and 0 < percent <= 100:
        workload, volume = found[0]
        arguments = {**_named(workload, stack), "volume": volume.name, "percent": round(percent, 1)}
        yield _Guess((Step("fill_volume", arguments),), f"{workload.name} has the size-limited volume {volume.name}")


def _restarts(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    target = _spoken_of(alert, stack)
    if target is not None:
        one = {"workload": target.pod_names()[0], "namespace": target.namespace}
        pause = Step("hold", {"at_least": "3m", "alerts": []})
        kills = max(_KILLS, min(10, int(_limit(alert, 0.0)) + 1))
        steps = [each for _ in range(kills) for each in (Step("kill_pod", one), pause)][:-1]
        yield _Guess(tuple(steps), f"{kills} restarts of one pod of {target.name}")


def _absence(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    target = _spoken_of(alert, stack)
    if target is not None:
        yield _Guess((Step("hang_pod", _named(target, stack)),), f"a pod of {target.name} that answers nothing")


def _learning(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    """A loss that should fall stands still without learning; one that should stay low explodes with too much of it."""
    rate = 0.0 if re.search(r"deriv|delta|changes|rate\(", alert.expr) else 1000.0
    for workload in _own(stack):
        for volume in workload.volumes:
            for name, text in volume.files.items():
                if name.endswith((".yaml", ".yml")) and re.search(r"^learning_rate:", text, re.MULTILINE):
                    arguments = {**_named(workload, stack), "volume": volume.name, "file": name}
                    arguments["values"] = {"learning_rate": rate}
                    yield _Guess((Step("change_config", arguments),), f"{name} of {workload.name} sets its rate")


def _latency(alert: AlertSpec, stack: Stack) -> Iterator[_Guess]:
    uses_gpu = any("nvidia.com/gpu" in container.limits for each in _own(stack) for container in each.containers)
    todo = () if uses_gpu else ("no workload asks for a GPU: say what else makes it slow",)
    yield _Guess((Step("throttle_gpu", {"gpu": 0, "clock_mhz": 90}),), "a slow GPU makes answers slow", todo)


def _own(stack: Stack) -> Sequence[Workload]:
    return [workload for workload in stack.workloads if not workload.operated]


def _named(workload: Workload, stack: Stack) -> dict[str, Any]:
    """The workload by name, and by namespace where the name alone would not do."""
    same = [each for each in stack.workloads if each.name == workload.name]
    return {"workload": workload.name, **({"namespace": workload.namespace} if len(same) > 1 else {})}


def _spoken_of(alert: AlertSpec, stack: Stack) -> Workload | None:
    """The workload that the expression's own strings name, else the first of the stack's own that serves something."""
    words = re.findall(r'"([^"]*)"', alert.expr)
    serving = [workload for workload in _own(stack) if any(container.ports for container in workload.containers)]
    for workload in serving:
        names = {workload.name, *workload.labels.values()}
        if any(word in names for word in words):
            return workload
    return serving[0] if serving else None


def _limit(alert: AlertSpec, otherwise: float) -> float:
    """The number the rule compares with; where it compares with several, the largest: it is the hardest to cross."""
    return max(thresholds(alert.expr), default=otherwise)


_GUESSES: tuple[tuple[str, Callable[[AlertSpec, Stack], Iterator[_Guess]]], ...] = (
    (r"xid", _xid),
    (r"nvml_up|gpu_lost|gpu_count|device_count", _lost),
    (r"gpu.*temp|DCGM_FI_DEV_(GPU|MEMORY)_TEMP", _temperature),
    (r"gpu.*(memory|mem)_?.*(used|util|free)|DCGM_FI_DEV_FB_", _gpu_memory),
    (r"throttle|DCGM_FI_DEV_.*(CLOCK|VIOLATION)|clock", _throttling),
    (r"node_filesystem|kubelet_volume_stats|disk_(used|free|avail)", _filesystem),
    (r"restart|process_start_time", _restarts),
    (r"^up$|probe_success|scrape_|kube_pod_status|replicas_(un)?available|kube_.*_available", _absence),
    (r"training_loss$|_loss$", _learning),
    (r"duration|latency|seconds_bucket|queue", _latency),
)
