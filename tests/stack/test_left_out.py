"""What a Prometheus or Alertmanager object says that no rendering carries is named, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from harness.stack import Stack, render_alertmanager, render_prometheus

OF_A_CLUSTER = {
    "affinity": {"nodeAffinity": {}},
    "nodeSelector": {"pool": "monitoring"},
    "securityContext": {"fsGroup": 2000},
    "tolerations": [{"operator": "Exists"}],
}
CARRIED = {
    "imagePullSecrets": [{"name": "registry"}],
    "podMetadata": {"labels": {"a": "b"}},
    "resources": {"limits": {"memory": "1Gi"}},
}
FILES = {"secrets": ["certs"], "configMaps": ["web"]}
NEVER = {"containers": [{"name": "sidecar"}], "volumes": [{"name": "v"}], "volumeMounts": [{"name": "v"}]}
EMPTY = {"shards": 1, "paused": False, "hostAliases": [], "web": {}, "logLevel": "", "tolerations": [], "version": "v1"}


def told(load: Any, spec: dict[str, Any], *, in_cluster: bool) -> list[tuple[str, ...]]:
    """The keys that are said to be left out, of Prometheus and of Alertmanager."""

    def change(found: dict[str, Any]) -> None:
        for name in ("Prometheus/p", "Alertmanager/am"):
            found[name]["spec"].update({"image": "own:1", **spec})

    stack: Stack = load(change)
    rendered = (
        ("Prometheus/p: ", render_prometheus(stack, None if in_cluster else [], time_scale=1)),
        (
            "Alertmanager/am: ",
            render_alertmanager(stack, time_scale=1, capture_url=None, host_addresses={}, in_cluster=in_cluster),
        ),
    )
    keys = []
    for title, each in rendered:
        notes = [note.removeprefix(title) for note in each.notes if note.startswith(title)]
        keys.append(tuple(note.removesuffix(" is left out") for note in notes if " label " not in note))
    return keys


@pytest.mark.parametrize(
    ("spec", "in_cluster", "named"),
    [
        (NEVER, True, NEVER),
        (NEVER, False, NEVER),
        (FILES, True, {}),
        (FILES, False, FILES),
        (CARRIED, True, {}),
        (CARRIED, False, {}),
        # Without a cluster this is so of every pod, which the environment says once.
        (OF_A_CLUSTER, True, OF_A_CLUSTER),
        (OF_A_CLUSTER, False, {}),
        (EMPTY, True, {}),
        (EMPTY, False, {}),
        ({"shards": 2, "paused": True}, False, {"shards": 2, "paused": True}),
        # Here the empty or false one says something.
        ({"probeSelector": {}, "walCompression": False}, False, {"probeSelector": {}, "walCompression": False}),
        ({"automountServiceAccountToken": False}, True, {"automountServiceAccountToken": False}),
    ],
)
def test_a_key_that_is_not_carried_is_named(
    load: Any, spec: dict[str, Any], in_cluster: bool, named: dict[str, Any]
) -> None:
    assert told(load, spec, in_cluster=in_cluster) == [tuple(named), tuple(named)]


def test_a_version_says_something_only_where_no_image_is_named(load: Any) -> None:
    def change(found: dict[str, Any]) -> None:
        found["Prometheus/p"]["spec"]["version"] = "v2.50.0"

    assert "Prometheus/p: version is left out" in render_prometheus(load(change), [], time_scale=1).notes


def test_of_the_shipped_stack_nothing_is_left_out(shipped: Stack) -> None:
    notes = [
        *render_prometheus(shipped, None, time_scale=1).notes,
        *render_alertmanager(shipped, time_scale=1, capture_url=None, host_addresses={}, in_cluster=True).notes,
    ]
    assert not [note for note in notes if note.startswith(("Prometheus/", "Alertmanager/")) and "left out" in note]
