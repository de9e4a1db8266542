"""That the experiments of a cluster and their sabotaged twins belong together; a cluster itself is not needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.run.inputs import read_inputs
from harness.stack import load_stack
from tests.cluster.twins import TWINS
from tests.environments.stacks import CHECKOUT, CLUSTER, STACK, merged

EXPERIMENTS = CHECKOUT / "experiments" / "cluster"


def test_every_experiment_has_a_sabotaged_twin() -> None:
    assert sorted(TWINS) == sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))


def test_the_experiments_name_what_the_stack_of_a_cluster_has() -> None:
    _, experiments = read_inputs([STACK, CLUSTER], [EXPERIMENTS], environment="kind")
    assert {each.name for each in experiments} == set(TWINS)


@pytest.mark.parametrize("name", sorted(TWINS))
def test_a_sabotaged_stack_can_be_read_and_is_another_one(name: str, tmp_path: Path) -> None:
    stack = merged(tmp_path)
    before = load_stack(stack)
    TWINS[name](stack)
    after = load_stack(stack)
    assert {alert.name for alert in after.spec.alerts} >= {alert.name for alert in before.spec.alerts}
    assert (after.spec, after.workloads) != (before.spec, before.workloads)


def test_all_twins_may_be_broken_at_once(tmp_path: Path) -> None:
    stack = merged(tmp_path)
    for sabotage in TWINS.values():
        sabotage(stack)
    read_inputs([stack], [EXPERIMENTS], environment="kind")


def test_without_a_cluster_each_that_needs_one_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        read_inputs([STACK, CLUSTER], [EXPERIMENTS], environment="local")
    named = {Path(mistake.file).stem for mistake in refused.value.mistakes}
    assert named == set(TWINS) - {"inference-pod-hangs", "alertmanager-lost"}  # faults any environment has
