"""How old what an expression reads may be: the intervals of those endpoints alone that may have it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.stack import Stack
from harness.stack.objects import ScrapeEndpoint
from harness.stack.recordings import Recording
from harness.stack.scraped import scrape_interval_s


@pytest.fixture
def endpoint(load: Any) -> ScrapeEndpoint:
    """An endpoint of the job ``a`` that is scraped every minute and hands all on."""
    (found,) = load().endpoints
    assert found.interval_s == 60.0
    return found


def slow(endpoint: ScrapeEndpoint, *rules: dict[str, Any], **changes: Any) -> ScrapeEndpoint:
    """The same, every ten minutes, of the job ``slow``, with this relabeling of what it has."""
    services = tuple(replace(each, labels={"team": "slow"}) for each in endpoint.services)
    return replace(endpoint, interval_s=600.0, services=services, metric_relabelings=rules, **changes)


def by_name(regex: str, action: str = "keep") -> dict[str, Any]:
    return {"source_labels": ["__name__"], "regex": regex, "action": action}


@pytest.mark.parametrize(
    ("expr", "rules", "seconds"),
    [
        ("x > 0", [], 600.0),
        ("x > 0", [by_name("x|z")], 600.0),
        ("x > 0", [by_name("xx|y.*")], 60.0),
        ("x > 0 and y", [by_name("y")], 600.0),
        ("x > 0", [by_name("x", "drop")], 60.0),
        ("x > 0", [by_name("xy", "drop")], 600.0),
        ("x > 0", [by_name("x|y"), by_name("x", "drop")], 60.0),
        # Relabeling that may call it so in the end, or that only Prometheus understands.
        ("x > 0", [by_name("y"), {"source_labels": ["a"], "target_label": "__name__"}], 600.0),
        ("x > 0", [by_name("y"), {"action": "labelmap", "regex": "a(.*)"}], 600.0),
        ("x > 0", [by_name(r"\pN+")], 600.0),
        ("x > 0", [{"source_labels": ["__name__", "a"], "regex": "y;b", "action": "keep"}], 600.0),
        # What Prometheus itself writes of a scrape meets no relabeling; what has no name may be anything.
        ("up == 0", [by_name("y")], 600.0),
        ("scrape_samples_scraped > 0", [by_name("y")], 600.0),
        ('{job=~"x.*"} > 0', [by_name("y")], 600.0),
        ('{__name__="x"} > 0', [by_name("y")], 60.0),
        # Targets of another job.
        ('up{job="a"} == 0', [], 60.0),
        ('up{job="slow"} == 0', [], 600.0),
        ('up{job=~"a"} == 0', [], 600.0),
        ('up{job!="a"} == 0', [], 600.0),
        ('x{job="a"} > 0', [{"source_labels": ["b"], "target_label": "job"}], 600.0),
        # Nothing that is scraped.
        ('up{job="other"} == 0', [], 600.0),
        ("vector(1)", [by_name("y")], 600.0),
    ],
)
def test_only_endpoints_that_may_have_a_series_count(
    endpoint: ScrapeEndpoint, expr: str, rules: list[dict[str, Any]], seconds: float
) -> None:
    assert scrape_interval_s(expr, [endpoint, slow(endpoint, *rules)], {}) == seconds


@pytest.mark.parametrize(
    "changes",
    [
        {"honor_labels": True},
        {"services": ()},
        {"relabelings": ({"target_label": "job", "replacement": "a"},) * 3},
        {"relabelings": ({"action": "labelmap", "regex": "(job)"},)},
    ],
    ids=str,
)
def test_a_job_that_may_come_from_elsewhere_is_any(endpoint: ScrapeEndpoint, changes: dict[str, Any]) -> None:
    other = replace(slow(endpoint), **changes)
    assert scrape_interval_s('up{job="a"} == 0', [endpoint, other], {}) == 600.0


def test_a_recorded_series_is_as_old_as_what_it_was_recorded_from(endpoint: ScrapeEndpoint) -> None:
    both = [endpoint, slow(endpoint, by_name("y"))]
    recorded = {
        "a:x:sum": [Recording("sum(a:y:sum)", 30.0)],
        "a:y:sum": [Recording("sum(y)", 30.0), Recording("sum(a:x:sum)", 30.0)],
    }
    assert scrape_interval_s("a:x:sum > 1", both, recorded) == 600.0
    assert scrape_interval_s("a:x:sum > 1", both, {}) == 60.0


def test_without_endpoints_there_is_no_interval() -> None:
    assert scrape_interval_s("x > 0", [], {}) == 0.0


def test_an_alert_says_how_old_what_it_reads_may_be(load: Any) -> None:
    def change(found: dict[str, dict[str, Any]]) -> None:
        rarely = {"port": "web", "interval": "10m", "metricRelabelings": [{**SLOW, "action": "Keep"}]}
        found["ServiceMonitor/app"]["spec"]["endpoints"].append(rarely)
        rules = found["PrometheusRule/rules"]["spec"]["groups"][0]["rules"]
        rules += [{"alert": "B", "expr": "y > 1"}, {"alert": "C", "expr": "y:sum > 1"}]
        rules.append({"record": "y:sum", "expr": "sum(y)"})

    stack: Stack = load(change)
    assert {alert.name: alert.scrape_interval_s for alert in stack.spec.alerts} == {"A": 60.0, "B": 600.0, "C": 600.0}


SLOW = {"sourceLabels": ["__name__"], "regex": "y"}
