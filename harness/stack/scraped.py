"""Which scraped endpoints the series of an expression may come from, and so how old what it reads may be."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.stack.objects import ScrapeEndpoint
from harness.stack.promql import Selection, selections_of
from harness.stack.recordings import Recordings, read_through

# Relabeling that may write any label, so that what a series is called in the end cannot be told from its rules.
_MAY_WRITE_ANY = frozenset({"labelmap", "labeldrop", "labelkeep"})


def scrape_interval_s(expr: str, endpoints: Sequence[ScrapeEndpoint], recordings: Recordings) -> float:
    """The longest interval, in seconds, among the endpoints that may have a series the expression reads.

    Among all endpoints where none of them may: what is read comes from elsewhere. Series of recording rules are as old
    as what those read.
    """
    selections = [selection for each in read_through(expr, recordings) for selection in selections_of(each)]
    possible = [each for each in endpoints if any(_may_have(each, selection) for selection in selections)]
    return max((endpoint.interval_s for endpoint in possible or endpoints), default=0.0)


def _may_have(endpoint: ScrapeEndpoint, selection: Selection) -> bool:
    return _may_be_called(endpoint, selection.metric) and _may_be_of_job(endpoint, selection.equal.get("job"))


def _may_be_called(endpoint: ScrapeEndpoint, metric: str | None) -> bool:
    """Whether a series of this name outlives the endpoint's metric relabeling, which `up` and its like never meet."""
    rules = endpoint.metric_relabelings
    if metric is None or metric == "up" or metric.startswith("scrape_"):
        return True
    if any(rule.get("target_label") == "__name__" or rule.get("action") in _MAY_WRITE_ANY for rule in rules):
        return True
    for rule in rules:
        chosen_by_name = rule.get("source_labels") == ["__name__"] and rule.get("action") in ("keep", "drop")
        if chosen_by_name and _matches(rule.get("regex", "(.*)"), metric) is (rule["action"] == "drop"):
            return False
    return True


def _matches(regex: str, metric: str) -> bool | None:
    """Whether the regular expression, Prometheus's, matches the whole name; None where only Prometheus can tell."""
    try:
        return re.fullmatch(regex, metric) is not None
    except re.error:
        return None


def _may_be_of_job(endpoint: ScrapeEndpoint, job: str | None) -> bool:
    """Whether a target of the endpoint may carry this job: a monitor of Services names it after them, unless told
    otherwise by relabeling or by the series themselves.
    """
    if job is None or not endpoint.services:
        return True
    generated = 2 if endpoint.job_label else 1
    writing = [rule for rule in endpoint.relabelings if rule.get("target_label") == "job"]
    rules = (*endpoint.relabelings, *endpoint.metric_relabelings)
    told_otherwise = (
        endpoint.honor_labels
        or len(writing) > generated
        or any(rule.get("target_label") == "job" for rule in endpoint.metric_relabelings)
        or any(rule.get("action") in _MAY_WRITE_ANY for rule in rules)
    )
    named = {service.labels.get(endpoint.job_label) or service.name for service in endpoint.services}
    return told_otherwise or job in named
