"""Matchers and routes resolve as Alertmanager's."""

from __future__ import annotations

import pytest

from harness.spec import Matcher, Route, Spec


@pytest.mark.parametrize(
    ("op", "value", "actual", "expected"),
    [
        ("=", "a", "a", True),
        ("=", "a", "b", False),
        ("=", "", None, True),
        ("!=", "a", None, True),
        ("!=", "a", "a", False),
        ("=~", "a|b", "b", True),
        ("=~", "a", "ab", False),
        ("=~", "a", "ba", False),
        ("=~", ".+", None, False),
        ("!~", "a.*", "abc", False),
        ("!~", "a", "ab", True),
    ],
)
def test_matchers_are_anchored_and_take_an_absent_label_as_empty(
    op: str, value: str, actual: str | None, expected: bool
) -> None:
    labels = {} if actual is None else {"x": actual}
    assert Matcher("x", op, value).matches(labels) is expected


def route(receiver: str, *matchers: Matcher, routes: tuple[Route, ...] = (), continues: bool = False) -> Route:
    return Route(receiver, (), 0.0, 0.0, 0.0, matchers, continues, routes)


A, B = Matcher("a", "=", "1"), Matcher("b", "=", "1")


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        ({}, ["root"]),
        ({"a": "1"}, ["first"]),
        ({"b": "1"}, ["second"]),
        ({"a": "1", "b": "1"}, ["first", "second"]),
        ({"a": "1", "c": "1"}, ["inner"]),
    ],
)
def test_an_alert_ends_at_the_first_match_and_goes_on_where_asked(labels: dict[str, str], receivers: list[str]) -> None:
    inner = route("inner", Matcher("c", "=", "1"))
    tree = route(
        "root", routes=(route("first", A, routes=(inner,), continues=True), route("second", B), route("third", B))
    )
    assert [each.receiver for each in tree.resolve(labels)] == receivers


def test_one_name_may_stand_for_several_rules() -> None:
    from tests.checks.timelines import alert_spec

    rules = (alert_spec("Hot"), alert_spec("Cold"), alert_spec("Hot", for_s=1.0))
    assert Spec(rules, None, ()).alert("Hot") == (rules[0], rules[2])
    assert Spec(rules, None, ()).alert("Warm") == ()
