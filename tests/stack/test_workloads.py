"""Pod templates: references followed, ports and probes resolved, sizes as numbers."""

import base64
from typing import Any

import pytest

from harness.errors import InputError
from harness.stack import EnvVar, HttpProbe, Mount, Workload
from harness.stack.quantities import parse_bytes, parse_quantity

Manifests = dict[str, dict[str, Any]]


def app(load: Any, make: Any, **container: Any) -> Workload:
    def change(found: Manifests) -> None:
        found["config"] = make("ConfigMap", "c", api="v1", data={"a.txt": "A", "B": "b"})
        data = {"token": base64.b64encode(b"t0p").decode()}
        found["secret"] = make("Secret", "s", api="v1", data=data, stringData={"plain": "p"})
        claim = {"resources": {"requests": {"storage": "1Gi"}}}
        found["claim"] = make("PersistentVolumeClaim", "disk", api="v1", spec=claim)
        pod = found["Deployment/app"]["spec"]["template"]["spec"]
        pod["containers"][0].update(container)
        sources = [
            {"configMap": {"name": "c", "items": [{"key": "B", "path": "b/it"}]}},
            {"secret": {"name": "s"}},
            {"secret": {"name": "gone", "optional": True}},
            {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {"downwardAPI": {"items": [{"path": "cpu", "resourceFieldRef": {"resource": "limits.cpu"}}]}},
            {"serviceAccountToken": {"path": "token"}},
        ]
        pod["volumes"] = [
            {"name": "all", "configMap": {"name": "c"}},
            {"name": "one", "secret": {"secretName": "s", "items": [{"key": "token", "path": "t/k"}]}},
            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
            {"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}},
            {"name": "host", "hostPath": {"path": "/"}},
            {"name": "net", "nfs": {"server": "x", "path": "/"}},
            {"name": "maybe", "configMap": {"name": "gone", "optional": True}},
            {"name": "socket", "hostPath": {"path": "/run/x.sock", "type": "Socket"}},
            {
                "name": "told",
                "downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]},
            },
            {"name": "together", "projected": {"sources": sources}},
        ]

    stack = load(change)
    found: Workload = next(one for one in stack.workloads if one.name == "app")
    return found


def test_volumes_hold_what_they_name(load: Any, make: Any) -> None:
    volumes = {one.name: one for one in app(load, make).volumes}
    assert volumes["all"].files == {"a.txt": "A", "B": "b"}
    assert volumes["one"].files == {"t/k": "t0p"}
    assert (volumes["tmp"].kind, volumes["tmp"].size_bytes) == ("empty_dir", 64 * 2**20)
    assert (volumes["disk"].kind, volumes["disk"].size_bytes) == ("claim", 2**30)
    assert (volumes["host"].kind, volumes["host"].source) == ("host_path", "/")
    assert volumes["net"].kind == "nfs"
    assert volumes["maybe"].files == {}
    assert (volumes["socket"].kind, volumes["socket"].source) == ("host_file", "/run/x.sock")
    assert (volumes["told"].kind, volumes["told"].fields) == ("projected", {"ns": "metadata.namespace"})
    together = volumes["together"]
    assert together.files == {"b/it": "b", "token": "t0p", "plain": "p"}
    assert together.fields == {"l": "metadata.labels"}
    assert together.left_out == ("cpu of the downward API", "serviceAccountToken")


def test_content_that_is_no_text_keeps_its_bytes(load: Any, make: Any) -> None:
    blob = base64.b64encode(b"\xff\x00").decode()

    def change(found: Manifests) -> None:
        found["config"] = make("ConfigMap", "c", api="v1", data={"a": "A"}, binaryData={"b": blob})
        found["secret"] = make("Secret", "s", api="v1", data={"b": blob})
        found["Deployment/app"]["spec"]["template"]["spec"]["volumes"] = [
            {"name": "c", "configMap": {"name": "c"}},
            {"name": "s", "secret": {"secretName": "s"}},
        ]

    volumes = next(one for one in load(change).workloads if one.name == "app").volumes
    bytes_of = [{key: text.encode(errors="surrogateescape") for key, text in one.files.items()} for one in volumes]
    assert bytes_of == [{"a": b"A", "b": b"\xff\x00"}, {"b": b"\xff\x00"}]


def test_binary_data_that_is_no_base64_and_an_absent_source_are_refused(load: Any, make: Any) -> None:
    def broken(found: Manifests) -> None:
        found["config"] = make("ConfigMap", "c", api="v1", binaryData={"b": "%"})

    with pytest.raises(InputError, match=r"binaryData\.b: is not base64"):
        load(broken)

    def lacking(found: Manifests) -> None:
        volume = {"name": "p", "projected": {"sources": [{"secret": {"name": "gone"}}]}}
        found["Deployment/app"]["spec"]["template"]["spec"]["volumes"] = [volume]

    with pytest.raises(InputError, match=r"volumes\[0\]\.projected\.sources\[0\]\.secret: needs Secret gone in"):
        load(lacking)


def test_environment_variables_are_followed_to_their_values(load: Any, make: Any) -> None:
    env = [
        {"name": "LITERAL", "value": "x"},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
        {"name": "GONE", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "no", "optional": True}}},
    ]
    source = [{"prefix": "P_", "secretRef": {"name": "s"}}]
    assert app(load, make, env=env, envFrom=source).containers[0].env == (
        EnvVar("P_token", "t0p"),
        EnvVar("P_plain", "p"),
        EnvVar("LITERAL", "x"),
        EnvVar("IP", field_path="status.podIP"),
        EnvVar("TOKEN", "t0p", secret_key=("s", "token")),
        EnvVar("GONE", config_map_key=("c", "no")),
    )


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "requests.memory"}, str(64 * 2**20)),
        ({"resource": "requests.cpu", "divisor": "0"}, "1"),
        ({"resource": "limits.ephemeral-storage"}, None),
        ({"resource": "limits.cpu", "containerName": "other"}, None),
    ],
)
def test_a_resource_is_told_in_whole_divisors(load: Any, make: Any, reference: dict[str, str], value: str) -> None:
    resources = {"limits": {"cpu": "1500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}}
    env = [{"name": "X", "valueFrom": {"resourceFieldRef": reference}}]
    assert app(load, make, env=env, resources=resources).containers[0].env == (EnvVar("X", value),)


def test_probes_and_mounts_are_resolved_and_others_named(load: Any, make: Any) -> None:
    container = app(
        load,
        make,
        readinessProbe={"httpGet": {"path": "/r", "port": "http"}},
        livenessProbe={"tcpSocket": {"port": 8000}, "periodSeconds": 3},
        volumeMounts=[{"name": "tmp", "mountPath": "/t", "subPath": "s", "readOnly": True}],
    ).containers[0]
    assert container.readiness == HttpProbe("/r", 8000, period_s=10, timeout_s=1, failure_threshold=3)
    assert container.liveness == HttpProbe(None, 8000, period_s=3, timeout_s=1, failure_threshold=3)
    assert container.mounts == (Mount("tmp", "/t", "s", True),)


def test_the_references_of_a_sub_path_are_for_the_container_to_fill_in(load: Any, make: Any) -> None:
    mounts = [
        {"name": "tmp", "mountPath": "/a", "subPathExpr": "$(IP)/a"},
        {"name": "tmp", "mountPath": "/b", "subPath": "$(IP)"},
    ]
    assert app(load, make, volumeMounts=mounts).containers[0].mounts == (
        Mount("tmp", "/a", "$(IP)/a", False, expands=True),
        Mount("tmp", "/b", "$(IP)", False),
    )


@pytest.mark.parametrize("key", ["subPath", "subPathExpr"])
@pytest.mark.parametrize("path", ["..", "a/../../b", "/etc"])
def test_a_sub_path_that_leads_out_is_refused(load: Any, make: Any, key: str, path: str) -> None:
    with pytest.raises(InputError, match=rf'volumeMounts\[0\]\.{key}: got "{path}", need a relative path'):
        app(load, make, volumeMounts=[{"name": "tmp", "mountPath": "/a", key: path}])


def test_a_probe_keeps_its_scheme_headers_and_timeout(load: Any, make: Any) -> None:
    get = {"port": 8443, "scheme": "HTTPS", "httpHeaders": [{"name": "Host", "value": "app"}]}
    found = app(load, make, readinessProbe={"httpGet": get, "timeoutSeconds": 5}).containers[0].readiness
    assert found == HttpProbe("/", 8443, 10, 5, 3, scheme="HTTPS", headers={"Host": "app"})


def test_ports_that_are_not_tcp_are_told_apart(load: Any, make: Any) -> None:
    ports = [
        {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        {"name": "http", "containerPort": 8000},
        {"containerPort": 9, "protocol": "SCTP"},
        {"containerPort": 54, "protocol": "TCP"},
        {"containerPort": 54, "protocol": "UDP"},
    ]
    container = app(load, make, ports=ports).containers[0]
    assert container.ports == {"dns": 53, "http": 8000, "9": 9, "54": 54}
    assert container.tcp_ports == (8000, 54)


def test_a_probe_only_a_kubelet_can_run_is_named(load: Any) -> None:
    def change(found: Manifests) -> None:
        container = found["Deployment/app"]["spec"]["template"]["spec"]["containers"][0]
        container["livenessProbe"] = {"exec": {"command": ["true"]}}

    assert load(change).ignored == ("Deployment/app: main: livenessProbe",)
    assert load().ignored == ()


@pytest.mark.parametrize(
    ("text", "number"), [("64Mi", 2**26), ("1G", 10**9), (3, 3), ("1e3", 1000), ("1.5Ki", 1536), ("100m", 1)]
)
def test_sizes_are_whole_bytes_rounded_up(text: str | int, number: int) -> None:
    assert parse_bytes(text) == number


@pytest.mark.parametrize("text", ["64MB", "", "x", "1 Gi", "1ee3", "Mi", "--1"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="need a quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("spec", "pods"),
    [
        ({}, 1),
        ({"parallelism": 3}, 3),
        ({"parallelism": 3, "completions": 1}, 1),
        ({"parallelism": 2, "completions": 5}, 2),
        ({"parallelism": 0}, 0),
        ({"parallelism": 3, "suspend": True}, 0),
        ({"parallelism": 3, "suspend": False}, 3),
    ],
)
def test_a_job_has_as_many_pods_as_its_controller_runs_at_a_time(
    load: Any, make: Any, spec: dict[str, Any], pods: int
) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "job:1"}]}}

    def change(found: Manifests) -> None:
        found["job"] = make("Job", "job", api="batch/v1", spec={**spec, "template": template})

    assert next(one for one in load(change).workloads if one.name == "job").replicas == pods


@pytest.mark.parametrize(
    ("hook", "there"),
    [
        ("test", False),
        ("test-success", False),
        ("pre-delete, post-delete", False),
        ("post-rollback", False),
        ("pre-install,post-upgrade", True),
        ("post-install, test", True),
        ("", True),
    ],
)
def test_what_helm_does_not_make_when_it_installs_is_not_there_and_named(
    load: Any, make: Any, hook: str, there: bool
) -> None:
    def change(found: Manifests) -> None:
        pod = make("Pod", "probe", api="v1", spec={"containers": [{"name": "main", "image": "probe:1"}]})
        pod["metadata"]["annotations"] = {"helm.sh/hook": hook}
        found["probe"] = pod

    stack = load(change)
    assert any(one.name == "probe" for one in stack.workloads) is there
    assert any(one["metadata"]["name"] == "probe" for one in stack.documents) is there
    assert [line for line in stack.unselected if line.startswith("Pod/probe: a Helm hook")] == [
        line for line in stack.unselected if not there
    ]
    assert len(stack.unselected) == (0 if there else 1)
