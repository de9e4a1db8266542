"""One kind cluster for all tests here, kept between the runs they make in it, and gone at the end."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import CHECKOUT, HARNESS, Outcome, Runner

# Scrapes may take twice as long as by default: a cluster fills two cores, and a slow machine would be found out instead
# of the harness. What is shipped is run at the default by the long tests.
HALF_SPEED = ("--time-scale", "30")
# Objects that a cluster's own controllers make and change all the time.
RESTLESS = ("Event", "Lease", "Endpoints", "EndpointSlice")


@dataclass
class ClusterRunner(Runner):
    """Runs ``harness`` against the kept cluster, whose name and state directory the tests of a session share."""

    cluster: str = ""
    state: Path = Path()
    kubeconfig: Path = Path()

    def environment(self) -> dict[str, str]:
        own = super().environment()
        images = os.environ.get("HARNESS_IMAGES", "offline")
        return {**own, "XDG_STATE_HOME": str(self.state), "HARNESS_IMAGES": images, "KUBECONFIG": str(self.kubeconfig)}

    def where(self) -> tuple[str, ...]:
        """The options that name the kept cluster."""
        return "--environment", "kind", "--keep", "--cluster-name", self.cluster

    def in_cluster(self, *args: str, experiments: tuple[str, ...] = (), timeout_s: float = 700) -> Outcome:
        """A certification in the kept cluster, with this run directory."""
        return self.certify(*self.where(), *args, experiments=experiments, timeout_s=timeout_s)

    def kubectl(self, *args: str) -> str:
        """What kubectl answers the cluster's administrator."""
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig), *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self) -> set[tuple[str, str, str]]:
        """Every object of the cluster but what its controllers make and change all the time."""
        kinds = self.kubectl("api-resources", "--verbs=list", "-o", "name").split()
        listed = json.loads(self.kubectl("get", ",".join(kinds), "--all-namespaces", "-o", "json"))
        return {
            (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
            for each in listed["items"]
            if each["kind"] not in RESTLESS
        }


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The kept cluster: made by the first run that asks for it, gone when the session ends."""
    root = tmp_path_factory.mktemp("kept")
    name = f"harness-test-{os.getpid()}"
    shared = {"cluster": name, "state": root / "state", "kubeconfig": root / "kubeconfig"}
    yield shared
    environment = {**os.environ, "XDG_STATE_HOME": str(shared["state"])}
    subprocess.run(
        [str(HARNESS), "down", "--kept", "--cluster-name", name], env=environment, timeout=120, check=True, cwd=root
    )
    assert list((root / "state").rglob("*.kubeconfig")) == []


@pytest.fixture
def runner(tmp_path: Path, kept: dict[str, Any]) -> Iterator[ClusterRunner]:
    """A runner whose processes have ended when the test is over."""
    runner = ClusterRunner(tmp_path, **kept)
    yield runner
    for process in runner.started:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, kept: dict[str, Any]) -> Outcome:
    """The run that makes the cluster, under load from this machine."""
    runner = ClusterRunner(tmp_path_factory.mktemp("first"), **kept)
    outcome = runner.in_cluster("--load-outside", *HALF_SPEED, experiments=("gpu-warm.yaml",))
    assert outcome.code == 0, outcome.out + outcome.err
    written = subprocess.run(
        ["kind", "get", "kubeconfig", "--name", kept["cluster"]], capture_output=True, text=True, timeout=60, check=True
    )
    Path(kept["kubeconfig"]).touch(mode=0o600)
    Path(kept["kubeconfig"]).write_text(written.stdout, encoding="utf-8")
    return outcome


@pytest.fixture(scope="session")
def cluster_before(
    first_run: Outcome, tmp_path_factory: pytest.TempPathFactory, kept: dict[str, Any]
) -> set[tuple[str, str, str]]:
    """What the cluster holds when nothing of the harness's is in it; the cluster is there from here on."""
    assert first_run.code == 0
    return ClusterRunner(tmp_path_factory.mktemp("before"), **kept).objects()


__all__ = ["CHECKOUT", "ClusterRunner"]
