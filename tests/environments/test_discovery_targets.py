"""Which targets there are and how they are labelled: as Prometheus's own discovery has it, roles endpoints and pod.

The expected labels are those of discovery/kubernetes in Prometheus 2.42.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from harness.environments.kube.discovered import endpoint_targets, pod_targets

META = "__meta_kubernetes_"


def named(name: str, namespace: str = "n", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, **metadata}}


def pod(name: str = "p", *containers: dict[str, Any], ip: str | None = "10.0.0.7", **changes: Any) -> dict[str, Any]:
    """A pod whose one container has the ports http 8000 and metrics 8002, unless it is given others."""
    ports = [{"name": "http", "containerPort": 8000}, {"name": "metrics", "containerPort": 8002, "protocol": "TCP"}]
    return {
        **named(name, uid=f"uid-{name}", labels={"app": "a"}, **changes.pop("metadata", {})),
        "spec": {
            "nodeName": "node-1",
            "containers": list(containers) or [{"name": "main", "image": "i:1", "ports": ports}],
            **changes.pop("spec", {}),
        },
        "status": {
            "phase": "Running",
            "hostIP": "192.0.2.1",
            "conditions": [{"type": "Ready", "status": "True"}],
            **({"podIP": ip} if ip else {}),
            **changes.pop("status", {}),
        },
    }


def address(ip: str = "10.0.0.7", name: str = "p", *, kind: str = "Pod", namespace: str = "n") -> dict[str, Any]:
    return {"ip": ip, "nodeName": "node-1", "targetRef": {"kind": kind, "name": name, "namespace": namespace}}


def endpoints(*subsets: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**named("s", **metadata), "subsets": list(subsets)}


def subset(*ports: tuple[str, int], ready: Any = (), unready: Any = ()) -> dict[str, Any]:
    return {
        "addresses": list(ready),
        "notReadyAddresses": list(unready),
        "ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports],
    }


def short(labels: dict[str, str]) -> dict[str, str]:
    return {key.removeprefix(META): value for key, value in labels.items()}


def by_address(targets: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    found = {each["targets"][0]: short(each["labels"]) for each in targets}
    assert len(found) == len(targets)
    return found


POD_LABELS = {
    "pod_name": "p",
    "pod_ip": "10.0.0.7",
    "pod_ready": "true",
    "pod_phase": "Running",
    "pod_node_name": "node-1",
    "pod_host_ip": "192.0.2.1",
    "pod_uid": "uid-p",
    "pod_label_app": "a",
    "pod_labelpresent_app": "true",
}
HTTP_LABELS = {
    "pod_container_name": "main",
    "pod_container_image": "i:1",
    "pod_container_port_name": "http",
    "pod_container_port_number": "8000",
    "pod_container_port_protocol": "TCP",
}
METRICS_LABELS = {**HTTP_LABELS, "pod_container_port_name": "metrics", "pod_container_port_number": "8002"}


def test_an_endpoint_of_a_pod_has_the_labels_of_all_that_it_is_part_of() -> None:
    service = named("s", labels={"app.kubernetes.io/name": "x"}, annotations={"a.b/c-d": "e"})
    found = endpoint_targets(
        [endpoints(subset(("web", 8000), ready=[address()]), labels={"l": "v"})], [service], [pod()]
    )
    shared = {
        "namespace": "n",
        "endpoints_name": "s",
        "endpoints_label_l": "v",
        "endpoints_labelpresent_l": "true",
        "service_name": "s",
        "service_label_app_kubernetes_io_name": "x",
        "service_labelpresent_app_kubernetes_io_name": "true",
        "service_annotation_a_b_c_d": "e",
        "service_annotationpresent_a_b_c_d": "true",
    }
    assert by_address(found) == {
        "10.0.0.7:8000": {
            **shared,
            **POD_LABELS,
            **HTTP_LABELS,
            "endpoint_port_name": "web",
            "endpoint_port_protocol": "TCP",
            "endpoint_ready": "true",
            "endpoint_address_target_kind": "Pod",
            "endpoint_address_target_name": "p",
            "endpoint_node_name": "node-1",
        },
        # A port the Service does not lead to is a target too, of the pod alone.
        "10.0.0.7:8002": {**shared, **POD_LABELS, **METRICS_LABELS},
    }


def test_a_pod_that_is_not_ready_is_a_target_that_says_so() -> None:
    unready = pod("q", ip="10.0.0.8", status={"conditions": [{"type": "Ready", "status": "False"}]})
    served = subset(("web", 8000), ("m", 8002), ready=[address()], unready=[address("10.0.0.8", "q")])
    found = by_address(endpoint_targets([endpoints(served)], [named("s")], [pod(), unready]))
    assert {where: (labels["endpoint_ready"], labels["pod_ready"]) for where, labels in found.items()} == {
        "10.0.0.7:8000": ("true", "true"),
        "10.0.0.7:8002": ("true", "true"),
        "10.0.0.8:8000": ("false", "false"),
        "10.0.0.8:8002": ("false", "false"),
    }


def test_every_subset_counts_for_what_is_served() -> None:
    both = endpoints(subset(("web", 8000), ready=[address()]), subset(("m", 8002), ready=[address()]))
    found = by_address(endpoint_targets([both], [named("s")], [pod()]))
    assert {where: labels["endpoint_port_name"] for where, labels in found.items()} == {
        "10.0.0.7:8000": "web",
        "10.0.0.7:8002": "m",
    }


@pytest.mark.parametrize(
    "where",
    [
        address(name="gone"),
        address(namespace="other"),
        address(kind="Node"),
        {"ip": "10.0.0.7", "hostname": "db-1"},
    ],
)
def test_an_address_of_no_known_pod_is_a_target_without_a_pods_labels(where: dict[str, Any]) -> None:
    found = by_address(endpoint_targets([endpoints(subset(("web", 8000), ready=[where]))], [named("s")], [pod()]))
    (labels,) = found.values()
    assert list(found) == ["10.0.0.7:8000"]
    assert not [key for key in labels if key.startswith("pod_")]
    assert labels.get("endpoint_hostname") == where.get("hostname")
    assert labels.get("endpoint_address_target_kind") == where.get("targetRef", {}).get("kind")


def test_without_its_service_an_endpoint_is_a_target_without_the_services_labels() -> None:
    others = [named("s", namespace="other"), named("t")]
    (labels,) = by_address(
        endpoint_targets([endpoints(subset(("w", 1), ready=[{"ip": "10.0.0.1"}]))], others, [])
    ).values()
    assert not [key for key in labels if key.startswith("service_")]
    assert labels["endpoints_name"] == "s"


@pytest.mark.parametrize("subsets", [None, [], [{"addresses": [address()]}], [{"ports": [{"port": 1}]}]])
def test_endpoints_without_addresses_or_ports_are_no_targets(subsets: Any) -> None:
    assert endpoint_targets([{**named("s"), "subsets": subsets}, named("t")], [named("s")], [pod()]) == []


def test_a_port_no_container_declares_has_no_containers_labels() -> None:
    found = by_address(endpoint_targets([endpoints(subset(("web", 9999), ready=[address()]))], [named("s")], [pod()]))
    assert not [key for key in found["10.0.0.7:9999"] if key.startswith("pod_container")]
    assert set(found) == {"10.0.0.7:9999", "10.0.0.7:8000", "10.0.0.7:8002"}


def test_of_containers_that_declare_one_port_the_last_counts_and_the_protocol_is_the_endpoints() -> None:
    first = {"name": "first", "ports": [{"name": "a", "containerPort": 53}]}
    last = {
        "name": "last",
        "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}, {"name": "dns-tcp", "containerPort": 53}],
    }
    served = endpoints(subset(("dns-tcp", 53), ready=[address()]))
    (labels,) = by_address(endpoint_targets([served], [named("s")], [pod("p", first, last)])).values()
    assert labels["pod_container_name"] == "last"
    assert labels["pod_container_port_name"] == "dns"
    assert labels["pod_container_port_protocol"] == "TCP"


def test_the_ports_of_a_pod_that_lost_its_address_are_no_targets() -> None:
    gone = pod(ip=None, status={"phase": "Failed"})
    found = by_address(endpoint_targets([endpoints(subset(("web", 8000), unready=[address()]))], [named("s")], [gone]))
    assert list(found) == ["10.0.0.7:8000"]
    assert found["10.0.0.7:8000"]["pod_ip"] == ""


def test_init_containers_are_no_endpoints() -> None:
    with_init = pod(spec={"initContainers": [{"name": "i", "ports": [{"containerPort": 8000}, {"containerPort": 1}]}]})
    found = by_address(endpoint_targets([endpoints(subset(("w", 8000), ready=[address()]))], [named("s")], [with_init]))
    assert set(found) == {"10.0.0.7:8000", "10.0.0.7:8002"}
    assert {each["pod_container_name"] for each in found.values()} == {"main"}


@pytest.mark.parametrize("role", ["endpoints", "pod"])
def test_an_address_of_six_groups_stands_in_brackets(role: str) -> None:
    six = pod(ip="fd00::7")
    if role == "pod":
        found = pod_targets([six])
    else:
        found = endpoint_targets([endpoints(subset(("w", 8000), ready=[address("fd00::7")]))], [named("s")], [six])
    assert set(by_address(found)) == {"[fd00::7]:8000", "[fd00::7]:8002"}


def test_each_port_of_a_pod_is_a_target() -> None:
    ids = {"containerStatuses": [{"name": "main", "containerID": "containerd://ab"}]}
    own = {"pod_container_id": "containerd://ab", "pod_container_init": "false"}
    assert by_address(pod_targets([pod(status=ids)])) == {
        "10.0.0.7:8000": {"namespace": "n", **POD_LABELS, **HTTP_LABELS, **own},
        "10.0.0.7:8002": {"namespace": "n", **POD_LABELS, **METRICS_LABELS, **own},
    }


def test_a_container_without_ports_is_one_target_without_a_port() -> None:
    (target,) = pod_targets([pod("p", {"name": "main", "image": "i:1", "ports": []}, ip="fd00::7")])
    assert target["targets"] == ["fd00::7"]
    labels = short(target["labels"])
    assert (labels["pod_container_name"], labels["pod_container_id"]) == ("main", "")
    assert not [key for key in labels if "container_port" in key]


def test_init_containers_are_targets_that_say_so() -> None:
    with_init = pod(
        spec={"initContainers": [{"name": "init", "ports": [{"containerPort": 1}]}]},
        status={"initContainerStatuses": [{"name": "init", "containerID": "containerd://cd"}]},
    )
    labels = by_address(pod_targets([with_init]))["10.0.0.7:1"]
    assert (labels["pod_container_init"], labels["pod_container_id"]) == ("true", "containerd://cd")
    assert labels["pod_container_port_name"] == ""


def test_a_pod_without_an_address_is_no_target_and_one_that_has_ended_is() -> None:
    ended = pod("q", ip="10.0.0.8", status={"phase": "Succeeded"})
    found = by_address(pod_targets([pod(ip=None), {**pod("r"), "status": {}}, ended]))
    assert set(found) == {"10.0.0.8:8000", "10.0.0.8:8002"}
    assert {each["pod_phase"] for each in found.values()} == {"Succeeded"}


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ([], "unknown"),
        ([{"type": "Ready", "status": "Unknown"}], "unknown"),
        ([{"type": "Other", "status": "True"}], "unknown"),
    ],
)
def test_a_pod_of_which_nobody_says_whether_it_is_ready_is_unknown(conditions: Any, ready: str) -> None:
    found = by_address(pod_targets([pod(status={"conditions": conditions})]))
    assert {each["pod_ready"] for each in found.values()} == {ready}


def test_the_controller_is_the_owner_that_says_so() -> None:
    owners = [{"kind": "Other", "name": "o"}, {"kind": "ReplicaSet", "name": "d-1", "controller": True}]
    (labels, *_) = by_address(pod_targets([pod(metadata={"ownerReferences": owners})])).values()
    assert (labels["pod_controller_kind"], labels["pod_controller_name"]) == ("ReplicaSet", "d-1")
    (labels, *_) = by_address(pod_targets([pod(metadata={"ownerReferences": owners[:1]})])).values()
    assert not [key for key in labels if "controller" in key]


@pytest.mark.parametrize("role", ["endpoints", "pod"])
def test_labels_are_what_a_prometheus_reads_over_http(role: str) -> None:
    odd = pod(metadata={"annotations": {"a.b/c-ü": "", "x": "1"}, "ownerReferences": None}, status={"conditions": []})
    served = endpoints(subset(("w", 8000), ready=[address()]), annotations={"k/l": "m"})
    found = pod_targets([odd]) if role == "pod" else endpoint_targets([served], [named("s", labels=None)], [odd])
    assert found
    for target in found:
        assert set(target) == {"targets", "labels"}
        for key, value in target["labels"].items():
            assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", key)
            assert isinstance(value, str)
    assert found[0]["labels"][f"{META}pod_annotation_a_b_c__"] == ""
    assert found[0]["labels"][f"{META}pod_annotationpresent_a_b_c__"] == "true"
