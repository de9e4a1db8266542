"""Who makes Prometheus of its object: decided by what is in the cluster, and said with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.environments.kube.kubectl import Kubectl
from harness.environments.kube.operator import Form, choose_form
from harness.stack import Stack, load_stack

STACK = Path(__file__).resolve().parents[2] / "fixtures" / "stack"
KINDS = ("alertmanagers", "alertmanagerconfigs", "prometheuses", "prometheusrules", "servicemonitors")
PROGRAM = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
  *api-resources*) cat "$here/kinds" ;;
  *deployments*) cat "$here/deployments" ;;
  *) echo "not expected: $*" >&2; exit 99 ;;
esac
"""


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Form]:
    """The decision for a cluster with these kinds and this many running controllers."""
    program = tmp_path / "kubectl"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def decide(
        stack: Stack,
        *,
        kinds: tuple[str, ...] = KINDS,
        running: int = 1,
        time_scale: float = 1.0,
        discovers: bool = True,
    ) -> Form:
        (tmp_path / "kinds").write_text("".join(f"{kind}.monitoring.coreos.com\n" for kind in kinds))
        found = {"items": [{"status": {"availableReplicas": running}}] if running else [{"status": {}}]}
        (tmp_path / "deployments").write_text(json.dumps(found))
        return choose_form(
            Kubectl(tmp_path / "kubeconfig", "c"), stack, time_scale=time_scale, discovers=lambda: discovers
        )

    return decide


@pytest.fixture(scope="module")
def stack() -> Stack:
    return load_stack(STACK)


def test_an_operator_that_runs_gets_the_objects_as_they_are(choose: Callable[..., Form], stack: Stack) -> None:
    assert choose(stack).by_operator


def test_without_its_kinds_they_are_rendered_and_the_missing_ones_named(
    choose: Callable[..., Form], stack: Stack
) -> None:
    form = choose(stack, kinds=KINDS[1:])
    assert not form.by_operator
    assert "does not know alertmanagers" in form.why


def test_kinds_without_a_controller_that_runs_are_no_operator(choose: Callable[..., Form], stack: Stack) -> None:
    form = choose(stack, running=0)
    assert not form.by_operator
    assert "no controller runs" in form.why


def test_compressed_durations_are_rendered(choose: Callable[..., Form], stack: Stack) -> None:
    form = choose(stack, time_scale=60.0)
    assert not form.by_operator
    assert "--time-scale 1" in form.why


def test_a_prometheus_that_cannot_discover_is_none_for_an_operator(choose: Callable[..., Form], stack: Stack) -> None:
    form = choose(stack, discovers=False)
    assert not form.by_operator
    assert "lacks the Kubernetes discovery" in form.why


def test_nobody_outside_is_notified_by_a_test(choose: Callable[..., Form], stack: Stack) -> None:
    receiver = replace(stack.spec.receivers[0], captured=("pagerduty",))
    paging = replace(stack, spec=replace(stack.spec, receivers=(receiver, *stack.spec.receivers[1:])))
    form = choose(paging)
    assert not form.by_operator
    assert receiver.name in form.why
