"""Where a node has a pod's volumes, and which ConfigMap is behind a file; the node is a script."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.environments.kube.kind_node import KindNode
from harness.environments.kube.volumes import config_file, volume_of, volume_path
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
    plain = {"name": "v", "configMap": {"name": "rules"}}
    assert config_file(plain, "alerts.yml") == ("rules", "alerts.yml")
    items = [{"key": "file-001", "path": "prometheus.yml"}, {"key": "file-002", "path": "rules/a.yml"}]
    chosen = {"name": "v", "configMap": {"name": "config", "items": items}}
    assert config_file(chosen, "rules/a.yml") == ("config", "file-002")


def test_a_file_of_no_config_map_cannot_be_changed() -> None:
    with pytest.raises(HarnessError, match="volume v is no ConfigMap's"):
        config_file({"name": "v", "emptyDir": {}}, "a")
