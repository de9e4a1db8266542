"""What a stack becomes on the local node, before anything runs."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.environments.local import sandbox
from harness.environments.local.addresses import lease_block
from harness.environments.local.containers import MAX_VOLUME_BYTES, container_argv, container_environment, expand
from harness.environments.local.layout import _script
from harness.environments.local.plan import NodePlan, host_names, hosts_file, plan_node, proxy_configuration
from harness.environments.local.ports import require_free_ports
from harness.environments.local.programs import find_program, image_program, require_programs
from harness.environments.receiver import RECEIVER_LABEL, with_receiver
from harness.errors import HarnessError
from harness.model import PodAddress
from harness.stack import Container, EnvVar, Service, ServicePort, Stack, Volume, Workload, load_stack

SHIPPED = Path(__file__).resolve().parents[2] / "fixtures" / "stack"


@pytest.fixture(scope="module")
def shipped() -> Stack:
    return load_stack(SHIPPED)


def container(**changes: object) -> Container:
    plain = Container(
        name="main",
        image="team/app:1.0",
        command=("sleep", "1"),
        args=(),
        env=(),
        ports={},
        mounts=(),
        readiness=None,
        liveness=None,
        limits={},
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def workload(name: str, *, namespace: str = "team", replicas: int = 1, **changes: object) -> Workload:
    plain = Workload(
        namespace=namespace,
        name=name,
        kind="Deployment",
        replicas=replicas,
        labels={"app": name},
        annotations={},
        containers=(container(ports={"http": 8000}),),
        init_containers=(),
        volumes=(),
        restart_policy="Always",
        service_account="default",
        operated=False,
        where="test",
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def plan(shipped: Stack, *workloads: Workload, services: tuple[Service, ...] = ()) -> NodePlan:
    block = lease_block(1)
    try:
        return plan_node(dataclasses.replace(shipped, workloads=workloads, services=services), block)
    finally:
        block.lease.close()


def service(name: str, *, headless: bool = False, target: int | str = "http") -> Service:
    ports = (ServicePort("http", 80, target),)
    return Service("team", name, {}, {"app": "web"}, ports, headless)


def test_every_pod_has_an_address_of_its_own(shipped: Stack) -> None:
    pods = plan(shipped, workload("web", replicas=300), workload("db")).pods
    assert len({pod.address.address for pod in pods}) == 301
    assert all(pod.address.address.startswith("127.") for pod in pods)


def test_a_service_leads_to_its_own_namespace_only(shipped: Stack) -> None:
    found = plan(
        shipped, workload("web"), workload("web", namespace="other"), workload("db"), services=(service("web"),)
    )
    (entry,) = proxy_configuration(found.services)
    (only,) = [pod for pod in found.pods if (pod.address.namespace, pod.address.workload) == ("team", "web")]
    assert entry["targets"] == [[only.address.address, 8000]]


def test_a_headless_service_answers_with_its_pods_and_needs_no_proxy(shipped: Stack) -> None:
    found = plan(shipped, workload("web", replicas=2), services=(service("web", headless=True),))
    names = host_names(found, "team")
    assert len(names["web.team.svc"]) == 2
    assert names["web-1.web.team.svc.cluster.local"] == (found.pods[1].address.address,)
    assert proxy_configuration(found.services) == []


def test_the_bare_name_of_a_service_holds_in_its_own_namespace_only(shipped: Stack) -> None:
    found = plan(shipped, workload("web"), services=(service("web"),))
    assert "web" in host_names(found, "team")
    assert "web" not in host_names(found, "other")
    assert "web.team.svc" in hosts_file(found, "other")


def test_volumes_too_large_for_memory_are_capped_and_named(shipped: Stack) -> None:
    volumes = (Volume("big", "claim", "big", 100 * 2**30), Volume("small", "empty_dir", "", 1024))
    found = plan(shipped, workload("web", volumes=volumes))
    assert [mount.size_bytes for mount in found.volumes] == [MAX_VOLUME_BYTES, 1024]
    assert any("volume big" in note for note in found.notes)
    assert not any("volume small" in note for note in found.notes)


def test_what_of_a_volume_has_no_local_form_is_named(shipped: Stack) -> None:
    volumes = (
        Volume("net", "nfs", "", None),
        Volume("socket", "host_file", "/run/x.sock", None),
        Volume("null", "host_file", "/dev/null", None),
        Volume("told", "projected", "", None, fields={"a": "metadata.labels"}),
        Volume("part", "projected", "", None, fields={"b": "spec.somewhere"}, left_out=("serviceAccountToken",)),
    )
    assert plan(shipped, workload("web", volumes=volumes)).notes == (
        "Deployment/web: volume net: kind nfs has no local form and is not mounted",
        "Deployment/web: volume socket: /run/x.sock is no directory and is not mounted",
        "Deployment/web: volume part: serviceAccountToken, b has no local form and is not in it",
    )


def test_pods_of_one_name_in_two_namespaces_do_not_share_a_volume(shipped: Stack) -> None:
    volume = (Volume("data", "empty_dir", "", 1024),)
    found = plan(shipped, workload("web", volumes=volume), workload("web", namespace="other", volumes=volume))
    assert len({mount.path for mount in found.volumes}) == 2


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("--host=$(POD_IP)", "--host=127.0.0.9"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(POD_IP)", "$(POD_IP)"),
        ("$POD_IP ${POD_IP}", "$POD_IP ${POD_IP}"),
        ("$(POD_IP)$(POD_IP)", "127.0.0.9127.0.0.9"),
    ],
)
def test_references_are_expanded_as_a_kubelet_does(text: str, expanded: str) -> None:
    assert expand(text, {"POD_IP": "127.0.0.9"}) == expanded


def test_environment_comes_from_the_downward_api_and_earlier_variables() -> None:
    pod = PodAddress("team", "web-0", "web", "127.9.1.1", {"tier": "front"}, {}, "main")
    env = (
        EnvVar("NAME", field_path="metadata.name"),
        EnvVar("TIER", field_path="metadata.labels['tier']"),
        EnvVar("URL", value="http://$(POD_IP)/$(NAME)"),
        EnvVar("ABSENT"),
    )
    found = container_environment(container(env=env), workload("web"), pod, given={"PATH": "/bin"})
    assert (found["NAME"], found["TIER"], found["URL"]) == ("web-0", "front", "http://127.9.1.1/web-0")
    assert "ABSENT" not in found
    assert found["PATH"] == "/bin"


def test_the_downward_api_knows_annotations_addresses_and_an_identity() -> None:
    pod, other = (PodAddress(namespace, "web-0", "web", "127.9.1.1", {}, {}, "main") for namespace in ("a", "b"))
    paths = {"NOTE": "metadata.annotations['note']", "IPS": "status.podIPs", "UID": "metadata.uid"}
    asks = container(env=tuple(EnvVar(name, field_path=path) for name, path in paths.items()))
    noted = workload("web", annotations={"note": 'it\'s "so"'})
    found = container_environment(asks, noted, pod, given={})
    assert (found["NOTE"], found["IPS"]) == ('it\'s "so"', "127.9.1.1")
    assert found["UID"] == container_environment(asks, noted, pod, given={})["UID"]
    assert found["UID"] != container_environment(asks, noted, other, given={})["UID"]


def test_a_variable_that_only_a_kubelet_could_set_is_named(shipped: Stack) -> None:
    env = (
        EnvVar("NAME", field_path="metadata.name"),
        EnvVar("MAYBE", config_map_key=("c", "k")),
        EnvVar("EMPTY", value=""),
        EnvVar("CORES"),
        EnvVar("WHERE", field_path="spec.somewhere"),
    )
    notes = plan(shipped, workload("web", replicas=2, containers=(container(env=env),))).notes
    assert notes == tuple(
        f"Deployment/web: container main: variable {name} is not set: only a kubelet knows its value"
        for name in ("CORES", "WHERE")
    )


def test_python_is_the_interpreter_of_the_harness() -> None:
    assert container_argv(container(command=("python", "-m", "x")), {}) == [sys.executable, "-m", "x"]


def test_an_official_image_without_a_command_runs_its_program() -> None:
    found = container_argv(container(command=(), image="prom/node-exporter:v1.8.2", args=("--help",)), {})
    assert found == [find_program("node_exporter"), "--help"]


def test_a_program_that_is_not_here_cannot_be_run() -> None:
    assert container_argv(container(command=("no-such-program",)), {}) is None
    assert container_argv(container(command=()), {}) is None
    assert image_program("team/prometheus-adapter:1.0") is None


def test_missing_programs_are_named_together_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HarnessError, match=r"alertmanager, bwrap on PATH.*apt-get install bubblewrap prometheus-alert"):
        require_programs(["bwrap", "alertmanager"])


def test_a_stack_with_a_receiver_keeps_it_and_one_without_gets_one(shipped: Stack) -> None:
    assert with_receiver(shipped) is shipped
    without = dataclasses.replace(shipped, workloads=(workload("web"),))
    added = with_receiver(without).workloads[-1]
    assert RECEIVER_LABEL.items() <= added.labels.items()


def test_init_containers_run_once_and_in_order(tmp_path: Path) -> None:
    marker = tmp_path / "done"
    log = tmp_path / "log"
    init = [f"echo {number} >> {log}" for number in (1, 2)]
    script = _script(init, f"echo main >> {log}", marker=marker, again=None)
    for _ in range(2):
        subprocess.run(["sh", "-c", script], check=True, timeout=10)
    assert log.read_text(encoding="utf-8").split() == ["1", "2", "main", "main"]


def test_a_failing_init_container_keeps_the_main_one_from_starting(tmp_path: Path) -> None:
    script = _script(["false"], f"touch {tmp_path / 'started'}", marker=tmp_path / "done", again=None)
    assert subprocess.run(["sh", "-c", script], check=False, timeout=10).returncode == 1
    assert not (tmp_path / "started").exists()


def test_work_that_is_begun_again_at_once_waits_first_and_later_does_not(tmp_path: Path) -> None:
    slept, begun = tmp_path / "slept", tmp_path / "begun"
    script = f"sleep() {{ echo $1 >> {slept}; }}\n" + _script([], "true", marker=None, again=begun)
    for ago_s, sleeps in ((None, 0), (0, 1), (2, 1)):
        if ago_s is not None:
            os.utime(begun, (time.time() - ago_s,) * 2)
        subprocess.run(["sh", "-c", script], check=True, timeout=10)
        assert begun.exists()
        assert len(slept.read_text().split() if slept.exists() else []) == sleeps


def run_in_pod(binds: list[sandbox.Bind], *command: str) -> subprocess.CompletedProcess[str]:
    bwrap = require_programs(["bwrap"])["bwrap"]
    argv = sandbox.pod_argv(
        bwrap=bwrap,
        read_only=(),
        binds=binds,
        hidden=(),
        sees_node=False,
        environment={},
        working_dir=None,
        command=command,
    )
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)


def test_a_mount_point_missing_in_a_system_directory_is_made_and_its_neighbours_stay(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("value", encoding="utf-8")
    binds = [sandbox.Bind(str(tmp_path), "/etc/no-such-team/app", read_only=True)]
    done = run_in_pod(binds, "/bin/sh", "-c", "cat /etc/no-such-team/app/key && cat /etc/passwd | head -1")
    assert done.stdout.startswith("valueroot:"), done.stderr


def test_a_container_cannot_write_to_the_machine_or_to_a_read_only_mount(tmp_path: Path) -> None:
    binds = [sandbox.Bind(str(tmp_path), "/data", read_only=True)]
    done = run_in_pod(binds, "/bin/sh", "-c", "touch /usr/x; touch /etc/x; touch /data/x; touch /tmp/x && echo ok")
    assert done.stdout == "ok\n"
    assert done.stderr.count("Read-only file system") == 3
    assert list(tmp_path.iterdir()) == []


def test_two_blocks_leased_at_once_differ_and_a_closed_one_is_free_again() -> None:
    first, second = lease_block(5), lease_block(5)
    assert first.number != second.number
    first.lease.close()
    third = lease_block(5)
    assert third.number == first.number
    second.lease.close()
    third.lease.close()


def test_configuration_of_the_proxy_is_json(shipped: Stack) -> None:
    found = plan(shipped, workload("web"), services=(service("web", target=9000),))
    assert json.loads(json.dumps(proxy_configuration(found.services)))[0]["targets"][0][1] == 9000


def test_a_foreign_server_on_all_addresses_is_named_before_anything_starts(shipped: Stack) -> None:
    with socket.socket() as foreign:
        foreign.bind(("0.0.0.0", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        taken = plan(shipped, workload("web", containers=(container(ports={"http": port}),)))
        with pytest.raises(HarnessError, match=f"already listens on port {port} "):
            require_free_ports(taken)
        udp = container(ports={"dns": port}, not_tcp=frozenset({"dns"}))
        require_free_ports(plan(shipped, workload("web", containers=(udp,))))
    require_free_ports(taken)
