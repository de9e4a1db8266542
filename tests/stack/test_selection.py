"""Selectors are resolved as the operator does, and what is not selected is named with the reason."""

from typing import Any

import pytest

from harness.model import PodAddress
from harness.stack import Stack, render_prometheus
from harness.stack.schema import LabelSelector

Manifests = dict[str, dict[str, Any]]


def test_what_every_selector_matches_is_there(load: Any) -> None:
    stack = load()
    assert [endpoint.job for endpoint in stack.endpoints] == ["serviceMonitor/mon/app/0"]
    assert [alert.name for alert in stack.spec.alerts] == ["A"]
    assert stack.unselected == ()


def test_a_monitor_with_other_labels_is_not_there_and_named(load: Any) -> None:
    def change(found: Manifests) -> None:
        found["ServiceMonitor/app"]["metadata"]["labels"] = {"team": "b"}

    stack = load(change)
    assert stack.endpoints == ()
    assert "ServiceMonitor/app in mon: its labels (team=b) do not match serviceMonitorSelector" in stack.unselected[0]


def test_a_rule_in_another_namespace_needs_a_namespace_selector(load: Any) -> None:
    def move(found: Manifests) -> None:
        found["PrometheusRule/rules"]["metadata"]["namespace"] = "far"

    def select_all(found: Manifests) -> None:
        move(found)
        found["Prometheus/p"]["spec"]["ruleNamespaceSelector"] = {}

    assert load(move).spec.alerts == ()
    assert len(load(select_all).spec.alerts) == 1


def test_namespaces_are_selected_by_their_objects_labels_and_by_name(load: Any, make: Any) -> None:
    def change(found: Manifests, wanted: dict[str, str]) -> None:
        found["PrometheusRule/rules"]["metadata"]["namespace"] = "far"
        found["ns"] = make("Namespace", "far", api="v1", labels={"tier": "1"})
        found["Prometheus/p"]["spec"]["ruleNamespaceSelector"] = {"matchLabels": wanted}

    assert load(lambda found: change(found, {"tier": "1"})).spec.alerts
    assert load(lambda found: change(found, {"kubernetes.io/metadata.name": "far"})).spec.alerts
    assert not load(lambda found: change(found, {"tier": "2"})).spec.alerts


def test_an_absent_selector_selects_nothing_and_an_empty_one_everything(load: Any) -> None:
    def absent(found: Manifests) -> None:
        del found["Prometheus/p"]["spec"]["ruleSelector"]

    def null(found: Manifests) -> None:
        found["Prometheus/p"]["spec"]["ruleSelector"] = None

    def empty(found: Manifests) -> None:
        found["Prometheus/p"]["spec"]["ruleSelector"] = {}
        found["PrometheusRule/rules"]["metadata"]["labels"] = {}

    assert "has no ruleSelector" in load(absent).unselected[0]
    assert load(null).spec.alerts == ()
    assert len(load(empty).spec.alerts) == 1


@pytest.mark.parametrize(
    ("selector", "there"),
    [({"any": True}, True), ({"matchNames": ["far"]}, True), ({"matchNames": ["mon"]}, False), ({}, False)],
)
def test_a_monitor_looks_for_services_in_its_namespaces(load: Any, selector: dict[str, Any], there: bool) -> None:
    def change(found: Manifests) -> None:
        found["Service/app"]["metadata"]["namespace"] = "far"
        found["ServiceMonitor/app"]["spec"]["namespaceSelector"] = selector

    stack = load(change)
    assert bool(stack.endpoints[0].services) is there
    assert any("matches no Service" in line for line in stack.unselected) is not there


def test_the_service_of_the_api_server_is_there_in_every_cluster(load: Any) -> None:
    def change(found: Manifests) -> None:
        found["ServiceMonitor/app"]["spec"] |= {
            "selector": {"matchLabels": {"component": "apiserver"}},
            "namespaceSelector": {"matchNames": ["default"]},
            "endpoints": [{"port": "https", "scheme": "https"}],
        }

    def unscraped(stack: Stack, pods: list[PodAddress] | None) -> list[str]:
        notes = render_prometheus(stack, pods, time_scale=60).notes
        return [note for note in notes if "nothing is scraped" in note and "endpoints[0]" in note]

    stack = load(change)
    assert [(each.namespace, each.name) for each in stack.endpoints[0].services] == [("default", "kubernetes")]
    assert stack.unselected == ()
    assert all(service.name != "kubernetes" for service in stack.services)
    assert len(unscraped(stack, [])) == 1
    assert unscraped(stack, None) == unscraped(load(), []) == []


def test_a_port_no_selected_service_has_is_named(load: Any) -> None:
    def change(found: Manifests) -> None:
        found["Service/app"]["spec"]["ports"][0]["name"] = "other"

    assert "no selected Service has the port 'web'" in load(change).unselected[0]


@pytest.mark.parametrize(
    ("operator", "values", "labels", "selected"),
    [
        ("In", ["a", "b"], {"k": "b"}, True),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "a"}, False),
        ("NotIn", ["a"], {}, True),
        ("Exists", [], {"k": ""}, True),
        ("Exists", [], {}, False),
        ("DoesNotExist", [], {}, True),
        ("DoesNotExist", [], {"k": "a"}, False),
    ],
)
def test_match_expressions(operator: str, values: list[str], labels: dict[str, str], selected: bool) -> None:
    line = {"key": "k", "operator": operator, "values": values}
    assert LabelSelector.model_validate({"matchExpressions": [line]}).selects(labels) is selected


def test_an_alertmanager_config_nothing_selects_routes_nothing(load: Any) -> None:
    def change(found: Manifests) -> None:
        found["AlertmanagerConfig/routes"]["metadata"]["labels"] = {}

    stack = load(change)
    assert stack.spec.route.receiver == "null"
    assert stack.spec.route.routes == ()
    assert "AlertmanagerConfig/routes" in stack.unselected[0]
