"""Rendered Alertmanager configuration: what amtool takes, the operator's merge, nothing leaving the machine."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.stack import Stack, render_alertmanager

Manifests = dict[str, dict[str, Any]]
CAPTURE = "http://127.0.0.1:1/capture"


def render(stack: Stack, scale: float = 60, capture: str | None = CAPTURE) -> tuple[dict[str, Any], tuple[str, ...]]:
    rendered = render_alertmanager(stack, time_scale=scale, capture_url=capture, host_addresses={})
    return yaml.safe_load(rendered.files["alertmanager.yml"]), rendered.notes


def amtool(stack: Stack, root: Path) -> subprocess.CompletedProcess[str]:
    rendered = render_alertmanager(stack, time_scale=60, capture_url=CAPTURE, host_addresses={})
    (root / "alertmanager.yml").write_text(rendered.files["alertmanager.yml"])
    command = ["amtool", "check-config", str(root / "alertmanager.yml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def everything(found: Manifests) -> None:
    """Every kind of integration, intervals, inhibition and nested routes."""
    spec = found["AlertmanagerConfig/routes"]["spec"]
    spec["receivers"] += [
        {
            "name": "outside",
            "pagerdutyConfigs": [{"routingKey": {"name": "s", "key": "k"}}],
            "slackConfigs": [{"apiURL": {"name": "s", "key": "k"}, "channel": "#x"}],
            "emailConfigs": [{"to": "a@example.org", "sendResolved": True}],
            "webhookConfigs": [
                {"url": "https://hooks.example.org/T0/secret"},
                {"urlSecret": {"name": "s", "key": "k"}},
            ],
        },
        {"name": "empty"},
    ]
    spec["route"]["routes"] = [
        {
            "receiver": "outside",
            "matchers": [{"name": "severity", "value": 'a"\\b|c', "matchType": "=~"}],
            "repeatInterval": "2h",
            "muteTimeIntervals": ["nights"],
        },
        {"receiver": "empty", "continue": True},
    ]
    spec["muteTimeIntervals"] = [
        {
            "name": "nights",
            "timeIntervals": [
                {
                    "times": [{"startTime": "22:00", "endTime": "24:00"}],
                    "weekdays": ["monday:friday"],
                    "daysOfMonth": [{"start": 1, "end": 5}],
                }
            ],
        }
    ]
    spec["inhibitRules"] = [
        {
            "sourceMatch": [{"name": "severity", "value": "critical"}],
            "targetMatch": [{"name": "severity", "value": "warning", "matchType": "="}],
            "equal": ["instance"],
        }
    ]


def test_amtool_takes_the_shipped_stack(shipped: Stack, tmp_path: Path) -> None:
    assert amtool(shipped, tmp_path).returncode == 0


def test_amtool_takes_every_kind_of_integration(load: Any, tmp_path: Path) -> None:
    done = amtool(load(everything), tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_would_leave_the_machine_goes_to_the_run_with_its_own_send_resolved(load: Any) -> None:
    stack = load(everything)
    written, notes = render(stack)
    outside = next(one for one in written["receivers"] if one["name"] == "mon/routes/outside")
    assert set(outside) == {"name", "webhook_configs"}
    assert {one["url"] for one in outside["webhook_configs"]} == {CAPTURE}
    assert [one["send_resolved"] for one in outside["webhook_configs"]] == [True, False, True, True, True]
    spec = next(one for one in stack.spec.receivers if one.name == "mon/routes/outside")
    assert spec.captured == (
        "pagerduty",
        "slack",
        "email",
        "webhook to hooks.example.org",
        "webhook to a URL from a secret",
    )
    assert len([note for note in notes if "leave the machine" in note]) == 5
    assert not any("/T0/" in note for note in notes)


def test_without_a_place_to_capture_nothing_leaves_either(load: Any) -> None:
    written, _ = render(load(everything), capture=None)
    assert next(one for one in written["receivers"] if one["name"] == "mon/routes/outside") == {
        "name": "mon/routes/outside"
    }


def test_a_receiver_without_integrations_stays_without(load: Any) -> None:
    stack = load(everything)
    written, _ = render(stack)
    assert {"name": "mon/routes/empty"} in written["receivers"]
    assert next(one for one in stack.spec.receivers if one.name == "mon/routes/empty").send_resolved is None


@pytest.mark.parametrize(
    ("host", "stays"),
    [
        ("sink", True),
        ("sink.mon", True),
        ("sink.mon.svc", True),
        ("sink.mon.svc.cluster.local", True),
        ("gone.mon.svc", True),
        ("localhost", True),
        ("127.0.0.1", True),
        ("[::1]", True),
        ("192.0.2.1", False),
        ("example.org", False),
        ("hooks.example.org", False),
        ("sink.mon.svc.example.org", False),
    ],
)
def test_a_webhook_stays_when_its_host_is_inside(load: Any, host: str, stays: bool) -> None:
    def change(found: Manifests) -> None:
        hook = found["AlertmanagerConfig/routes"]["spec"]["receivers"][0]["webhookConfigs"][0]
        hook.update(url=f"http://{host}:8080/x", sendResolved=False)

    written, _ = render(load(change))
    url = f"http://{host}:8080/x" if stays else CAPTURE
    assert written["receivers"][1]["webhook_configs"] == [{"url": url, "send_resolved": False}]


def test_the_top_route_continues_and_is_held_to_its_namespace(load: Any) -> None:
    written, _ = render(load(everything))
    top = written["route"]["routes"][0]
    assert top["continue"] is True
    assert top["matchers"] == ['namespace="mon"']
    assert top["routes"][0]["matchers"] == ['severity=~"a\\"\\\\b|c"']
    assert 'namespace="mon"' in written["inhibit_rules"][0]["source_matchers"]
    assert 'namespace="mon"' in written["inhibit_rules"][0]["target_matchers"]


@pytest.mark.parametrize("strategy", ["None", "OnNamespaceExceptForAlertmanagerNamespace"])
def test_another_matcher_strategy_lifts_the_namespace(load: Any, strategy: str) -> None:
    def change(found: Manifests) -> None:
        everything(found)
        found["Alertmanager/am"]["spec"]["alertmanagerConfigMatcherStrategy"] = {"type": strategy}

    written, _ = render(load(change))
    assert "matchers" not in written["route"]["routes"][0]
    assert written["inhibit_rules"][0]["source_matchers"] == ['severity="critical"']


def test_waits_shrink_written_or_not_and_the_spec_keeps_them(load: Any) -> None:
    stack = load(everything)
    written, _ = render(stack)
    assert written["global"]["resolve_timeout"] == "5s"
    assert written["route"]["group_wait"] == "500ms"
    assert written["route"]["group_interval"] == "5s"
    assert written["route"]["repeat_interval"] == "4m"
    assert written["route"]["routes"][0]["group_wait"] == "1s"
    (child, _) = stack.spec.route.routes[0].routes
    assert (child.group_wait_s, child.group_interval_s, child.repeat_interval_s) == (60, 300, 7200)
    assert child.group_by == ("alertname",)


def test_real_time_bounds_of_the_cluster_have_a_floor(load: Any) -> None:
    flags = render_alertmanager(load(), time_scale=1000, capture_url=None, host_addresses={}).flags
    assert "--cluster.peer-timeout=1s" in flags
    full = render_alertmanager(load(), time_scale=1, capture_url=None, host_addresses={}).flags
    assert "--cluster.peer-timeout=15s" in full


def test_peers_are_addressed_where_their_addresses_are_known(load: Any) -> None:
    host = "alertmanager-am-0.alertmanager-operated.mon.svc"
    known = {host: "127.9.0.3"}
    for look_up in (known, known.get):
        flags = render_alertmanager(load(), time_scale=60, capture_url=None, host_addresses=look_up).flags
        assert "--cluster.peer=127.9.0.3:9094" in flags
        assert f"--cluster.peer={host.replace('-0.', '-1.')}:9094" in flags


def test_a_single_alertmanager_has_no_peers(load: Any) -> None:
    stack = load(lambda found: found["Alertmanager/am"]["spec"].update(replicas=1))
    assert render_alertmanager(stack, time_scale=60, capture_url=None, host_addresses={}).flags == ()
    workload = next(one for one in stack.workloads if one.name == "alertmanager-am")
    assert "--cluster.listen-address=" in workload.containers[0].args


def test_a_secrets_own_configuration_is_the_base(load: Any, make: Any, tmp_path: Path) -> None:
    base = """
route: {receiver: own, group_by: ['...'], group_wait: 10s, routes: [{receiver: own, match: {a: b}, match_re: {c: d.*}}]}
receivers: [{name: own, slack_configs: [{api_url: 'https://hooks.example.org/x', channel: x}]}]
inhibit_rules: [{source_match: {severity: critical}, target_matchers: ['severity = warning'], equal: [instance]}]
"""

    def change(found: Manifests) -> None:
        data = {"alertmanager.yaml": base64.b64encode(base.encode()).decode()}
        found["secret"] = make("Secret", "base", api="v1", data=data)
        found["Alertmanager/am"]["spec"]["configSecret"] = "base"

    stack = load(change)
    assert stack.spec.route.receiver == "own"
    assert stack.spec.route.group_wait_s == 10
    assert [route.receiver for route in stack.spec.route.routes] == ["mon/routes/hook", "own"]
    assert [(m.name, m.op) for m in stack.spec.route.routes[1].matchers] == [("a", "="), ("c", "=~")]
    assert stack.spec.inhibit_rules[0].target[0].value == "warning"
    assert stack.spec.receivers[0].captured == ("slack",)
    assert amtool(stack, tmp_path).returncode == 0


def test_a_global_configuration_is_the_base_without_namespace_or_continue(load: Any, tmp_path: Path) -> None:
    def change(found: Manifests) -> None:
        everything(found)
        del found["Alertmanager/am"]["spec"]["alertmanagerConfigSelector"]
        configuration = {"name": "routes", "global": {"resolveTimeout": "10m"}}
        found["Alertmanager/am"]["spec"]["alertmanagerConfiguration"] = configuration

    stack = load(change)
    written, _ = render(stack)
    assert written["route"]["receiver"] == "mon/routes/hook"
    assert not written["route"].get("continue")
    assert written["global"]["resolve_timeout"] == "10s"
    assert written["inhibit_rules"][0]["source_matchers"] == ['severity="critical"']
    assert stack.unselected == ()
    assert amtool(stack, tmp_path).returncode == 0
