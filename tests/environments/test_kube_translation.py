"""What becomes of a stack's manifests in a cluster: what stays as written, what a run adds, and in which order."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.environments.kube.additions import Additions
from harness.environments.kube.storage import Storage
from harness.environments.kube.translation import Translation, translate
from harness.environments.kube.vocabulary import MANAGED
from harness.environments.receiver import with_receiver
from harness.stack import Rendered, Stack, load_stack, render_alertmanager, render_prometheus

SHIPPED = Path(__file__).resolve().parents[2] / "fixtures" / "stack"
STORAGE = Storage("standard", "rancher.io/local-path", frozenset({"standard", "slow"}))
PROMETHEUS = "{apiVersion: monitoring.coreos.com/v1, kind: Prometheus, metadata: {name: p, namespace: mon}, spec: {}}"
POD_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod")

Object = Mapping[str, Any]
Load = Callable[..., Stack]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a stack of a Prometheus and these documents, with a receiver where it has none."""

    def loaded(*documents: str) -> Stack:
        (tmp_path / "stack.yaml").write_text("\n---\n".join([PROMETHEUS, *documents]), encoding="utf-8")
        return with_receiver(load_stack(tmp_path))

    return loaded


@pytest.fixture(scope="module")
def shipped() -> Stack:
    return load_stack(SHIPPED)


def additions(**changes: Any) -> Additions:
    plain = Additions(
        run="run-1",
        time_scale=60.0,
        image=lambda name: (f"local/{name}", False),
        gpu_dir=None,
        gpu_file="devices",
        storage=STORAGE,
    )
    return replace(plain, **changes)


def rendered(stack: Stack) -> dict[str, Rendered]:
    return {
        "prometheus": render_prometheus(stack, None, time_scale=60),
        "alertmanager": render_alertmanager(stack, time_scale=60, capture_url="http://c/captured", host_addresses={}),
    }


def translated(stack: Stack, **changes: Any) -> Translation:
    return translate(stack, rendered(stack), additions(**changes))


def find(translation: Translation, kind: str, name: str, namespace: str | None = None) -> Any:
    (found,) = [
        each
        for each in translation.objects
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
        and namespace in (None, each["metadata"].get("namespace"))
    ]
    return found


def pod_spec(found: Object) -> Any:
    return found["spec"] if found["kind"] == "Pod" else found["spec"]["template"]["spec"]


def titles(translation: Translation) -> list[str]:
    return [f"{each['kind']}/{each['metadata']['name']}" for each in translation.objects]


def job(spec: str = "", container: str = "", *, metadata: str = "namespace: app") -> str:
    """A Job with one container, with more in its pod and in its container."""
    return f"""
apiVersion: batch/v1
kind: Job
metadata: {{name: job, {metadata}}}
spec:
  template:
    metadata: {{labels: {{app: job}}}}
    spec: {{restartPolicy: Never, {spec} containers: [{{name: main, image: job:1, {container}}}]}}
"""


def test_every_object_is_labelled_and_keeps_the_labels_it_has(shipped: Stack) -> None:
    made = translated(shipped)
    assert {each["metadata"]["labels"][MANAGED] for each in made.objects} == {"run-1"}
    written = {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]): each["metadata"].get("labels", {})
        for each in shipped.documents
        if not each["apiVersion"].startswith("monitoring.coreos.com")
    }
    for each in made.objects:
        key = (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        assert written.get(key, {}).items() <= each["metadata"]["labels"].items()
    assert written.keys() <= {
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in made.objects
    }


@pytest.mark.parametrize("labels", ["labels: null", "labels: {}", ""])
def test_an_object_without_labels_is_labelled_too(load: Load, labels: str) -> None:
    config = f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c, namespace: app, {labels}}}, data: {{a: b}}}}"
    assert find(translated(load(config)), "ConfigMap", "c")["metadata"]["labels"] == {MANAGED: "run-1"}


def test_the_stack_itself_is_not_changed(shipped: Stack) -> None:
    before = copy.deepcopy(shipped.documents)
    translated(shipped, gpu_dir="/run/gpu")
    assert shipped.documents == before


def test_the_shipped_stack_becomes_these_objects(shipped: Stack) -> None:
    made = [
        f"{each['kind']} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}"
        for each in translated(shipped).objects
    ]
    assert len(made) == len(set(made))
    assert not [each for each in translated(shipped).objects if "coreos" in each["apiVersion"]]
    assert {each for each in made if each.startswith("StatefulSet")} == {
        "StatefulSet monitoring/prometheus-model-monitoring",
        "StatefulSet monitoring/alertmanager-model-alerts",
    }
    assert {each for each in made if each.startswith("Namespace")} == {
        "Namespace /monitoring",
        "Namespace /model-serving",
        "Namespace /training",
    }
    assert {"Service monitoring/prometheus-operated", "Service monitoring/alertmanager-operated"} <= set(made)
    assert "Service monitoring/harness-capture" in made
    assert "Deployment monitoring/notification-receiver" in made


def test_all_containers_run_what_the_mapping_says_and_are_pulled_only_where_they_may_be(load: Load) -> None:
    stack = load(job("initContainers: [{name: first, image: first:1, imagePullPolicy: Always}],"))
    spec = pod_spec(find(translated(stack), "Job", "job"))
    containers = [*spec["initContainers"], *spec["containers"]]
    assert [(each["image"], each["imagePullPolicy"]) for each in containers] == [
        ("local/first:1", "Never"),
        ("local/job:1", "Never"),
    ]
    pulled = pod_spec(find(translated(stack, image=lambda name: (f"mirror/{name}", True)), "Job", "job"))
    containers = [*pulled["initContainers"], *pulled["containers"]]
    assert [(each["image"], each.get("imagePullPolicy")) for each in containers] == [
        ("mirror/first:1", "Always"),
        ("mirror/job:1", None),
    ]


def test_every_pod_of_the_shipped_stack_runs_a_mapped_image(shipped: Stack) -> None:
    made = translated(shipped, discovery_image="model-serving/workloads")
    pods = [pod_spec(each) for each in made.objects if each["kind"] in POD_KINDS]
    assert len(pods) == len(shipped.workloads)
    containers = [one for pod in pods for one in (*pod.get("initContainers", []), *pod["containers"])]
    assert len(containers) == sum(len(each.containers) for each in shipped.workloads) + 1
    assert all(one["image"].startswith("local/") and one["imagePullPolicy"] == "Never" for one in containers)


def environment(container: Object) -> dict[str, Any]:
    names = [each["name"] for each in container["env"]]
    assert len(names) == len(set(names))
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def test_variables_are_added_in_front_and_replace_none_of_the_manifests(load: Load) -> None:
    stack = load(job("", "env: [{name: OWN, value: $(TIME_SCALE)}, {name: PYTHONUNBUFFERED, value: '0'}],"))
    (container,) = pod_spec(find(translated(stack, variables={"SEED": "7", "OWN": "x"}), "Job", "job"))["containers"]
    assert environment(container) == {"TIME_SCALE": "60", "SEED": "7", "OWN": "$(TIME_SCALE)", "PYTHONUNBUFFERED": "0"}
    assert [each["name"] for each in container["env"]].index("TIME_SCALE") == 0


def test_a_variable_of_the_manifest_that_comes_from_elsewhere_is_kept(load: Load) -> None:
    stack = load(job("", "env: [{name: TIME_SCALE, valueFrom: {fieldRef: {fieldPath: metadata.name}}}],"))
    (container,) = pod_spec(find(translated(stack), "Job", "job"))["containers"]
    assert environment(container)["TIME_SCALE"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_init_containers_get_the_variables_too(load: Load) -> None:
    spec = pod_spec(find(translated(load(job("initContainers: [{name: a, image: a:1}],"))), "Job", "job"))
    assert environment(spec["initContainers"][0]) == environment(spec["containers"][0])


@pytest.mark.parametrize(
    ("scale", "period", "delay", "grace", "deadline"),
    [(1, 120, 90, 30, 600), (60, 2, 2, 1, 10), (1000, 1, 1, 1, 1)],
)
def test_waits_of_pods_and_readiness_shrink_to_a_second_at_least_and_timeouts_stay(
    load: Load, scale: float, period: int, delay: int, grace: int, deadline: int
) -> None:
    probe = "{httpGet: {port: 1}, periodSeconds: 120, timeoutSeconds: 9, initialDelaySeconds: 90, failureThreshold: 7}"
    pod = "terminationGracePeriodSeconds: 30, activeDeadlineSeconds: 600,"
    spec = pod_spec(find(translated(load(job(pod, f"readinessProbe: {probe}")), time_scale=scale), "Job", "job"))
    ready = spec["containers"][0]["readinessProbe"]
    assert (ready["periodSeconds"], ready["initialDelaySeconds"]) == (period, delay)
    assert (ready["timeoutSeconds"], ready["failureThreshold"]) == (9, 7)
    assert (spec["terminationGracePeriodSeconds"], spec["activeDeadlineSeconds"]) == (grace, deadline)


@pytest.mark.parametrize("scale", [1, 60])
def test_a_readiness_probe_that_states_no_period_has_the_clusters_own(load: Load, scale: float) -> None:
    stack = load(job("", "readinessProbe: {exec: {command: [a]}, initialDelaySeconds: 0}"))
    ready = pod_spec(find(translated(stack, time_scale=scale), "Job", "job"))["containers"][0]["readinessProbe"]
    assert (ready["periodSeconds"], ready["initialDelaySeconds"]) == ({1: 10, 60: 1}[int(scale)], 0)


@pytest.mark.parametrize("name", ["livenessProbe", "startupProbe"])
@pytest.mark.parametrize(
    "probe",
    [
        "{exec: {command: [a]}}",
        "{httpGet: {port: 1}, initialDelaySeconds: 60, periodSeconds: 10, failureThreshold: 30, timeoutSeconds: 2}",
    ],
)
def test_a_program_has_as_long_to_start_and_to_answer_as_its_manifest_gives_it(
    load: Load, name: str, probe: str
) -> None:
    stack = load(job(f"initContainers: [{{name: first, image: a, {name}: {probe}}}],", f"{name}: {probe}"))
    spec = pod_spec(find(translated(stack), "Job", "job"))
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container[name] == yaml.safe_load(probe)


def test_a_wait_of_nothing_and_one_that_is_not_stated_stay_so(load: Load) -> None:
    spec = pod_spec(find(translated(load(job("terminationGracePeriodSeconds: 0,"))), "Job", "job"))
    assert spec["terminationGracePeriodSeconds"] == 0
    assert "activeDeadlineSeconds" not in spec
    assert not [key for key in spec["containers"][0] if key.endswith("Probe")]


def test_a_jobs_pods_are_there_to_be_seen_once_they_are_done(load: Load) -> None:
    made = translated(load(job().replace("spec:\n", "spec:\n  ttlSecondsAfterFinished: 5\n", 1)))
    assert "ttlSecondsAfterFinished" not in find(made, "Job", "job")["spec"]
    why = "pods that were done would be gone before it was seen"
    assert made.notes == (f"Job/job: ttlSecondsAfterFinished is left out, {why}",)
    assert translated(load(job())).notes == ()


GPU_JOB = job(
    "initContainers: [{name: a, image: a:1}], volumes: [{name: own, emptyDir: {}}],",
    """volumeMounts: [{name: own, mountPath: /own}],
    resources: {limits: {nvidia.com/gpu: 1, memory: 1Gi}, requests: {nvidia.com/gpu: 1, nvidia.com/mig-1g.5gb: 1}},""",
)


def test_simulated_devices_are_shown_to_every_container_and_none_is_asked_of_the_cluster(load: Load) -> None:
    made = translated(load(GPU_JOB), gpu_dir="/run/harness-gpu")
    spec = pod_spec(find(made, "Job", "job"))
    own, gpu = spec["volumes"]
    assert own["name"] == "own"
    assert gpu["hostPath"] == {"path": "/run/harness-gpu", "type": "Directory"}
    for container in (*spec["initContainers"], *spec["containers"]):
        mount = container["volumeMounts"][-1]
        assert mount["name"] == gpu["name"]
        assert environment(container)["SIMULATED_GPU"] == f"{mount['mountPath']}/devices"
    (main,) = spec["containers"]
    assert [mount["name"] for mount in main["volumeMounts"]] == ["own", gpu["name"]]
    assert main["resources"] == {"limits": {"memory": "1Gi"}, "requests": {}}
    assert made.notes == (
        "Job/job: no nvidia.com/gpu is asked for, the device is simulated and shared",
        "Job/job: no nvidia.com/mig-1g.5gb is asked for, the device is simulated and shared",
    )


def test_real_devices_are_asked_for_as_the_manifest_does(load: Load) -> None:
    made = translated(load(GPU_JOB))
    spec = pod_spec(find(made, "Job", "job"))
    (main,) = spec["containers"]
    assert main["resources"]["limits"] == {"nvidia.com/gpu": 1, "memory": "1Gi"}
    assert [volume["name"] for volume in spec["volumes"]] == ["own"]
    assert "SIMULATED_GPU" not in environment(main)
    assert made.notes == ()


def test_only_a_cluster_of_the_harness_own_leaves_out_what_its_nodes_lack(load: Load) -> None:
    labels = "{pod-security.kubernetes.io/enforce: restricted}"
    namespace = f"{{apiVersion: v1, kind: Namespace, metadata: {{name: app, labels: {labels}}}}}"
    stack = load(job("nodeSelector: {a: b},"), namespace)
    made = translated(stack)
    assert "a" not in pod_spec(find(made, "Job", "job"))["nodeSelector"]
    assert find(made, "Namespace", "app")["metadata"]["labels"] == {MANAGED: "run-1"}
    assert len(made.notes) == 2
    lent = translated(stack, lent=("app",))
    assert pod_spec(find(lent, "Job", "job"))["nodeSelector"] == {"a": "b"}
    assert not [note for note in lent.notes if note.startswith("Job/job")]


def test_namespaces_that_are_used_but_not_written_are_made_once(load: Load) -> None:
    config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: alone}}"
    written = "{apiVersion: v1, kind: Namespace, metadata: {name: app, labels: {team: a}}}"
    made = translated(load(job(), config, written))
    names = [each["metadata"]["name"] for each in made.objects if each["kind"] == "Namespace"]
    assert sorted(names) == ["alone", "app", "harness", "mon"]
    assert find(made, "Namespace", "app")["metadata"]["labels"] == {"team": "a", MANAGED: "run-1"}


@pytest.mark.parametrize("metadata", ["namespace: default", "labels: {a: b}"])
def test_the_namespace_every_cluster_has_is_not_made(load: Load, metadata: str) -> None:
    stack = load(job(metadata=metadata))
    made = translated(stack)
    assert "Namespace/default" not in titles(made)
    assert find(made, "Job", "job")["metadata"]["namespace"] == "default"


@pytest.mark.parametrize(
    ("version", "kind", "where"),
    [
        ("v1", "ConfigMap", {"namespace": "default"}),
        ("networking.k8s.io/v1", "NetworkPolicy", {"namespace": "default"}),
        ("v1", "PersistentVolume", {}),
        ("node.k8s.io/v1", "RuntimeClass", {}),
        ("networking.k8s.io/v1", "IngressClass", {}),
    ],
)
@pytest.mark.parametrize("written", ["", ", namespace: null"])
def test_what_lies_in_a_namespace_says_in_which_and_what_is_the_clusters_in_none(
    load: Load, version: str, kind: str, where: dict[str, str], written: str
) -> None:
    made = translated(load(f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: x{written}}}, spec: {{}}}}"))
    assert find(made, kind, "x")["metadata"] == {"name": "x", "labels": {MANAGED: "run-1"}, **where}


def test_a_namespace_that_is_written_at_something_of_the_clusters_is_not_made(load: Load) -> None:
    role = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: r, namespace: x}, rules: []}"
    made = translated(load(role))
    assert "namespace" not in find(made, "ClusterRole", "r")["metadata"]
    assert "Namespace/x" not in titles(made)


def test_what_a_prometheus_without_a_namespace_becomes_lies_where_kubectl_puts_it(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(PROMETHEUS.replace(", namespace: mon", ""), encoding="utf-8")
    made = translated(with_receiver(load_stack(tmp_path)))
    assert find(made, "StatefulSet", "prometheus-p")["metadata"]["namespace"] == "default"
    assert find(made, "Service", "prometheus-operated")["metadata"]["namespace"] == "default"
    assert "Namespace/default" not in titles(made)


def test_objects_of_one_name_in_two_namespaces_are_two(load: Load) -> None:
    other = job("terminationGracePeriodSeconds: 120,", metadata="namespace: other")
    service = "{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: {}}}, spec: {{ports: [{{port: {}}}]}}}}"
    made = translated(load(job(), other, service.format("app", 1), service.format("other", 2)))
    assert pod_spec(find(made, "Job", "job", "app"))["terminationGracePeriodSeconds"] == 1  # 30 s where none is stated
    assert pod_spec(find(made, "Job", "job", "other"))["terminationGracePeriodSeconds"] == 2
    assert find(made, "Service", "s", "app")["spec"]["ports"] == [{"port": 1}]
    assert find(made, "Service", "s", "other")["spec"]["ports"] == [{"port": 2}]


def test_the_objects_of_a_list_are_objects(load: Load) -> None:
    items = [yaml.safe_load(job()), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}]
    listed = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})
    made = translated(load(listed))
    assert {"Job/job", "ConfigMap/c"} <= set(titles(made))
    assert not [title for title in titles(made) if title.startswith("List")]


def test_a_bare_pod_is_one(load: Load) -> None:
    pod = """
    {apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: app}, spec: {
      terminationGracePeriodSeconds: 120, containers: [{name: main, image: bare:1}]}}
    """
    found = find(translated(load(pod), gpu_dir="/g"), "Pod", "bare")
    assert found["metadata"]["labels"] == {MANAGED: "run-1"}
    assert found["spec"]["terminationGracePeriodSeconds"] == 2
    assert found["spec"]["containers"][0]["image"] == "local/bare:1"
    assert found["spec"]["volumes"][0]["hostPath"]["path"] == "/g"


STATEFUL = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: app}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: db:1, volumeMounts: [{name: data, mountPath: /data}]}]}
  volumeClaimTemplates:
    - metadata: {name: data}
      spec: {accessModes: [ReadWriteOnce], %s resources: {requests: {storage: 5Gi}}}
"""
CLAIM = """
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: c, namespace: app},
 spec: {accessModes: [ReadWriteOnce], %s resources: {requests: {storage: 5Gi}}}}
"""


@pytest.mark.parametrize(
    ("wanted", "gets", "note"),
    [
        ("storageClassName: slow,", "slow", None),
        ("storageClassName: standard,", "standard", None),
        ("storageClassName: fast-ssd,", "standard", "there is no storage class fast-ssd here, it gets standard"),
        ('storageClassName: "",', "", None),
        ("", None, None),
    ],
)
def test_a_claim_gets_the_class_it_names_or_the_default_one(
    load: Load, wanted: str, gets: str | None, note: str | None
) -> None:
    made = translated(load(STATEFUL % wanted, CLAIM % wanted))
    (template,) = find(made, "StatefulSet", "db")["spec"]["volumeClaimTemplates"]
    claim = find(made, "PersistentVolumeClaim", "c")
    assert template["spec"].get("storageClassName") == claim["spec"].get("storageClassName") == gets
    assert template["spec"]["resources"] == claim["spec"]["resources"] == {"requests": {"storage": "5Gi"}}
    assert made.notes == ((f"StatefulSet/db: {note}", f"PersistentVolumeClaim/c: {note}") if note else ())


def test_the_claims_a_set_leaves_behind_are_labelled_too(load: Load) -> None:
    own = (STATEFUL % "").replace("metadata: {name: data}", "metadata: {name: data, labels: {a: b}}")
    (template,) = find(translated(load(own)), "StatefulSet", "db")["spec"]["volumeClaimTemplates"]
    assert template["metadata"] == {"name": "data", "labels": {"a": "b", MANAGED: "run-1"}}


def test_a_claim_of_a_cluster_without_a_default_class_names_none(load: Load) -> None:
    made = translated(load(CLAIM % "storageClassName: fast,"), storage=Storage(None, None, frozenset()))
    assert find(made, "PersistentVolumeClaim", "c")["spec"]["storageClassName"] is None
    assert made.notes == ("PersistentVolumeClaim/c: there is no storage class fast here, it gets none",)


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("cert-manager.io/v1", "Certificate"),
        ("grafana.integreatly.org/v1beta1", "GrafanaDashboard"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ("batch/v1", "CronJob"),
        ("apps/v1", "ReplicaSet"),
    ],
)
def test_what_a_cluster_cannot_know_or_the_harness_would_not_see_is_left_out_and_named(
    load: Load, version: str, kind: str
) -> None:
    made = translated(
        load(f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: x, namespace: app}}, spec: {{}}}}")
    )
    assert f"{kind}/x" not in titles(made)
    assert made.notes == (f"{kind}/x: needs a controller that is not here",)


@pytest.mark.parametrize(
    ("version", "kind"),
    [
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("policy/v1", "PodDisruptionBudget"),
        ("scheduling.k8s.io/v1", "PriorityClass"),
        ("storage.k8s.io/v1", "StorageClass"),
        ("v1", "LimitRange"),
    ],
)
def test_what_every_cluster_knows_is_there_as_written(load: Load, version: str, kind: str) -> None:
    made = translated(
        load(f"{{apiVersion: {version}, kind: {kind}, metadata: {{name: x, namespace: app}}, spec: {{a: 1}}}}")
    )
    assert find(made, kind, "x")["spec"] == {"a": 1}
    assert made.notes == ()


def test_objects_stand_in_the_order_in_which_they_can_be_made(load: Load) -> None:
    documents = [
        "{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: app}, spec: {containers: [{name: a, image: a}]}}",
        STATEFUL % "",
        job(),
        "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: app}, spec: {ports: [{port: 1}]}}",
        CLAIM % "",
        "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: r, namespace: app}, rules: []}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: app}}",
        "{apiVersion: v1, kind: Secret, metadata: {name: c, namespace: app}}",
        "{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, namespace: app}}",
        "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: p}, value: 1}",
        "{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: s}, provisioner: x}",
        "{apiVersion: v1, kind: Namespace, metadata: {name: app}}",
    ]
    kinds = [each["kind"] for each in translated(load(*documents)).objects]
    first = ["Namespace", "StorageClass", "PriorityClass", "ServiceAccount", "Secret", "ConfigMap"]
    places = [kinds.index(kind) for kind in first]
    assert places == sorted(places)
    assert kinds.index("Role") > len(kinds) - 1 - kinds[::-1].index("ConfigMap")
    running = [place for place, kind in enumerate(kinds) if kind in POD_KINDS]
    assert min(running) > max(place for place, kind in enumerate(kinds) if kind not in POD_KINDS)


def test_an_operators_objects_stay_where_an_operator_is(shipped: Stack) -> None:
    made = translated(shipped, by_operator=True)
    assert "Prometheus/model-monitoring" in titles(made)
    assert "StatefulSet/prometheus-model-monitoring" not in titles(made)
    assert "Service/prometheus-operated" not in titles(made)
    assert find(made, "Prometheus", "model-monitoring")["metadata"]["labels"] == {
        "team": "model-serving",
        MANAGED: "run-1",
    }


def test_all_pods_and_claims_are_labelled_whoever_makes_them(shipped: Stack) -> None:
    made = translated(shipped)
    templates = [each["spec"]["template"] for each in made.objects if each["kind"] in POD_KINDS]
    assert len(templates) == len(shipped.workloads)
    assert {each["metadata"]["labels"][MANAGED] for each in templates} == {"run-1"}
    by_operator = translated(shipped, by_operator=True)
    operated = [each["spec"] for each in by_operator.objects if each["kind"] in ("Prometheus", "Alertmanager")]
    assert len(operated) == 2
    assert all(spec["podMetadata"]["labels"][MANAGED] == "run-1" for spec in operated)
    claims = [spec["storage"]["volumeClaimTemplate"] for spec in operated if "storage" in spec]
    assert claims
    assert {each["metadata"]["labels"][MANAGED] for each in claims} == {"run-1"}


def test_an_operators_objects_get_the_images_and_the_storage_class_of_this_place(shipped: Stack) -> None:
    made = translated(shipped, by_operator=True)
    prometheus = find(made, "Prometheus", "model-monitoring")["spec"]
    rendered = find(translated(shipped), "StatefulSet", "prometheus-model-monitoring")["spec"]
    assert prometheus["image"] == rendered["template"]["spec"]["containers"][0]["image"]
    assert prometheus["image"] != shipped.prometheus["image"]
    (claim,) = rendered["volumeClaimTemplates"]
    chosen = prometheus["storage"]["volumeClaimTemplate"]["spec"]["storageClassName"]
    assert chosen == claim["spec"]["storageClassName"]
    assert "there is no storage class fast-ssd here" in " ".join(made.notes)


@pytest.mark.parametrize("written", ["", "podMetadata: null", "podMetadata: {labels: {team: a}, annotations: {b: c}}"])
def test_an_operators_pods_keep_what_is_said_of_them(tmp_path: Path, written: str) -> None:
    (tmp_path / "p.yaml").write_text(PROMETHEUS.replace("spec: {}", f"spec: {{{written}}}"), encoding="utf-8")
    made = translated(with_receiver(load_stack(tmp_path)), by_operator=True)
    told = find(made, "Prometheus", "p")["spec"]["podMetadata"]
    kept = {"labels": {"team": "a", MANAGED: "run-1"}, "annotations": {"b": "c"}}
    assert told == (kept if "team" in written else {"labels": {MANAGED: "run-1"}})


RECEIVER = """
apiVersion: apps/v1
kind: %s
metadata: {name: hook, namespace: app}
spec:
  selector: {matchLabels: {app.kubernetes.io/component: notification-receiver}}
  template:
    metadata: {labels: {app.kubernetes.io/component: notification-receiver, app: hook}}
    spec: {containers: [{name: main, image: hook:1, %s}]}
"""


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_stacks_own_receiver_is_the_one_and_its_port_the_captures(load: Load, kind: str) -> None:
    stack = load(RECEIVER % (kind, "ports: [{name: hooks, containerPort: 9000}]"))
    made = translated(stack)
    assert [title for title in titles(made) if "receiver" in title] == []
    capture = find(made, "Service", "harness-capture")
    assert capture["metadata"]["namespace"] == "app"
    assert capture["spec"]["selector"] == {"app.kubernetes.io/component": "notification-receiver"}
    assert capture["spec"]["ports"] == [{"name": "http", "port": 8080, "targetPort": 9000}]
    assert "Namespace/harness" not in titles(made)


def test_a_receiver_that_names_no_port_is_asked_at_the_usual_one(load: Load) -> None:
    capture = find(translated(load(RECEIVER % ("Deployment", ""))), "Service", "harness-capture")
    assert capture["spec"]["ports"] == [{"name": "http", "port": 8080, "targetPort": 8080}]


def test_a_stack_without_a_receiver_gets_one_that_can_start(load: Load) -> None:
    made = translated(load())
    receiver = find(made, "Deployment", "notification-receiver")
    assert receiver["metadata"]["namespace"] == "harness"
    (container,) = pod_spec(receiver)["containers"]
    assert container["image"] == "local/model-serving/workloads"
    assert "$(POD_IP)" in container["args"]
    assert environment(container)["POD_IP"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": 8080}
    template = receiver["spec"]["template"]
    capture = find(made, "Service", "harness-capture", "harness")
    assert receiver["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert capture["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert capture["spec"]["ports"][0]["targetPort"] == 8080


def test_a_workload_that_is_only_called_like_the_receiver_does_not_stand_for_it(load: Load) -> None:
    alike = (RECEIVER % ("Deployment", "")).replace("name: hook,", "name: notification-receiver,")
    made = translated(load(alike.replace("app.kubernetes.io/component", "other")))
    assert find(made, "Deployment", "notification-receiver", "harness")
    assert find(made, "Deployment", "notification-receiver", "app")
