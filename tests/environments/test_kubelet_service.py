"""The addresses of kubelets behind a Service without a selector."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.environments.kube.kubelet_service import kubelet_endpoints
from harness.stack import Stack, load_stack
from tests.environments.stacks import merged


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return load_stack(merged(tmp_path_factory.mktemp("stack")))


def node(name: str, **addresses: str) -> dict[str, Any]:
    listed = [{"type": kind, "address": address} for kind, address in addresses.items()]
    return {"metadata": {"name": name}, "status": {"addresses": listed}}


def test_each_node_is_an_address_with_the_nodes_name(stack: Stack) -> None:
    nodes = [node("a", Hostname="a", InternalIP="10.0.0.1"), node("b", InternalIP="10.0.0.2")]
    (endpoints,) = kubelet_endpoints(stack, nodes)
    assert endpoints["metadata"]["labels"] == {"app.kubernetes.io/name": "kubelet"}
    (subset,) = endpoints["subsets"]
    assert [(each["ip"], each["targetRef"]["name"]) for each in subset["addresses"]] == [
        ("10.0.0.1", "a"),
        ("10.0.0.2", "b"),
    ]
    assert [(port["name"], port["port"]) for port in subset["ports"]] == [("https-metrics", 10250)]


def test_a_node_without_an_address_is_none(stack: Stack) -> None:
    assert kubelet_endpoints(stack, [node("a", Hostname="a")])[0]["subsets"] == []


def test_without_the_service_nothing_is_written(stack: Stack) -> None:
    nodes = [node("a", InternalIP="10.0.0.1")]
    without = tuple(each for each in stack.services if each.name != "kubelet")
    assert kubelet_endpoints(replace(stack, services=without), nodes) == []


def test_a_service_that_selects_pods_keeps_its_own_addresses(stack: Stack) -> None:
    nodes = [node("a", InternalIP="10.0.0.1")]
    selecting = tuple(replace(each, selector={"app": "proxy"}) for each in stack.services if each.name == "kubelet")
    assert kubelet_endpoints(replace(stack, services=selecting), nodes) == []


def test_the_ports_of_the_service_are_those_that_are_written(stack: Stack) -> None:
    service = next(each for each in stack.services if each.name == "kubelet")
    (endpoints,) = kubelet_endpoints(stack, [node("a", InternalIP="10.0.0.1")])
    written = {(port["name"], port["port"]) for port in endpoints["subsets"][0]["ports"]}
    assert {(port.name, port.port) for port in service.ports} == written
