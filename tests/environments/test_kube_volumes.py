"""Where a node has a pod's volumes, and which ConfigMap is behind a file; the node is a script."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.kind_node import KindNode
from harness.environments.kube.pods import ClusterPod
from harness.environments.kube.volumes import config_file, kept_volume, pods_with, volume_of, volume_path
from harness.errors import HarnessError
from tests.environments.test_kube_pods import pod, status_of

NODE = KindNode("node-1")


def with_volume(**source: Any) -> Any:
    return pod("p", spec={"volumes": [{"name": "other", "emptyDir": {}}, {"name": "v", **source}]})


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ({"emptyDir": {"medium": "Memory"}}, "/var/lib/kubelet/pods/uid-p/volumes/kubernetes.io~empty-dir/v"),
        ({"configMap": {"name": "c"}}, "/var/lib/kubelet/pods/uid-p/volumes/kubernetes.io~configmap/v"),
        ({"secret": {"secretName": "s"}}, "/var/lib/kubelet/pods/uid-p/volumes/kubernetes.io~secret/v"),
        ({"projected": {"sources": []}}, "/var/lib/kubelet/pods/uid-p/volumes/kubernetes.io~projected/v"),
        ({"hostPath": {"path": "/run/harness-gpu"}}, "/run/harness-gpu"),
    ],
)
def test_a_volume_lies_where_the_kubelet_keeps_its_kind(source: dict[str, Any], path: str) -> None:
    assert volume_path(with_volume(**source), "v", NODE) == path


def test_a_volume_the_pod_does_not_have_is_named_beside_those_it_has() -> None:
    with pytest.raises(HarnessError, match="pod p has no volume 'x'; it has: other, v"):
        volume_of(with_volume(emptyDir={}), "x")
    with pytest.raises(HarnessError, match="pod p has no volume 'x'; it has: none"):
        volume_of(pod("p"), "x")


@pytest.mark.parametrize("sorted_by_name", [True, False])
def test_a_claim_is_reached_through_the_container_that_mounts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sorted_by_name: bool
) -> None:
    # Lists one process for the container of Prometheus, and none for any other.
    (tmp_path / "docker").write_text(
        f'#!/bin/sh\nfor last; do :; done\n[ "$last" = {2:064x} ] && echo "4711 5 S 1"\nexit 0\n', encoding="utf-8"
    )
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    statuses = [status_of("discovery", 1), status_of("prometheus", 2)]
    found = pod(
        spec={
            "containers": [
                {"name": "prometheus", "volumeMounts": [{"name": "data", "mountPath": "/prometheus"}]},
                {"name": "discovery"},
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-p"}}],
        },
        status={"containerStatuses": statuses if sorted_by_name else statuses[::-1]},
    )
    assert volume_path(found, "data", NODE) == "/proc/4711/root/prometheus"


def test_a_claim_that_no_running_container_shows_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    claim = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
    mounted = {"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    found = pod("p", spec={"containers": [mounted], "volumes": [claim]})
    with pytest.raises(HarnessError, match="volume v of pod p can be reached only while a container shows it"):
        volume_path(found, "v", NODE)
    not_started = pod("p", spec={"containers": [mounted], "volumes": [claim]}, status={"containerStatuses": []})
    with pytest.raises(HarnessError, match="volume v of pod p can be reached only while a container shows it"):
        volume_path(not_started, "v", NODE)


def test_a_file_of_a_volume_is_a_key_of_its_config_map() -> None:
    assert config_file(with_volume(configMap={"name": "rules"}), "v", "alerts.yml") == ("rules", "alerts.yml")
    items = [{"key": "file-001", "path": "prometheus.yml"}, {"key": "file-002", "path": "rules/a.yml"}]
    chosen = with_volume(configMap={"name": "config", "items": items})
    assert config_file(chosen, "v", "rules/a.yml") == ("config", "file-002")


def test_a_file_of_no_config_map_cannot_be_changed() -> None:
    with pytest.raises(HarnessError, match="volume v is no ConfigMap's"):
        config_file(with_volume(emptyDir={}), "v", "a")


def mounting(*mounts: dict[str, str]) -> ClusterPod:
    """A pod with a ConfigMap in ``v``, which its second container mounts so."""
    containers = [{"name": "main"}, {"name": "side", "volumeMounts": list(mounts)}]
    return pod("p", spec={"containers": containers, "volumes": [{"name": "v", "configMap": {"name": "c"}}]})


@pytest.mark.parametrize("how", [{"subPath": "a.yml"}, {"subPathExpr": "$(NAME)"}])
def test_a_file_that_a_container_has_by_sub_path_is_refused_since_it_never_changes(how: dict[str, str]) -> None:
    mount = {"name": "v", "mountPath": "/etc/a.yml", **how}
    with pytest.raises(HarnessError, match=r"container side of pod p mounts volume v by subPath: .*; mount the whole"):
        config_file(mounting(mount), "v", "a.yml")


def test_another_volumes_sub_path_or_an_empty_one_is_no_hindrance() -> None:
    other = {"name": "other", "mountPath": "/o", "subPath": "x"}
    assert config_file(mounting({"name": "v", "mountPath": "/v", "subPath": ""}, other), "v", "a") == ("c", "a")


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ({"emptyDir": {"medium": "Memory"}}, None),
        ({}, None),
        ({"configMap": {"name": "c"}}, None),
        ({"ephemeral": {"volumeClaimTemplate": {}}}, None),
        ({"persistentVolumeClaim": {"claimName": "c", "readOnly": True}}, {"namespace": "n", "claim": "c"}),
        ({"hostPath": {"path": "/data", "type": "Directory"}}, {"node": "node-1", "path": "/data"}),
        ({"nfs": {"server": "s", "path": "/p"}}, {"nfs": {"server": "s", "path": "/p"}}),
    ],
)
def test_a_volume_that_outlives_its_pod_is_told_from_all_others(
    source: dict[str, Any], kept: dict[str, Any] | None
) -> None:
    assert kept_volume(with_volume(**source), "v") == kept


def with_claim(name: str, claim: str = "c", **changes: Any) -> ClusterPod:
    volumes = [{"name": f"of-{name}", "persistentVolumeClaim": {"claimName": claim}}]
    return pod(name, **{"spec": {"volumes": volumes}, **changes})


def test_a_kept_volume_is_found_in_the_pods_that_have_it_by_whatever_name() -> None:
    pods = [with_claim("a"), with_claim("b"), with_claim("c", "another"), with_claim("d", namespace="elsewhere")]
    found = pods_with(pods, {"namespace": "n", "claim": "c"})
    assert [(each.name, volume) for each, volume in found] == [("a", "of-a"), ("b", "of-b")]
    assert pods_with(pods, {"namespace": "n", "claim": "nobody's"}) == []


def test_a_kept_volume_is_reached_through_a_pod_that_runs_if_there_is_one() -> None:
    starting = with_claim("a", status={"containerStatuses": [status_of("main", waiting={"reason": "Creating"})]})
    kept = {"namespace": "n", "claim": "c"}
    assert [each.name for each, _ in pods_with([starting, with_claim("b")], kept)] == ["b"]
    assert [each.name for each, _ in pods_with([starting], kept)] == ["a"]
