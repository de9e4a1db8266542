"""Which environments stand, and what becomes of their faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.environments.kube.state import ClusterState
from harness.faults.ledger import Ledger
from harness.run.healing import heal
from harness.run.standing import environment_of
from tests.environments.test_kube_state import state

DOWN = {"pod": "p-0", "namespace": "a", "workload": "p", "running": 1, "main": {"pid": 1, "started": 1.0, "node": "n"}}


@pytest.fixture(params=["kept", "lent"])
def left(request: pytest.FixtureRequest, tmp_path: Path) -> ClusterState:
    """A cluster that outlives its runs, in which a run that could not remove it all has left something."""
    run_dir = tmp_path / "run-1"
    run_dir.mkdir()
    made = replace(state(run_dir), keep=True)
    made = (
        replace(made, environment="kube", cluster="", lent=True, context="theirs") if request.param == "lent" else made
    )
    made.save()
    Path(made.kubeconfig).touch()
    return made


def test_what_a_failed_take_down_left_stands_until_all_of_it_is_removed(left: ClusterState) -> None:
    run_dir = Path(left.run_dir)
    standing = environment_of(run_dir)
    assert standing is not None
    assert standing.state == left
    Path(left.kubeconfig).unlink()
    assert environment_of(run_dir) is None


def test_one_that_was_taken_down_does_not_stand(left: ClusterState) -> None:
    replace(left, ended=True).save()
    assert environment_of(Path(left.run_dir)) is None


def test_a_fault_in_what_still_stands_is_not_taken_for_gone(left: ClusterState) -> None:
    run_dir = Path(left.run_dir)
    ledger = Ledger(run_dir)
    ledger.open("pod-down", DOWN)
    healed = heal(run_dir)
    assert (healed.gone, healed.undone) == (False, ())
    assert "cannot be listed" in healed.failures[0]
    assert healed.standing == (left.cluster or "theirs")
    assert len(ledger.outstanding()) == 1
