"""Prometheus and Alertmanager as containers of several Debian releases: certified like any other, gone like any other.

Docker has to be there: without it these tests fail. They touch no container that they did not start.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
import pytest
import requests

from harness.environments.images import build_images, load_mapping
from harness.environments.local.docker_node import LABEL
from harness.environments.local.node import LocalNode
from harness.environments.local.state import NodeState
from harness.environments.processes import process_started
from harness.model import ProcessRef
from tests.e2e.conftest import CHECKOUT, HARNESS, Outcome, Runner, descendants, lengthy, still_there
from tests.e2e.phases import baseline_begun, fault_is_in, start_and_wait

pytestmark = [pytest.mark.e2e, pytest.mark.containers]
# What ends containers is tried one after another: Docker's daemon is one for all.
one_by_one = pytest.mark.xdist_group("containers")
# Alone on two cores it takes 2 s; beside other tests' certifications and builds the daemon takes its time.
GONE_WITHIN_S = 20.0

PARTS = ("prometheus", "alertmanager")
SUITES = {"bookworm": (r"2\.42\.", r"0\.25\."), "trixie": (r"2\.53\.", r"0\.28\."), "sid": (r"3\.", r"0\.\d\d\.")}
DEBIAN_IMAGE = CHECKOUT.parent / "shared" / "tools" / "kind-node" / "debian-image"
MAPPING = """
images:
  prom/prometheus: {{build: prometheus}}
  prom/alertmanager: {{build: alertmanager}}
pull: never
base: debian:{suite}-slim
"""


def docker(*arguments: str, timeout_s: float = 60) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@cache
def have_images() -> None:
    """The images of all suites are in Docker, made by whichever worker comes first; the others wait for it.

    So no test runs beside a build.
    """
    with Path(__file__).open("rb") as lock, tempfile.TemporaryDirectory() as directory:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for suite in SUITES:
            have_base(suite)
            mapping = load_mapping(str(mapping_file(Path(directory), suite)))
            build_images([mapping.resolve(f"prom/{part}") for part in PARTS], progress=print)


def have_base(suite: str) -> None:
    """The suite's base image is in Docker: it was, or is made from Debian's packages, or pulled."""
    image = f"debian:{suite}-slim"
    if image in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split():
        return
    if not DEBIAN_IMAGE.exists():
        docker("pull", "--quiet", image, timeout_s=600)
        return
    made = subprocess.run([DEBIAN_IMAGE, suite], capture_output=True, text=True, timeout=600, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


def mapping_file(root: Path, suite: str) -> Path:
    """A mapping to the images that are built on a suite."""
    path = root / f"{suite}.yaml"
    path.write_text(MAPPING.format(suite=suite), encoding="utf-8")
    return path


def contained(root: Path, suite: str) -> tuple[str, ...]:
    """What starts the harness so that these parts are containers of a suite; their images are there."""
    have_images()
    return ("/usr/bin/env", f"HARNESS_CONTAINERS={','.join(PARTS)}", f"HARNESS_IMAGES={mapping_file(root, suite)}")


def left_in_docker(run_dir: Path) -> list[str]:
    """The names of a run's containers and volumes."""
    mine = ("--filter", f"label=harness.run-directory={run_dir}")
    return [
        *docker("ps", "--all", *mine, "--format", "{{.Names}}").split(),
        *docker("volume", "ls", *mine, "--format", "{{.Name}}").split(),
    ]


def gone_in_time(run_dir: Path) -> list[str]:
    """What of a run is in Docker after the time that it has to clean up."""
    deadline = time.monotonic() + GONE_WITHIN_S
    while left := left_in_docker(run_dir):
        if time.monotonic() > deadline:
            return left
        time.sleep(0.05)
    return left


def run_to_end(runner: Runner, *command: str) -> Outcome:
    process = runner.start_program(Path(command[0]), *command[1:])
    out, err = process.communicate(timeout=600)
    return Outcome(process.returncode, out, err, runner.root / "run")


@lengthy
@pytest.mark.parametrize("suite", SUITES)
def test_the_versions_of_a_debian_release_are_certified_as_containers(runner: Runner, suite: str) -> None:
    command = contained(runner.root, suite)
    done = run_to_end(runner, *command, str(HARNESS), "certify", "--report", str(runner.root / "run"))
    short = [each for each in done.result["results"] if each["verdict"] != "PASS"]
    assert (done.code, done.result["verdict"], short) == (0, "PASS", []), done.out + done.err
    versions = [done.result["versions"][part] for part in PARTS]
    assert [bool(re.match(*pair)) for pair in zip(SUITES[suite], versions, strict=True)] == [True, True], versions
    notes = "\n".join(done.result["not_exercised"])
    assert re.search(r"prometheus-\S+: ran as a container of the image harness/prometheus:", notes)
    assert re.search(r"alertmanager-\S+: ran as a container of the image harness/alertmanager:", notes)
    assert left_in_docker(done.run_dir) == []
    assert runner.left_outside() == []


@one_by_one
@pytest.mark.parametrize("reached", [baseline_begun, fault_is_in])
def test_a_killed_harness_leaves_no_container(runner: Runner, reached: Callable[[Path], bool]) -> None:
    process, run_dir = start_and_wait(runner, reached, below=contained(runner.root, "bookworm"))
    below = descendants(process)
    assert len([name for name in left_in_docker(run_dir) if name.endswith(PARTS)]) == 4
    process.kill()
    process.communicate()
    assert gone_in_time(run_dir) == []
    assert still_there(below) == []
    assert runner.left_outside() == []


@one_by_one
def test_a_harness_killed_while_it_makes_containers_leaves_none(runner: Runner) -> None:
    process, run_dir = start_and_wait(
        runner, lambda path: len(left_in_docker(path)) > 1, below=contained(runner.root, "bookworm")
    )
    process.kill()
    process.communicate()
    assert gone_in_time(run_dir) == []


@one_by_one
def test_ctrl_c_leaves_no_container(runner: Runner) -> None:
    process, run_dir = start_and_wait(runner, fault_is_in, below=contained(runner.root, "bookworm"))
    below = descendants(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert left_in_docker(run_dir) == []
    assert still_there(below) == []
    assert process.returncode == 2, out + err


@pytest.fixture
def standing(runner: Runner) -> LocalNode:
    """A node that `harness up` left standing."""
    up = run_to_end(runner, *contained(runner.root, "bookworm"), str(HARNESS), "up", "--seed", "7")
    assert up.code == 0, up.out + up.err
    (state_file,) = (runner.root / "cwd" / "reports").glob("*/environment.json")
    return LocalNode(NodeState.load(state_file.parent))


def main_process(node: LocalNode, pod: str) -> ProcessRef | None:
    return next(iter(node.processes(pod, "monitoring")), None)


def wait_for(met: Callable[[], object], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def replaced(node: LocalNode, pod: str, old: ProcessRef) -> bool:
    return main_process(node, pod) not in (None, old)


@one_by_one
def test_pods_in_containers_are_like_all_others_and_down_removes_them(runner: Runner, standing: LocalNode) -> None:
    node, run_dir = standing, standing.run_dir
    pod = node.state.prometheus_pod
    try:
        first = main_process(node, pod)
        assert first is not None
        program = Path(f"/proc/{first.pid}/cmdline").read_bytes().split(b"\0")[0]
        assert (program, process_started(first.pid)) == (b"prometheus", first.started)
        assert Path(f"/proc/{first.pid}").stat().st_uid == 65534, "the image's own user"

        # Files and volumes.
        assert b"scrape_configs" in node.read_file(pod, "monitoring", "config", "prometheus.yml")
        size, available = node.volume_usage(pod, "monitoring", "prometheus-data")
        assert 0 < available <= size <= 256 * 2**20
        node.allocate_file(pod, "monitoring", "prometheus-data", "fill", available // 2)
        assert node.volume_usage(pod, "monitoring", "prometheus-data")[1] < available * 0.6
        node.remove_file(pod, "monitoring", "prometheus-data", "fill")
        assert not node.has_file(pod, "monitoring", "prometheus-data", "fill")

        # Hanging.
        assert node.signal(first, signal.SIGSTOP)
        wait_for(lambda: node.process_state(first) == "T")
        node.signal(first, signal.SIGCONT)
        wait_for(lambda: requests.get(f"{node.state.prometheus}/-/ready", timeout=5).ok)

        # Killed, it is started again, on the volume that it had.
        node.write_file(pod, "monitoring", "prometheus-data", "mark", b"kept")
        before = {state["pod"]: state for state in node.container_states()}[pod]
        assert node.signal(first, signal.SIGKILL)
        wait_for(lambda: replaced(node, pod, first))
        assert node.process_state(first) is None
        after = {state["pod"]: state for state in node.container_states()}[pod]
        assert (before["running"], after["running"]) == (True, True)
        assert before["pid"] != after["pid"], "a restart is seen"
        assert node.read_file(pod, "monitoring", "prometheus-data", "mark") == b"kept"

        # Kept down, it stays down until it may come up.
        node.keep_down(pod, "monitoring")
        wait_for(lambda: node.processes(pod, "monitoring") == [])
        time.sleep(2)
        assert node.processes(pod, "monitoring") == []
        node.let_up(pod, "monitoring")
        wait_for(lambda: main_process(node, pod))

        down = runner.run("down")
        assert down.code == 0, down.err
        assert left_in_docker(run_dir) == []
        assert not node.alive()
    finally:
        node.stop()


@one_by_one
def test_a_standing_node_that_ends_takes_its_containers_with_it(standing: LocalNode) -> None:
    try:
        assert len(left_in_docker(standing.run_dir)) > 4
        (first,) = psutil.Process(standing.state.pid).children()
        first.kill()
        assert gone_in_time(standing.run_dir) == []
    finally:
        standing.stop()


@one_by_one
def test_two_runs_do_not_touch_each_others_containers(runner: Runner, standing: LocalNode) -> None:
    try:
        there = set(left_in_docker(standing.run_dir))
        process, run_dir = start_and_wait(runner, baseline_begun, below=contained(runner.root, "bookworm"))
        assert left_in_docker(run_dir)
        process.kill()
        process.communicate()
        assert gone_in_time(run_dir) == []
        assert set(left_in_docker(standing.run_dir)) == there
        assert standing.alive()
    finally:
        standing.stop()
    assert docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}={standing.state.docker_key}") == ""


@one_by_one
def test_only_what_is_not_on_path_becomes_a_container(runner: Runner) -> None:
    *_, images = contained(runner.root, "bookworm")
    programs = runner.root / "programs"
    programs.mkdir()
    for name in ("bwrap", "docker", "prometheus", "prometheus-node-exporter"):
        (programs / name).symlink_to(str(shutil.which(name)))
    up = run_to_end(runner, "/usr/bin/env", f"PATH={programs}", images, str(HARNESS), "up")
    assert up.code == 0, up.out + up.err
    (state_file,) = (runner.root / "cwd" / "reports").glob("*/environment.json")
    node = LocalNode(NodeState.load(state_file.parent))
    try:
        contained_pods = {pod.workload for pod in node.state.pods if pod.images}
        assert contained_pods == {"alertmanager-model-alerts"}
        assert node.state.versions["alertmanager"].startswith("0.25.")
    finally:
        node.stop()
    assert left_in_docker(node.run_dir) == []


@one_by_one
def test_state_file_of_a_node_names_what_its_containers_run(standing: LocalNode) -> None:
    try:
        raw = json.loads((standing.run_dir / "environment.json").read_text(encoding="utf-8"))
        images = {pod["name"]: pod["images"] for pod in raw["pods"]}
        assert images[standing.state.prometheus_pod][0].startswith("harness/prometheus:")
        assert images["inference-0"] == []
        assert NodeState.load(standing.run_dir).versions["prometheus"].startswith("2.42.")
    finally:
        standing.stop()
