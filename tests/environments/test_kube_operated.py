"""What stands for the Prometheus operator: StatefulSets, configuration and Services of Prometheus and Alertmanager."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.environments.kube.discovery import PORT
from harness.environments.kube.storage import Storage
from harness.environments.kube.translation import Translation, translate
from harness.environments.receiver import with_receiver
from harness.stack import Stack, load_stack, render_prometheus
from tests.environments.test_kube_translation import STORAGE, additions, environment, find, pod_spec, rendered, titles

SHIPPED = Path(__file__).resolve().parents[2] / "fixtures" / "stack"
ALERTMANAGER = """
---
{apiVersion: monitoring.coreos.com/v1, kind: Alertmanager, metadata: {name: am, namespace: mon}, spec: {%s}}
"""
PROMETHEUS = "{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: p, namespace: mon}, spec: {%s}}"
ROOT_OWNED = Storage("standard", "kubernetes.io/host-path", frozenset({"standard"}))


@pytest.fixture(scope="module")
def shipped() -> Stack:
    return load_stack(SHIPPED)


def small(folder: Path, prometheus: str = "", alertmanager: str | None = None, further: str = "") -> Stack:
    text = PROMETHEUS % prometheus + ("" if alertmanager is None else ALERTMANAGER % alertmanager) + further
    (folder / "stack.yaml").write_text(text, encoding="utf-8")
    return with_receiver(load_stack(folder))


def made_of(stack: Stack, **changes: Any) -> Translation:
    return translate(stack, rendered(stack), additions(**changes))


@pytest.mark.parametrize(
    ("name", "service", "replicas", "account"),
    [
        ("prometheus-model-monitoring", "prometheus-operated", 1, "prometheus"),
        ("alertmanager-model-alerts", "alertmanager-operated", 3, "alertmanager"),
    ],
)
def test_each_is_a_set_of_pods_that_find_each_other_at_once(
    shipped: Stack, name: str, service: str, replicas: int, account: str
) -> None:
    made = made_of(shipped)
    found = find(made, "StatefulSet", name, "monitoring")
    spec, template = found["spec"], found["spec"]["template"]
    assert (spec["replicas"], spec["serviceName"], spec["podManagementPolicy"]) == (replicas, service, "Parallel")
    assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert pod_spec(found)["serviceAccountName"] == account
    governing = find(made, "Service", service, "monitoring")["spec"]
    assert governing["clusterIP"] == "None"
    assert governing["publishNotReadyAddresses"] is True
    assert governing["selector"].items() <= template["metadata"]["labels"].items()
    named = {port["name"] for container in pod_spec(found)["containers"] for port in container.get("ports", [])}
    assert {port["targetPort"] for port in governing["ports"]} <= named


def test_they_run_as_nobody_with_no_more_rights_than_they_need(shipped: Stack) -> None:
    made = made_of(shipped)
    for name in ("prometheus-model-monitoring", "alertmanager-model-alerts"):
        spec = pod_spec(find(made, "StatefulSet", name))
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert {context["runAsUser"], context["runAsGroup"], context["fsGroup"]} == {65534}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }


@pytest.mark.parametrize(
    ("name", "file"),
    [("prometheus-model-monitoring", "prometheus.yml"), ("alertmanager-model-alerts", "alertmanager.yml")],
)
def test_the_configuration_lies_where_its_command_line_looks(shipped: Stack, name: str, file: str) -> None:
    made = made_of(shipped)
    spec = pod_spec(find(made, "StatefulSet", name))
    main = spec["containers"][0]
    (volume,) = [each for each in spec["volumes"] if "configMap" in each]
    config = find(made, "ConfigMap", volume["configMap"]["name"], "monitoring")
    (mount,) = [each for each in main["volumeMounts"] if each["name"] == volume["name"]]
    program = main["name"]
    assert f"--config.file={mount['mountPath']}/{file}" in main["args"]
    assert mount["readOnly"] is True
    shown = {item["path"]: config["data"][item["key"]] for item in volume["configMap"]["items"]}
    assert shown == rendered(shipped)[program].files
    assert set(main["args"]) >= set(rendered(shipped)[program].flags)
    assert all(key.replace("-", "").isalnum() for key in config["data"])


def test_promtool_takes_what_the_volume_shows(shipped: Stack, tmp_path: Path) -> None:
    # With discovery over HTTP: not every promtool knows the other.
    over_http = render_prometheus(shipped, None, time_scale=60, discovery_url="http://127.0.0.1:1/targets")
    made = translate(shipped, {**rendered(shipped), "prometheus": over_http}, additions())
    spec = pod_spec(find(made, "StatefulSet", "prometheus-model-monitoring"))
    (volume,) = [each["configMap"] for each in spec["volumes"] if "configMap" in each]
    data = find(made, "ConfigMap", volume["name"])["data"]
    for item in volume["items"]:
        path = tmp_path / item["path"]
        path.parent.mkdir(exist_ok=True)
        path.write_text(data[item["key"]], encoding="utf-8")
    check = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(check, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "3 rule files found" in done.stdout


def test_arguments_may_name_the_pods_own_address(shipped: Stack) -> None:
    for name in ("prometheus-model-monitoring", "alertmanager-model-alerts"):
        main = pod_spec(find(made_of(shipped), "StatefulSet", name))["containers"][0]
        assert any("$(POD_IP)" in argument for argument in main["args"])
        assert environment(main)["POD_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_probes_are_asked_every_second_and_give_up_no_sooner_than_the_operators(shipped: Stack) -> None:
    main = pod_spec(find(made_of(shipped), "StatefulSet", "prometheus-model-monitoring"))["containers"][0]
    ready, alive = main["readinessProbe"], main["livenessProbe"]
    assert ready["httpGet"] == {"path": "/-/ready", "port": 9090}
    assert alive["httpGet"] == {"path": "/-/healthy", "port": 9090}
    assert {ready["periodSeconds"], alive["periodSeconds"]} == {1}
    assert (ready["failureThreshold"], alive["failureThreshold"]) == (15, 30)
    assert (ready["timeoutSeconds"], alive["timeoutSeconds"]) == (3, 3)


CLAIM = "storage: {volumeClaimTemplate: {metadata: {name: data}, spec: {%s resources: {requests: {storage: %s}}}}}"


@pytest.mark.parametrize(("asked", "given"), [("100Gi", 2**30), ("1Gi", 2**30), ("100Mi", 100 * 2**20)])
def test_a_claim_is_as_large_as_asked_for_but_no_larger_than_a_test_needs(
    tmp_path: Path, asked: str, given: int
) -> None:
    found = find(made_of(small(tmp_path, CLAIM % ("", asked))), "StatefulSet", "prometheus-p")
    (claim,) = found["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    assert claim["spec"]["resources"]["requests"]["storage"] == str(given)
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    main = pod_spec(found)["containers"][0]
    assert {"name": "data", "mountPath": "/prometheus", "readOnly": False, "subPath": ""} in main["volumeMounts"]


@pytest.mark.parametrize(
    ("storage", "wanted", "gets"),
    [
        (STORAGE, "slow", "slow"),
        (STORAGE, "fast-ssd", "standard"),
        (STORAGE, None, "standard"),
        (Storage(None, None, frozenset()), None, None),
        (Storage(None, None, frozenset()), "fast-ssd", None),
    ],
)
def test_a_claim_gets_the_class_its_object_names_or_the_default_one(
    tmp_path: Path, storage: Storage, wanted: str | None, gets: str | None
) -> None:
    named = f"storageClassName: {wanted}," if wanted else ""
    stack = small(tmp_path, CLAIM % (named, "1Gi"), CLAIM % (named, "1Gi"))
    made = made_of(stack, storage=storage)
    for name in ("prometheus-p", "alertmanager-am"):
        (claim,) = find(made, "StatefulSet", name)["spec"]["volumeClaimTemplates"]
        assert claim["spec"].get("storageClassName") == gets
    replaced = f"there is no storage class {wanted} here, it gets {gets or 'none'}"
    notes = [f"StatefulSet/prometheus-p: {replaced}", f"StatefulSet/alertmanager-am: {replaced}"]
    assert list(made.notes) == ([] if wanted == gets or wanted is None else notes)


def test_without_a_claim_the_data_is_in_the_pod_and_as_limited_as_asked(tmp_path: Path) -> None:
    stack = small(tmp_path, "storage: {emptyDir: {sizeLimit: 64Mi}}", "")
    made = made_of(stack, storage=ROOT_OWNED)
    prometheus, alertmanager = (find(made, "StatefulSet", name) for name in ("prometheus-p", "alertmanager-am"))
    limits = [
        volume["emptyDir"]
        for found in (prometheus, alertmanager)
        for volume in pod_spec(found)["volumes"]
        if "emptyDir" in volume
    ]
    assert limits == [{"sizeLimit": str(64 * 2**20)}, {}]
    for found in (prometheus, alertmanager):
        assert "volumeClaimTemplates" not in found["spec"]
        assert "initContainers" not in pod_spec(found)


def test_volumes_that_belong_to_root_are_opened_first_and_others_are_not(tmp_path: Path) -> None:
    stack = small(tmp_path, CLAIM % ("", "1Gi"))
    spec = pod_spec(find(made_of(stack, storage=ROOT_OWNED), "StatefulSet", "prometheus-p"))
    (opens,) = spec["initContainers"]
    assert opens["securityContext"] == {"runAsUser": 0, "runAsNonRoot": False, "allowPrivilegeEscalation": False}
    (mount,) = [each for each in opens["volumeMounts"] if each["name"] == "data"]
    assert opens["command"] == ["chmod", "0777", mount["mountPath"]]
    assert opens["image"] == spec["containers"][0]["image"], "no further image is needed"
    assert "initContainers" not in pod_spec(find(made_of(stack), "StatefulSet", "prometheus-p"))


def test_a_prometheus_that_cannot_ask_the_api_has_somebody_beside_it(shipped: Stack) -> None:
    made = made_of(shipped, discovery_image="model-serving/workloads")
    prometheus = pod_spec(find(made, "StatefulSet", "prometheus-model-monitoring"))
    alertmanager = pod_spec(find(made, "StatefulSet", "alertmanager-model-alerts"))
    main, beside = prometheus["containers"]
    assert main["name"] == "prometheus"
    assert beside["image"] == "local/model-serving/workloads"
    assert beside["command"] == ["python", "-m", "harness.environments.kube.discovery", "--port", str(PORT)]
    assert beside["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert len(alertmanager["containers"]) == 1
    assert len(pod_spec(find(made_of(shipped), "StatefulSet", "prometheus-model-monitoring"))["containers"]) == 1


def test_a_stack_without_an_alertmanager_has_none(tmp_path: Path) -> None:
    made = made_of(small(tmp_path))
    assert not [title for title in titles(made) if "alertmanager" in title]
    assert find(made, "StatefulSet", "prometheus-p", "mon")
    config = find(made, "ConfigMap", "prometheus-p-config")["data"]
    assert "alerting" not in yaml.safe_load(config["file-001"])


def test_a_governing_service_the_stack_brings_is_as_written_and_there_once(tmp_path: Path) -> None:
    own = """
---
{apiVersion: v1, kind: Service, metadata: {name: prometheus-operated, namespace: mon, labels: {team: a}},
 spec: {selector: {prometheus: p}, ports: [{name: own, port: 9090}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: prometheus-operated, namespace: other}, spec: {ports: [{port: 1}]}}
"""
    made = made_of(small(tmp_path, further=own))
    assert find(made, "Service", "prometheus-operated", "mon")["spec"] == {
        "selector": {"prometheus": "p"},
        "ports": [{"name": "own", "port": 9090}],
    }
    assert find(made, "Service", "prometheus-operated", "other")["spec"] == {"ports": [{"port": 1}]}


def test_what_the_object_says_of_its_pods_is_said_of_them(tmp_path: Path) -> None:
    text = (
        "replicas: 0, podMetadata: {labels: {zone: z}, annotations: {a: b}}, serviceAccountName: prom, portName: http"
    )
    found = find(made_of(small(tmp_path, text)), "StatefulSet", "prometheus-p")
    template = found["spec"]["template"]
    assert found["spec"]["replicas"] == 0
    assert template["metadata"]["labels"]["zone"] == "z"
    assert template["metadata"]["annotations"] == {"a": "b"}
    assert pod_spec(found)["serviceAccountName"] == "prom"
    assert pod_spec(found)["containers"][0]["ports"] == [{"name": "http", "containerPort": 9090}]


SETTINGS = """
resources: {requests: {memory: 400Mi}, limits: {memory: 1Gi}},
imagePullSecrets: [{name: registry}], secrets: [etcd.certs, absent], configMaps: [web]
"""
HELD = """
---
{apiVersion: v1, kind: Secret, metadata: {name: etcd.certs, namespace: mon}, stringData: {ca.crt: x}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: web, namespace: mon}, data: {a: b}}
---
{apiVersion: v1, kind: Secret, metadata: {name: absent, namespace: other}, stringData: {a: b}}
"""


@pytest.mark.parametrize("name", ["prometheus-p", "alertmanager-am"])
def test_what_the_object_gives_its_program_is_in_its_pod_where_the_operator_puts_it(tmp_path: Path, name: str) -> None:
    made = made_of(small(tmp_path, SETTINGS, SETTINGS, HELD), discovery_image="model-serving/workloads")
    spec = pod_spec(find(made, "StatefulSet", name))
    main, *beside = spec["containers"]
    assert main["resources"] == {"requests": {"memory": "400Mi"}, "limits": {"memory": "1Gi"}}
    assert not any("resources" in each for each in beside)
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    volumes = {each["name"]: {key: value for key, value in each.items() if key != "name"} for each in spec["volumes"]}
    shown = {each["mountPath"]: (volumes[each["name"]], each["readOnly"]) for each in main["volumeMounts"][2:]}
    root = f"/etc/{main['name']}"
    assert shown == {
        f"{root}/secrets/etcd.certs": ({"secret": {"secretName": "etcd.certs"}}, True),
        f"{root}/secrets/absent": ({"secret": {"secretName": "absent", "optional": True}}, True),
        f"{root}/configmaps/web": ({"configMap": {"name": "web"}}, True),
    }
    assert all("." not in each for each in volumes)
    missing = "Secret absent: not in the stack, the pod starts without it unless the cluster has it"
    assert f"StatefulSet/{name}: {missing}" in made.notes


def test_an_object_that_says_nothing_of_its_pods_adds_nothing_to_them(tmp_path: Path) -> None:
    made = made_of(small(tmp_path, "", ""))
    for name in ("prometheus-p", "alertmanager-am"):
        spec = pod_spec(find(made, "StatefulSet", name))
        assert "imagePullSecrets" not in spec
        assert "resources" not in spec["containers"][0]
        assert len(spec["containers"][0]["volumeMounts"]) == 2
    assert made.notes == ()
