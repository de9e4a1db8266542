"""What cannot be read is named with file, document and key, all of it at once."""

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.stack import load_stack

Manifests = dict[str, dict[str, Any]]


def mistakes(load: Any, change: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        load(change)
    return [f"{mistake.where}: {mistake.problem}" for mistake in caught.value.mistakes]


def of_files(root: Path, **files: str | bytes) -> str:
    for name, content in files.items():
        path = root / name.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        load_stack(root)
    return str(caught.value)


def container(found: Manifests) -> dict[str, Any]:
    one: dict[str, Any] = found["Deployment/app"]["spec"]["template"]["spec"]["containers"][0]
    return one


def set_for(found: Manifests, value: Any) -> None:
    found["PrometheusRule/rules"]["spec"]["groups"][0]["rules"][0]["for"] = value


def set_expr(found: Manifests, value: Any) -> None:
    found["PrometheusRule/rules"]["spec"]["groups"][0]["rules"][0]["expr"] = value


CASES: list[tuple[Any, str]] = [
    (
        lambda f: set_for(f, "5 minutes"),
        "document 4: spec.groups[0].rules[0].for: '5 minutes' is not a duration",
    ),
    (lambda f: set_for(f, 300), "document 4: spec.groups[0].rules[0].for: got 300, need a duration"),
    (
        lambda f: set_expr(f, "sum by (x"),
        "document 4: spec.groups[0].rules[0].expr: is not PromQL: unclosed left",
    ),
    (
        lambda f: f["Prometheus/p"].update(apiVersion="v9"),
        "holds no Prometheus object (monitoring.coreos.com), need one",
    ),
    (lambda f: f["Service/app"]["metadata"].pop("name"), "document 6: metadata.name: is missing"),
    (lambda f: f["Service/app"]["spec"].update(ports="80"), 'document 6: spec.ports: got "80", need a list'),
    (
        lambda f: f["Deployment/app"]["spec"].update(replicas="2"),
        'document 8: spec.replicas: got "2", need a whole',
    ),
    (
        lambda f: container(f).update(resources={"limits": {"memory": "64MB"}}),
        "containers[0].resources.limits.memory: got '64MB', need a quantity",
    ),
    (
        lambda f: container(f).update(resources={"requests": {"ephemeral-storage": "-1Gi"}}),
        "containers[0].resources.requests.ephemeral-storage: got '-1Gi', need a quantity of 0 or more",
    ),
    (
        lambda f: container(f).update(env=[{"name": "A", "value": 1}]),
        "containers[0].env[0].value: got 1, need a string; put it in quotes",
    ),
    (
        lambda f: container(f).update(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
        "env[0].valueFrom.secretKeyRef: needs Secret s in namespace mon",
    ),
    (
        lambda f: container(f).update(envFrom=[{"configMapRef": {"name": "c"}}]),
        "envFrom[0]: needs ConfigMap c in namespace mon",
    ),
    (
        lambda f: container(f).update(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        "volumeMounts[0].name: mounts the volume 'v', which the pod does not have",
    ),
    (
        lambda f: f["Deployment/app"]["spec"]["template"]["spec"].update(
            volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
        ),
        "volumes[0].persistentVolumeClaim.claimName: needs PersistentVolumeClaim c",
    ),
    (
        lambda f: container(f).update(readinessProbe={"httpGet": {"port": "web"}}),
        "readinessProbe.httpGet.port: the container has no port named 'web'",
    ),
    (
        lambda f: f["Deployment/app"]["spec"]["selector"].update(matchLabels={"app": "other"}),
        "document 8: spec.selector: does not select the labels of the pod template",
    ),
    (
        lambda f: f["ServiceMonitor/app"]["spec"]["endpoints"][0].update(scrapeTimeout="2m"),
        "spec.endpoints[0].scrapeTimeout: 120 s is longer than the scrape interval, 60 s",
    ),
    (
        lambda f: f["AlertmanagerConfig/routes"]["spec"]["route"].update(receiver="nobody"),
        "document 3: spec.route.receiver: there is no receiver 'nobody'; there are: hook",
    ),
    (
        lambda f: f["AlertmanagerConfig/routes"]["spec"]["route"].update(
            matchers=[{"name": "a", "value": "(", "matchType": "=~"}]
        ),
        "spec.route.matchers[0].value: '(' is no regular expression",
    ),
    (
        lambda f: f["Alertmanager/am"]["spec"].update(configSecret="gone"),
        "document 2: spec.configSecret: needs Secret gone in namespace mon",
    ),
    (lambda f: f.update(twin=f["Service/app"]), "document 9: Service/app stands already in"),
    (lambda f: f.pop("Prometheus/p"), "holds no Prometheus object"),
]


@pytest.mark.parametrize(("change", "expected"), CASES, ids=[expected[:60] for _, expected in CASES])
def test_a_mistake_is_named_with_document_key_and_problem(load: Any, change: Any, expected: str) -> None:
    found = mistakes(load, change)
    assert len(found) == 1
    assert expected in found[0]


def test_the_unchanged_stack_has_none(load: Any) -> None:
    load()


def test_every_mistake_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    told = of_files(
        tmp_path,
        a__yaml="kind: Service\nkind: Pod\n",
        b__yml="a: [",
        c__json="{,}",
        d__yaml=b"\xff\xfe",
        e__yaml="just words",
        f__yaml="a: &a [*a]",
    )
    for line in (
        "a.yaml: line 2: the key 'kind' stands already on line 1",
        "b.yml: line 2: is not YAML",
        "c.json: line 1: is not JSON",
        "d.yaml: is not UTF-8 text (byte 0)",
        'e.yaml: got "just words", need a Kubernetes object',
        "f.yaml: is nested too deeply, or refers to itself",
    ):
        assert line in told


def test_a_second_prometheus_is_one_mistake(load: Any, make: Any) -> None:
    found = mistakes(load, lambda f: f.update(second=make("Prometheus", "q", spec={})))
    assert found == ["document 9: Prometheus/q is a second Prometheus beside Prometheus/p, need one"]


def test_a_directory_without_manifests_is_one_mistake(tmp_path: Path) -> None:
    assert "holds no *.yaml" in of_files(tmp_path, notes__txt="x", __hidden__yaml="a: 1")


def test_a_path_that_is_no_directory_is_one_mistake(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("a: 1")
    for path in (tmp_path / "one.yaml", tmp_path / "gone"):
        with pytest.raises(InputError, match="need a directory of manifests"):
            load_stack(path)


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "its aliases multiply" in of_files(tmp_path, bomb__yaml="\n".join(lines))


def test_lists_empty_documents_and_rendered_charts_are_read(load: Any, tmp_path: Path) -> None:
    load()
    text = (tmp_path / "stack.yaml").read_text()
    extra = (
        "---\n# Source: chart/templates/off.yaml\n---\n\n---\napiVersion: v1\nkind: List\nitems:\n"
        "- {apiVersion: v1, kind: ConfigMap, metadata: {name: c, annotations: null}, data: {day: '1'}}\n"
        "- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: n}}\n"
    )
    (tmp_path / "stack.yaml").write_text(text + extra)
    assert load_stack(tmp_path).ignored == ("NetworkPolicy/n",)
