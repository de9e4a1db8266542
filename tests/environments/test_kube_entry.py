"""The port of this machine that leads into a kind cluster; docker is a script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.environments.kube.entry import NODE_PORT, entry_address, entry_service, port_mapping
from harness.errors import HarnessError
from harness.stack import load_stack
from tests.environments.fake_programs import Program, on_path

SHIPPED = Path(__file__).resolve().parents[2] / "fixtures" / "stack"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    with on_path(tmp_path / "programs", monkeypatch) as programs:
        yield Program(programs, "docker")


def asked(docker: Program, **answer: object) -> None:
    docker.expects("port", "c-control-plane", f"{NODE_PORT}/tcp", **answer)  # type: ignore[arg-type]


def test_only_this_machine_itself_has_the_port() -> None:
    assert port_mapping()["listenAddress"] == "127.0.0.1"
    assert port_mapping()["containerPort"] == NODE_PORT


def test_the_entry_leads_to_the_pods_of_the_service_and_carries_none_of_its_labels() -> None:
    stack = load_stack(SHIPPED)
    service = next(each for each in stack.services if each.labels.get("app") == "model-serving")
    port = next(each for each in service.ports if each.name == "http")
    made = entry_service(stack, f"{service.namespace}/{service.name}:{port.port}")
    assert made["metadata"] == {"name": "harness-entry", "namespace": service.namespace}
    assert made["spec"]["selector"] == dict(service.selector)
    (only,) = made["spec"]["ports"]
    assert (only["port"], only["targetPort"], only["nodePort"]) == (port.port, port.target, NODE_PORT)


@pytest.mark.parametrize("target", ["model-serving/none:8000", "model-serving/inference:1", "elsewhere/inference:8000"])
def test_a_service_that_the_stack_does_not_have_is_an_error(target: str) -> None:
    with pytest.raises(HarnessError, match=f"the stack has no Service {target}"):
        entry_service(load_stack(SHIPPED), target)


def test_docker_says_which_port_it_is(docker: Program) -> None:
    asked(docker, out="127.0.0.1:40123\n")
    assert entry_address("c-control-plane") == "127.0.0.1:40123"


@pytest.mark.parametrize("told", ["", "0.0.0.0:40123\n", "10.0.0.1:40123\n"])
def test_a_port_that_others_reach_too_or_none_is_refused(docker: Program, told: str) -> None:
    asked(docker, out=told, code=0)
    with pytest.raises(HarnessError, match=r"no port of this machine leads into c-control-plane.*down --kept"):
        entry_address("c-control-plane")


def test_what_docker_complains_of_is_told(docker: Program) -> None:
    asked(docker, err="no public port '30080/tcp' published", code=1)
    with pytest.raises(HarnessError, match="no public port"):
        entry_address("c-control-plane")
