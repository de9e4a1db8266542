"""What a cluster environment leaves for other processes to read."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from harness.environments.kube.state import ClusterState, run_label
from harness.errors import HarnessError


def state(run_dir: Path) -> ClusterState:
    return ClusterState(
        environment="kind",
        run_dir=str(run_dir),
        stack="/stack",
        stack_sha256="ab",
        time_scale=60.0,
        seed=7,
        cluster="harness-x",
        keep=False,
        kubeconfig=str(run_dir / "cluster.kubeconfig"),
        context="kind-harness-x",
        account_kubeconfig=str(run_dir / "harness.kubeconfig"),
        namespaces=("a", "harness"),
        own_namespace="harness",
        lent=False,
        gpu="simulated",
        gpu_file=str(run_dir / "gpu" / "devices"),
    )


def whole(run_dir: Path) -> ClusterState:
    return replace(
        state(run_dir),
        prometheus_path="/api/v1/namespaces/a/pods/p-0:9090/proxy",
        alertmanager_paths=("/am-0", "/am-1"),
        receiver_paths=("/receiver",),
        service_paths={"a/s:80": "/api/v1/namespaces/a/services/s:80/proxy"},
        proxy="http://127.0.0.1:4711",
        proxy_pid=42,
        proxy_started=123456.0,
        not_exercised=("x",),
        versions={"kubernetes": "v1.20.15"},
        ready_s=12.5,
    )


@pytest.mark.parametrize("made", [state, whole])
def test_a_state_is_read_as_it_was_written(tmp_path: Path, made: object) -> None:
    written = made(tmp_path)  # type: ignore[operator]
    written.save()
    assert ClusterState.load(tmp_path) == written


def test_the_file_is_its_owners_alone_and_names_the_environment(tmp_path: Path) -> None:
    state(tmp_path).save()
    path = tmp_path / "environment.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text(encoding="utf-8"))["environment"] == "kind"
    assert [each.name for each in tmp_path.iterdir()] == ["environment.json"]


def test_a_later_state_replaces_an_earlier_one(tmp_path: Path) -> None:
    state(tmp_path).save()
    replace(state(tmp_path), ended=True).save()
    assert ClusterState.load(tmp_path).ended


@pytest.mark.parametrize(
    "text", [None, "", "no JSON", "[]", "{}", '{"environment": "local", "run_dir": "x"}', '{"namespaces": ["a"]}']
)
def test_what_describes_no_cluster_is_an_error_that_names_the_directory(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "environment.json").write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=re.escape(str(tmp_path))):
        ClusterState.load(tmp_path)


def test_a_state_of_another_version_of_the_harness_is_an_error(tmp_path: Path) -> None:
    state(tmp_path).save()
    path = tmp_path / "environment.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**raw, "unheard_of": 1}), encoding="utf-8")
    with pytest.raises(HarnessError, match="unheard_of"):
        ClusterState.load(tmp_path)


def test_everything_is_reached_through_the_proxy(tmp_path: Path) -> None:
    found = whole(tmp_path)
    assert found.prometheus == "http://127.0.0.1:4711/api/v1/namespaces/a/pods/p-0:9090/proxy"
    assert found.alertmanagers == ("http://127.0.0.1:4711/am-0", "http://127.0.0.1:4711/am-1")
    assert found.receivers == ("http://127.0.0.1:4711/receiver",)
    assert found.services == {"a/s:80": "127.0.0.1:4711/api/v1/namespaces/a/services/s:80/proxy"}


@pytest.mark.parametrize(
    ("run", "label"),
    [
        ("20260101-120000-ab12", "20260101-120000-ab12"),
        ("my run!", "my-run"),
        ("_x_", "x"),
        ("ünïcode", "n-code"),
        ("", "run"),
        ("---", "run"),
        ("a" * 70, "a" * 63),
        ("begin-" + "." * 10 + "b" * 60, "b" * 60),
    ],
)
def test_a_runs_label_is_one_a_cluster_takes(run: str, label: str) -> None:
    assert run_label(run) == label
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", run_label(run))


def test_runs_that_begin_alike_have_labels_of_their_own() -> None:
    assert run_label("x" * 80 + "-1") != run_label("x" * 80 + "-2")
