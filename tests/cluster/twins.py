"""For each experiment that needs a cluster one way in which real stacks are broken, and that it must find.

``TWINS`` maps an experiment's name to a function that breaks a copy of the stack: a directory that holds the manifests
of ``fixtures/stack`` and ``fixtures/cluster``, side by side or each in a directory of its own. Each breaks something
else, so that all may be broken at once and run one after another on one cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

Sabotage = Callable[[Path], None]


def replace_in(stack: Path, name: str, old: str, new: str) -> None:
    """Changes a file of the copy, wherever in it the file lies."""
    (path,) = sorted(stack.rglob(name))
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{name} no longer holds {old!r}: the sabotage would do nothing"
    path.write_text(text.replace(old, new), encoding="utf-8")


def text_changed(name: str, old: str, new: str) -> Sabotage:
    """A sabotage that changes a file's text."""
    return lambda stack: replace_in(stack, name, old, new)


_RULES = "cluster-rules.yaml"

TWINS: Mapping[str, Sabotage] = {
    # One that is enough as long as it lives.
    "alertmanager-lost": text_changed("alertmanager.yaml", "replicas: 3", "replicas: 1"),
    # A job that is called otherwise here: the rule is on nothing.
    "node-not-ready": text_changed(_RULES, 'min_over_time(up{job="kubelet"}[1m])', 'min_over_time(up{job="node"}[1m])'),
    # A label's value of another version.
    "inference-pod-hangs": text_changed(_RULES, 'result="failed"', 'result="failure"'),
    # A threshold that takes Kubernetes' own work for trouble.
    "inference-out-of-memory": text_changed("rules.yaml", "time_seconds[15m]) > 2", "time_seconds[15m]) > 0"),
    # A rule that somebody added: each pod that is replaced is an outage to it.
    "inference-pod-evicted": text_changed(
        _RULES,
        "        - alert: PodNotReady\n",
        "        - alert: TooFewPods\n"
        '          expr: count(count by (instance) (up{job="inference"} == 1)) < 2\n'
        "          labels: {severity: warning, team: model-serving}\n"
        "        - alert: PodNotReady\n",
    ),
    # A matcher that leaves out what is cut off.
    "inference-cut-off": text_changed("rules.yaml", "(up) == 0", '(up{job!="inference"}) == 0'),
    # A threshold in milliseconds.
    "inference-slow-to-scrape": text_changed(_RULES, "[1m]) > 0.15", "[1m]) > 150"),
    # The operation as the runtime interface calls it, and no metric.
    "image-cannot-be-pulled": text_changed(_RULES, 'operation_type="pull_image"', 'operation_type="PullImage"'),
    # The alert that everybody writes first: targets that vanish are not down.
    "node-drained": text_changed(
        _RULES,
        'absent(prober_probe_total{namespace="model-serving", container="inference", probe_type="Readiness"})',
        'max by (namespace, job) (up{namespace="model-serving", job="inference"}) == 0',
    ),
}
