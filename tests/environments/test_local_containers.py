"""Which parts become containers and what they are made of; Docker's command line is played by a script."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.clock import DeadlineExceeded
from harness.environments.local.addresses import lease_block
from harness.environments.local.containers import MAX_VOLUME_BYTES, NodePaths
from harness.environments.local.docker_daemon import Docker, find_docker
from harness.environments.local.docker_layout import DockerLayout, plan_containers
from harness.environments.local.docker_node import LABEL, DockerNode
from harness.environments.local.docker_parts import FORCED_VARIABLE, Parts, choose_parts, have_images, resolve_parts
from harness.environments.local.docker_pods import DockerMount
from harness.environments.local.docker_watch import start_watch
from harness.environments.local.layout import NodeLayout
from harness.environments.local.lifeline import new_lifeline
from harness.environments.local.plan import NodePlan, plan_node
from harness.environments.local.sandbox import DOCKER_SOCKET, ends_with_input, node_argv, program_directories
from harness.environments.local.state import NodeState
from harness.errors import HarnessError, InputError
from harness.stack import Rendered, Stack, load_stack
from harness.stack.objects import Mount, Volume
from tests.environments.test_local_describing import describe

SHIPPED = Path(__file__).resolve().parents[2] / "fixtures" / "stack"
DOCKER = Docker("/opt/docker/docker", "unix:///var/run/docker.sock", "26.1.5")
HERE = {
    "context inspect --format {{.Endpoints.docker.Host}}": "unix:///var/run/docker.sock",
    "info --format {{.ServerVersion}}\n{{.OperatingSystem}}\n{{.SecurityOptions}}": "26.1.5\nDebian\n[name=seccomp]",
}


INSPECT = "image inspect --format {{.Id}} prom/alertmanager:v0.25.0"


class FakeDocker:
    """``docker`` on a PATH of its own: answers what it is told to, fails on all else, keeps what it was asked."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "bin"
        self.asked = root / "asked"
        self.answers = root / "answers"
        for path in (self.bin, self.answers):
            path.mkdir()
        self.asked.touch()
        self.program("docker", f'printf "%s\\0" "$*" >> {self.asked}\n. {root}/answer')
        self.root = root
        self.answer({})

    def program(self, name: str, script: str = "exit 0") -> None:
        """A program of this name is on PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def answer(self, answers: dict[str, str], *, failing: dict[str, str] | None = None) -> None:
        """What it says to which command line."""
        cases = [(asked, f"printf '%s\\n' {shlex.quote(said)}; exit 0") for asked, said in answers.items()]
        cases += [(asked, f"printf '%s\\n' {shlex.quote(said)} >&2; exit 1") for asked, said in (failing or {}).items()]
        lines = [f"  {shlex.quote(asked)}) {then};;" for asked, then in cases]
        unknown = '  *) echo "unexpected: $*" >&2; exit 64;;'
        (self.root / "answer").write_text("\n".join(['case "$*" in', *lines, unknown, "esac"]), encoding="utf-8")

    def calls(self) -> list[str]:
        """Every command line it was called with."""
        return self.asked.read_text(encoding="utf-8").split("\0")[:-1]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    fake = FakeDocker(tmp_path)
    fake.program("bwrap")
    monkeypatch.setenv("PATH", str(fake.bin))
    monkeypatch.delenv(FORCED_VARIABLE, raising=False)
    return fake


@pytest.fixture(scope="module")
def shipped() -> Stack:
    return load_stack(SHIPPED)


@pytest.fixture
def plan(shipped: Stack) -> Iterator[NodePlan]:
    block = lease_block(1)
    yield plan_node(shipped, block)
    block.lease.close()


def parts(*contained: str) -> Parts:
    return Parts({"bwrap": "/usr/bin/bwrap"}, contained, DOCKER if contained else None)


def layout(shipped: Stack, plan: NodePlan, *contained: str) -> DockerLayout:
    chosen = parts(*contained)
    found = plan_containers(plan, chosen, resolve_parts(chosen, shipped.workloads, "official"))
    assert found is not None
    return found


def rendered(*flags: str) -> Rendered:
    return Rendered(files={}, flags=flags, notes=())


# Which parts.


def test_with_every_program_on_path_nothing_is_a_container_and_docker_is_not_asked(fake: FakeDocker) -> None:
    fake.program("prometheus")
    fake.program("prometheus-alertmanager")
    chosen = choose_parts()
    assert (chosen.contained, chosen.docker, sorted(chosen.programs)) == (
        (),
        None,
        ["alertmanager", "bwrap", "prometheus"],
    )
    assert fake.calls() == []


def test_a_part_whose_program_is_missing_becomes_a_container(fake: FakeDocker) -> None:
    fake.program("prometheus")
    fake.answer(HERE)
    chosen = choose_parts()
    assert (chosen.contained, sorted(chosen.programs)) == (("alertmanager",), ["bwrap", "prometheus"])
    assert chosen.docker == Docker(str(fake.bin / "docker"), "unix:///var/run/docker.sock", "26.1.5")
    assert sorted(fake.calls()) == sorted(HERE)


@pytest.mark.parametrize("named", ["prometheus", " prometheus ,", "prometheus,prometheus"])
def test_a_part_can_be_made_a_container_though_its_program_is_there(
    fake: FakeDocker, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    fake.program("prometheus")
    fake.program("alertmanager")
    fake.answer(HERE)
    monkeypatch.setenv(FORCED_VARIABLE, named)
    assert choose_parts().contained == ("prometheus",)


def test_a_part_that_is_none_is_a_mistake_of_the_input(fake: FakeDocker) -> None:
    with pytest.raises(InputError, match=r"HARNESS_CONTAINERS: got 'grafana', need some of prometheus, alertmanager"):
        choose_parts("grafana,prometheus")
    assert fake.calls() == []


def test_with_neither_program_nor_docker_one_error_names_both_ways(fake: FakeDocker) -> None:
    (fake.bin / "docker").unlink()
    (fake.bin / "bwrap").unlink()
    with pytest.raises(HarnessError) as caught:
        choose_parts()
    assert str(caught.value) == (
        "the local environment needs alertmanager, bwrap, prometheus on PATH; `make setup` installs them, or: apt-get "
        "install bubblewrap prometheus prometheus-alertmanager. Or run them as containers, which needs Docker: docker "
        "is not on PATH"
    )


def test_a_daemon_that_does_not_answer_is_said(fake: FakeDocker) -> None:
    info = next(asked for asked in HERE if asked.startswith("info"))
    fake.answer({asked: HERE[asked] for asked in HERE if asked != info}, failing={info: "Cannot connect"})
    with pytest.raises(HarnessError, match=r"needs Docker: docker info --format: Cannot connect"):
        choose_parts()
    with pytest.raises(HarnessError, match=r"^HARNESS_CONTAINERS=prometheus needs Docker: docker info"):
        choose_parts("prometheus")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"context": "tcp://10.0.0.5:2376"}, r"docker talks to tcp://10.0.0.5:2376, need a daemon on this machine"),
        ({"context": ""}, r"docker talks to nobody"),
        ({"info": "26.1.5\nDebian\n[name=seccomp name=rootless]"}, r"this Docker \(rootless\) gives no container"),
        ({"info": "27.0\nDocker Desktop\n[]"}, r"this Docker \(Docker Desktop\) gives no container"),
    ],
)
def test_a_docker_that_cannot_run_pods_of_this_machine_is_refused(
    fake: FakeDocker, changed: dict[str, str], problem: str
) -> None:
    fake.answer({asked: changed.get(asked.split()[0], said) for asked, said in HERE.items()})
    with pytest.raises(HarnessError, match=problem):
        find_docker()


def test_only_what_runs_as_a_container_needs_an_image(shipped: Stack, tmp_path: Path) -> None:
    mapping = tmp_path / "images.yaml"
    mapping.write_text("images:\n  prom/alertmanager: {image: 'site/am:{tag}'}\npull: never\n", encoding="utf-8")
    assert resolve_parts(parts(), shipped.workloads, "no-such-mapping.yaml") == {}
    found = resolve_parts(parts("alertmanager"), shipped.workloads, str(mapping))
    assert {asked: image.reference for asked, image in found.items()} == {
        "prom/alertmanager:v0.25.0": "site/am:v0.25.0"
    }
    with pytest.raises(InputError, match=r"prom/prometheus:v2.42.0, which is not named here"):
        resolve_parts(parts("prometheus"), shipped.workloads, str(mapping))


def test_an_image_is_pulled_once_when_it_is_not_there(fake: FakeDocker, shipped: Stack) -> None:
    images = resolve_parts(parts("alertmanager"), shipped.workloads, "official").values()
    fake.answer({"pull --quiet prom/alertmanager:v0.25.0": ""})
    said: list[str] = []
    have_images([*images, *images], DOCKER, progress=said.append)
    assert fake.calls() == [INSPECT, "pull --quiet prom/alertmanager:v0.25.0", INSPECT]
    assert said == ["image prom/alertmanager:v0.25.0 is being pulled"]


def test_an_image_that_is_there_is_not_pulled(fake: FakeDocker, shipped: Stack) -> None:
    images = resolve_parts(parts("alertmanager"), shipped.workloads, "official").values()
    fake.answer({INSPECT: "sha256:39d172695c42"})
    had = have_images(images, DOCKER, progress=lambda text: None)
    assert had == {"prom/alertmanager:v0.25.0": "sha256:39d172695c42"}
    assert set(fake.calls()) == {INSPECT}


def test_an_image_that_cannot_be_had_says_what_to_do(fake: FakeDocker, shipped: Stack) -> None:
    images = list(resolve_parts(parts("alertmanager"), shipped.workloads, "official").values())
    fake.answer({}, failing={"pull --quiet prom/alertmanager:v0.25.0": "no route to host"})
    with pytest.raises(HarnessError, match=r"prom/alertmanager:v0.25.0: .*no route to host; `--images offline` builds"):
        have_images(images, DOCKER, progress=lambda text: None)
    held = [dataclasses.replace(image, pull=False) for image in images]
    with pytest.raises(HarnessError, match=r"not in Docker, and nothing is pulled"):
        have_images(held, DOCKER, progress=lambda text: None)


# What they are made of.


def test_a_container_has_the_command_files_names_and_volume_of_its_pod(
    shipped: Stack, plan: NodePlan, tmp_path: Path
) -> None:
    found = layout(shipped, plan, "prometheus")
    (made,) = found.containers(NodePaths(tmp_path), {"prometheus": rendered("--x=1")}, given={"TIME_SCALE": "60"})
    (pod,) = found.pods
    program = "monitoring_prometheus-model-monitoring-0.prometheus"
    assert (made.name, made.image) == (f"harness-{found.node.key}-{program}", "prom/prometheus:v2.42.0")
    assert made.entrypoint == ["prometheus"]
    assert f"--web.listen-address={pod.address.address}:9090" in made.command
    assert made.command[-1] == "--x=1"
    # Nothing of this machine's own environment.
    assert made.environment == {
        "TIME_SCALE": "60",
        "POD_IP": pod.address.address,
        "POD_NAME": pod.address.name,
        "POD_NAMESPACE": "monitoring",
    }
    volume = found.node.volume("monitoring_prometheus-model-monitoring-0", "prometheus-data")
    assert made.mounts == [
        DockerMount(str(tmp_path / "hosts" / "monitoring"), "/etc/hosts", read_only=True),
        DockerMount(
            str(tmp_path / "files" / "monitoring_prometheus-model-monitoring-0" / "config"), "/etc/prometheus", True
        ),
        DockerMount(volume, "/prometheus", read_only=False, is_volume=True),
    ]


def test_a_volume_of_dockers_is_no_volume_of_the_sandbox(shipped: Stack, plan: NodePlan) -> None:
    found = layout(shipped, plan, "prometheus", "alertmanager")
    own = {volume.path: volume.size_bytes for volume in found.volumes(plan)}
    others = {mount.path for mount in found.other_volumes(plan)}
    assert len(own) == 4
    assert set(own.values()) == {MAX_VOLUME_BYTES}
    assert own.keys() | others == {mount.path for mount in plan.volumes}
    assert not own.keys() & others


def test_only_the_parts_that_are_contained_run_in_docker(shipped: Stack, plan: NodePlan) -> None:
    found = layout(shipped, plan, "alertmanager")
    assert [pod.address.workload for pod in found.pods] == ["alertmanager-model-alerts"] * 3
    assert found.parts == ("alertmanager",)
    assert plan_containers(plan, parts(), {}) is None


def test_report_names_the_image_and_what_the_manifest_asked_for(shipped: Stack, plan: NodePlan, tmp_path: Path) -> None:
    mapping = tmp_path / "images.yaml"
    mapping.write_text("mirror: {image: 'site/{name}:{tag}'}", encoding="utf-8")
    chosen = parts("prometheus", "alertmanager")
    mapped = plan_containers(plan, chosen, resolve_parts(chosen, shipped.workloads, str(mapping)))
    assert mapped is not None
    identity = f"sha256:{'39d172695c42' * 5}"
    assert mapped.notes({image.reference: identity for image in mapped.images.values()}) == [
        "prometheus-model-monitoring: ran as a container of the image site/prom/prometheus:v2.42.0 (39d172695c42) "
        "under Docker 26.1.5, where its manifest names prom/prometheus:v2.42.0",
        "alertmanager-model-alerts: ran as a container of the image site/prom/alertmanager:v0.25.0 (39d172695c42) "
        "under Docker 26.1.5, where its manifest names prom/alertmanager:v0.25.0",
    ]
    assert "manifest" not in layout(shipped, plan, "prometheus").notes({"prom/prometheus:v2.42.0": identity})[0]


def written(shipped: Stack, plan: NodePlan, root: Path, docker: DockerLayout | None) -> NodePaths:
    paths = NodePaths(root / "node")
    files = {"prometheus.yml": "{}", "rules/a.yml": "{}"}
    NodeLayout(
        plan=plan,
        paths=paths,
        bwrap="/usr/bin/bwrap",
        read_only=(),
        rendered={
            "prometheus": Rendered(files, (), ()),
            "alertmanager": rendered(),
        },
        variables={},
        simulated_gpu=False,
        address="127.9.0.1",
        password="x",
        docker=docker,
    ).write()
    return paths


def test_supervisor_starts_the_container_where_it_would_start_the_sandbox(
    shipped: Stack, plan: NodePlan, tmp_path: Path
) -> None:
    found = layout(shipped, plan, "prometheus")
    paths = written(shipped, plan, tmp_path, found)
    program = "monitoring_prometheus-model-monitoring-0.prometheus"
    started = paths.script(program).read_text(encoding="utf-8").splitlines()[-1]
    assert started == (
        f"DOCKER_HOST=unix://{DOCKER_SOCKET} exec /opt/docker/docker start --attach {found.node.container(program)}"
    )
    other = paths.script("monitoring_alertmanager-model-alerts-0.alertmanager").read_text(encoding="utf-8")
    assert "/usr/bin/bwrap" in other
    assert f"[program:{program}]" in (paths.root / "supervisord.conf").read_text(encoding="utf-8")


def test_what_containers_mount_is_readable_however_careful_this_user_is(
    shipped: Stack, plan: NodePlan, tmp_path: Path
) -> None:
    before = os.umask(0o077)
    try:
        paths = written(shipped, plan, tmp_path, layout(shipped, plan, "prometheus"))
    finally:
        os.umask(before)
    config = paths.files("monitoring_prometheus-model-monitoring-0", "config")
    modes = {path.relative_to(config).as_posix(): path.stat().st_mode & 0o777 for path in [config, *config.rglob("*")]}
    assert modes == {".": 0o755, "prometheus.yml": 0o644, "rules": 0o755, "rules/a.yml": 0o644}
    assert paths.hosts("monitoring").stat().st_mode & 0o777 == 0o644
    assert paths.hosts("model-serving").stat().st_mode & 0o777 == 0o600
    alertmanager = paths.files("monitoring_alertmanager-model-alerts-0", "config")
    assert alertmanager.stat().st_mode & 0o777 == 0o700


def test_pods_that_see_the_nodes_files_do_not_see_dockers_socket(
    shipped: Stack, plan: NodePlan, tmp_path: Path
) -> None:
    seeing = [
        (dataclasses.replace(pod.workload.containers[0], mounts=(Mount("root", "/host", "", True),)), pod)
        for pod in plan.pods
        if pod.address.workload == "node-exporter"
    ]
    ((container, pod),) = seeing
    workload = dataclasses.replace(
        pod.workload, containers=(container,), volumes=(Volume("root", "host_path", "/", None),)
    )
    pods = tuple(dataclasses.replace(each, workload=workload) if each == pod else each for each in plan.pods)
    changed = dataclasses.replace(plan, pods=pods)
    program = pod.program(container)
    with_docker = written(shipped, changed, tmp_path / "a", layout(shipped, changed, "prometheus"))
    without = written(shipped, changed, tmp_path / "b", None)
    assert "--tmpfs /host/run/docker " in with_docker.script(program).read_text(encoding="utf-8")
    assert "/host/run/docker" not in without.script(program).read_text(encoding="utf-8")


def test_node_has_dockers_socket_only_when_it_runs_something_in_docker(tmp_path: Path) -> None:
    def argv(socket: str | None) -> list[str]:
        return node_argv(
            bwrap="bwrap",
            read_only=(),
            run_dir=tmp_path,
            volumes=(),
            real_devices=False,
            dies_with_parent=True,
            docker_socket=socket,
            working_dir=tmp_path / "node",
            command=["true"],
        )

    assert argv(None)[-4:] == ["--chdir", str(tmp_path / "node"), "--", "true"]
    assert " ".join(["--bind", "/run/x.sock", DOCKER_SOCKET]) in " ".join(argv("/run/x.sock"))
    assert DOCKER_SOCKET not in argv(None)


def test_programs_that_links_lead_to_are_shown_with_their_links(tmp_path: Path) -> None:
    real, found = tmp_path / "opt" / "prometheus", tmp_path / "bin" / "prometheus"
    for path in (real, found):
        path.parent.mkdir()
    real.touch()
    found.symlink_to(real)
    shown = program_directories([str(found), "/bin/sh", "/usr/bin/env"])
    assert shown == (str(found.parent), str(real.parent))


def test_state_file_says_which_pods_are_containers(shipped: Stack, plan: NodePlan, tmp_path: Path) -> None:
    found = layout(shipped, plan, "prometheus")
    state = describe(shipped, plan, tmp_path, versions={"bwrap": "0.8.0"}, docker=found)
    state.save()
    again = NodeState.load(tmp_path)
    assert again == state
    assert {pod.workload: pod.images for pod in again.pods}["prometheus-model-monitoring"] == (
        "prom/prometheus:v2.42.0",
    )
    assert {pod.images for pod in again.pods if not pod.workload.startswith("prometheus")} == {()}
    assert (again.docker_host, again.docker_key) == (DOCKER.host, found.node.key)
    assert again.versions == {"bwrap": "0.8.0", "docker": "26.1.5"}


def test_a_state_file_without_a_word_of_containers_is_read_as_before(
    shipped: Stack, plan: NodePlan, tmp_path: Path
) -> None:
    state = describe(shipped, plan, tmp_path)
    state.save()
    path = tmp_path / "environment.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    for pod in raw["pods"]:
        del pod["images"]
    path.write_text(json.dumps({key: raw[key] for key in raw if not key.startswith("docker")}), encoding="utf-8")
    assert NodeState.load(tmp_path) == state


# What is done with them.

NODE = DockerNode("unix:///var/run/docker.sock", "k1")
PS = f"ps --all --quiet --filter label={LABEL}=k1"
VOLUMES = f"volume ls --quiet --filter label={LABEL}=k1"


def test_only_what_carries_the_nodes_own_key_is_removed(fake: FakeDocker) -> None:
    # A daemon that lets go of things when it is told to: its answers are files.
    left = fake.root / "left"
    left.mkdir()
    for name in ("c1", "c2"):
        (left / name).touch()
    script = f"""
    case "$*" in
      "{PS}") cd {left} && echo *c[0-9]* | sed 's/.*\\*.*//' ;;
      "{VOLUMES}") ;;
      "rm --force --volumes c1 c2") /bin/rm {left}/c1 {left}/c2 ;;
      *) echo "unexpected: $*" >&2; exit 64 ;;
    esac
    """
    for tool in ("sed",):
        (fake.bin / tool).symlink_to(f"/bin/{tool}")
    (fake.root / "answer").write_text(script, encoding="utf-8")
    NODE.remove()
    assert fake.calls() == [PS, VOLUMES, "rm --force --volumes c1 c2", PS, VOLUMES]


def test_nothing_to_remove_is_no_mistake(fake: FakeDocker) -> None:
    fake.answer({PS: "", VOLUMES: ""})
    NODE.remove()
    assert fake.calls() == [PS, VOLUMES]


def test_what_cannot_be_removed_is_named(fake: FakeDocker) -> None:
    fake.answer({PS: "c1", VOLUMES: "v1", "rm --force --volumes c1": "", "volume rm --force v1": ""})
    with pytest.raises(DeadlineExceeded, match=r"containers of node k1 are removed: .*last seen: c1, v1"):
        NODE.remove(timeout_s=0.1)


def test_a_daemon_that_does_not_answer_is_not_taken_for_one_with_nothing_left(fake: FakeDocker) -> None:
    fake.answer({}, failing={PS: "Cannot connect"})
    with pytest.raises(HarnessError, match="Cannot connect"):
        NODE.remove()


@pytest.mark.parametrize(("said", "number"), [("4711", 4711), ("0", None)])
def test_a_container_that_does_not_run_has_no_process(fake: FakeDocker, said: str, number: int | None) -> None:
    fake.answer({"inspect --type container --format {{.State.Pid}} c1": said})
    assert NODE.first_process("c1") == number
    assert NODE.first_process("gone") is None


def test_a_signal_says_whether_it_arrived(fake: FakeDocker) -> None:
    fake.answer({"kill --signal SIGSTOP c1": "c1"})
    assert NODE.signal("c1", signal.SIGSTOP) is True
    assert NODE.signal("c2", signal.SIGSTOP) is False


def test_watch_removes_when_the_last_holder_of_its_lifeline_is_gone(fake: FakeDocker, tmp_path: Path) -> None:
    fake.answer({PS: "", VOLUMES: ""})
    watch = start_watch(NODE, tmp_path / "watch.log")
    watch.all_made()
    holder = subprocess.Popen(["/bin/sleep", "60"], pass_fds=[watch.lifeline.held.fileno()])
    watch.lifeline.release()
    with pytest.raises(subprocess.TimeoutExpired):
        watch.process.wait(timeout=1)
    assert fake.calls() == []
    holder.kill()
    holder.wait()
    assert watch.process.wait(timeout=10) == 0
    assert fake.calls() == [PS, VOLUMES]


def test_watch_waits_for_stragglers_where_something_may_still_be_under_way(fake: FakeDocker, tmp_path: Path) -> None:
    fake.answer({PS: "", VOLUMES: ""})
    watch = start_watch(NODE, tmp_path / "watch.log")
    watch.lifeline.release()
    assert watch.process.wait(timeout=20) == 0
    assert fake.calls().count(PS) > 1


def test_a_watch_that_has_ended_is_told_and_can_be_ended_all_the_same(fake: FakeDocker, tmp_path: Path) -> None:
    watch = start_watch(NODE, tmp_path / "watch.log")
    watch.process.kill()
    watch.process.wait()
    with pytest.raises(HarnessError, match=r"has ended; node/docker-watch\.log says why"):
        watch.all_made()
    watch.end()


def test_a_node_ends_with_whoever_holds_its_lifeline_even_when_it_did_not_see_its_parent_go() -> None:
    lifeline = new_lifeline()
    process = subprocess.Popen(
        ends_with_input(["/bin/sleep", "60"]), stdin=lifeline.watched, stdout=subprocess.DEVNULL, start_new_session=True
    )
    lifeline.watched.close()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    assert Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")[0] == b"/bin/sleep"
    lifeline.release()
    assert process.wait(timeout=10) == -signal.SIGKILL
