"""How often pods were restarted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.checks.window import Window
from harness.model import CheckResult, Event, Expectation, Verdict


def check_restarts(expectation: Expectation, window: Window) -> CheckResult:
    """That the workload's pods were started again exactly as often as expected, and run at the end.

    UNKNOWN while the environment could not be asked, or when nothing at all was recorded.
    """
    namespace, workload = expectation.params.get("namespace"), str(expectation.params["workload"])
    expected = int(expectation.params["count"])
    about = [event for event in window.of_kind("pod") if _speaks_of(expectation, event)]
    events = [event for event in about if not _of_its_work(event)]
    started = _restarts(events)
    last = {(*_pod(event), event.data.get("container")): event for event in events}
    down = sorted({event.name for event in last.values() if event.data["status"] == "exited"})
    gaps = list(window.of_kind("gap", "pods"))
    verdict = Verdict.PASS if started == expected and not down else Verdict.FAIL
    summary = f"restarted {started} times, expected {expected}"
    if down:
        summary += f"; not running at the end: {', '.join(down)}"
    if gaps:
        verdict, summary = Verdict.UNKNOWN, f"{summary}; pods could not be listed for a while"
    elif not events and not any(window.of_kind("evaluation")):
        verdict, summary = Verdict.UNKNOWN, "nothing was recorded at all"
    evidence = tuple(event.seq for event in (*events, *gaps[:1]))
    check = f"pod {f'{namespace}/' if namespace else ''}{workload}: restarted"
    return CheckResult(window.name, check, verdict, started, expected, "restarts", summary, evidence)


def _restarts(events: Sequence[Event]) -> int:
    """How often pods were started; one whose containers all started anew was started once."""
    counts = Counter((_pod(e), e.data.get("container")) for e in events if e.data["status"] == "started")
    pods = {pod for pod, _ in counts}
    return sum(max(count for (pod, _), count in counts.items() if pod == each) for each in pods)


def check_undisturbed(window: Window, *, expected: Sequence[Expectation] = (), disturbed: bool = True) -> CheckResult:
    """That no pod was started or ended that no fault was aimed at and no expectation speaks of; a Job that does its
    work and is done is no change.

    Where a fault is in it may be the fault's consequence, which somebody has to say: UNKNOWN. Without one it is a FAIL.
    """
    faults = [event for event in window.of_kind("fault") if event.data.get("target")]
    events = [
        event
        for event in window.of_kind("pod")
        if not any(_is_aimed_at(fault, event) for fault in faults)
        and not any(_speaks_of(each, event) for each in expected)
        and not _of_its_work(event)
    ]
    named = sorted({f"{event.name} {event.data['status']}" for event in events})
    evidence = tuple(event.seq for event in events)[:20]
    if not events and (list(window.of_kind("gap", "pods")) or not any(window.of_kind("evaluation"))):
        verdict, summary = Verdict.UNKNOWN, "nothing shows that the pods were watched throughout"
    elif not events:
        verdict, summary = Verdict.PASS, "no pod was started or ended that nobody disturbed"
    else:
        verdict = Verdict.UNKNOWN if disturbed else Verdict.FAIL
        summary = f"though nothing was aimed at them and no `restarts` expects it: {', '.join(named)}"
    return CheckResult(window.name, "pods: undisturbed", verdict, len(events), 0, "changes", summary, evidence)


def _speaks_of(expectation: Expectation, event: Event) -> bool:
    """Whether an expectation of restarts is about the pod of this event."""
    here = expectation.params.get("namespace") in (None, event.data.get("namespace"))
    return here and expectation.params["workload"] in (event.data["workload"], event.name)


def _is_aimed_at(fault: Event, event: Event) -> bool:
    """Whether the target of a fault is the pod of this event; another namespace may have one of the same name."""
    return fault.data["target"] == event.name and fault.data.get("namespace") in (None, event.data.get("namespace"))


def _pod(event: Event) -> tuple[str, str]:
    return str(event.data.get("namespace")), event.name


def _of_its_work(event: Event) -> bool:
    """Whether a pod whose work has an end began it, or was done with it.

    What a new pod takes the place of has an event of its own, where that was not done.
    """
    if not event.data.get("completes"):
        return False
    return bool(event.data["first"] if event.data["status"] == "started" else event.data["exit_code"] == 0)
