"""The HTML report as Chromium shows it: at both widths, in both schemes, by keyboard, and with hostile texts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from harness.report import from_json, to_html, to_json

from .results import alert_spec, heat_record, heat_result, spec
from .test_html import heat_page, hostile

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("browser")]
Scheme = Literal["light", "dark"]
WIDTHS = (390, 1440)
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of ordinary size
_FLAGS = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync")


@dataclass
class Opened:
    """A page and what it did that a report must not do."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    assert program, "no Chromium on PATH: make browser"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, chromium_sandbox=False, args=list(_FLAGS))
        yield launched
        launched.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Opens a report at a width and in a scheme, with the network cut."""
    contexts = []

    def open_page(html: str, *, width: int = 1440, scheme: Scheme = "light") -> Opened:
        path = tmp_path / f"report-{width}-{scheme}.html"
        path.write_text(html, encoding="utf-8", errors="surrogateescape")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        seen = Opened(page)

        def refuse(route: Route) -> None:
            if route.request.url == path.as_uri():
                route.continue_()
            else:
                seen.requests.append(route.request.url)
                route.abort()

        context.route("**/*", refuse)
        page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (seen.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(path.as_uri())
        page.screenshot(path=tmp_path / f"report-{width}-{scheme}.png", full_page=True)
        return seen

    yield open_page
    for context in contexts:
        context.close()


def hostile_page() -> str:
    """A report of which every text that comes from outside tries to be markup, and one is endless."""
    document = hostile(to_json(heat_result()))
    document["results"][0]["summary"] += 10_000 * "x"
    document["results"][1]["check"] += 10_000 * "y"
    events = [replace(event, data=hostile(dict(event.data))) for event in heat_record().events]
    return to_html(from_json(document), events, spec(alert_spec()))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("html", [heat_page, hostile_page], ids=["plain", "hostile"])
def test_it_fits_asks_for_nothing_and_runs_nothing(opened: Any, html: Any, width: int, scheme: Scheme) -> None:
    seen: Opened = opened(html(), width=width, scheme=scheme)
    assert seen.requests == []
    assert seen.complaints == []
    for details in (False, True):
        seen.page.evaluate("open => document.querySelectorAll('details').forEach(each => each.open = open)", details)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.page.evaluate(_WIDER_THAN_THE_PAGE, width) == []
    assert seen.page.locator("script, img, iframe, object, link").count() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_text_stands_out_from_what_is_behind_it(opened: Any, width: int, scheme: Scheme) -> None:
    page = opened(heat_page(), width=width, scheme=scheme).page
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    contrasts = page.evaluate(_CONTRASTS)
    assert len(contrasts) > 100
    assert [each for each in contrasts if each["ratio"] < LEAST_CONTRAST] == []


def test_the_contrast_test_sees_what_is_too_faint(opened: Any) -> None:
    page = opened(heat_page()).page
    page.evaluate("document.documentElement.style.setProperty('--soft', '#b0aea6')")
    assert [each for each in page.evaluate(_CONTRASTS) if each["ratio"] < LEAST_CONTRAST]


@pytest.mark.parametrize("width", WIDTHS)
def test_everything_that_can_be_operated_is_reached_by_tab_with_a_visible_focus(opened: Any, width: int) -> None:
    page = opened(heat_page(), width=width).page
    expected = page.evaluate(_OPERABLE)
    reached = []
    for _ in range(expected + 5):
        page.keyboard.press("Tab")
        focus = page.evaluate(_FOCUS)
        if focus is None:
            break
        assert focus["outline"] != "none", focus
        reached.append(focus["number"])
    assert len(set(reached)) == expected > 10


def test_a_check_opens_and_closes_by_enter_and_the_filter_by_arrows(opened: Any) -> None:
    page = opened(heat_page()).page
    check = page.locator("details.check").first
    check.locator("summary").focus()
    page.keyboard.press("Enter")
    assert check.get_attribute("open") is not None
    assert check.locator("dl.figures").is_visible()
    page.keyboard.press("Enter")
    assert check.get_attribute("open") is None
    shown = page.locator("details.check:visible").count()
    page.locator("#show-all").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#show-fail").is_checked()
    failed = page.locator("details.check.fail").count()
    assert page.locator("details.check:visible").count() == failed < shown


def test_an_evidence_number_leads_to_its_entry(opened: Any) -> None:
    page = opened(heat_page()).page
    link = page.locator("dl.figures a").first
    link.evaluate("each => each.closest('details')?.setAttribute('open', '')")
    link.focus()
    page.keyboard.press("Enter")
    target = page.locator(str(link.get_attribute("href")))
    assert target.is_visible()
    assert target.evaluate("each => each.matches(':target')")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_texts_of_a_chart_are_whole_legible_and_apart(opened: Any, width: int) -> None:
    page = opened(heat_page(), width=width).page
    texts = page.evaluate(_CHART_TEXTS)
    assert len(texts) > 15
    assert [each["text"] for each in texts if each["height"] < 9] == [], "too small to read"
    assert [each["text"] for each in texts if not each["inside"]] == [], "cut off"
    assert page.evaluate(_OVERLAPS) == []


# Elements that stick out of the page, though the page may hide it.
_WIDER_THAN_THE_PAGE = """width => [...document.querySelectorAll('main *, header *')]
    .filter(each => !each.closest('.lives thead') && each.checkVisibility())
    .filter(each => each.getBoundingClientRect().right > width + 1)
    .map(each => each.tagName + ' ' + each.textContent.slice(0, 40))"""

_OPERABLE = """(() => {
    const all = [...document.querySelectorAll('a[href], summary, input:checked')];
    const shown = all.filter(each => each.checkVisibility());
    shown.forEach((each, number) => each.dataset.number = number);
    return shown.length;
})()"""

_FOCUS = """(() => {
    const each = document.activeElement;
    if (!each || each === document.body) return null;
    return {number: each.dataset.number, outline: getComputedStyle(each).outlineStyle, what: each.outerHTML};
})()"""

# Contrast of every text with the colour behind it. Source: WCAG 2.2, relative luminance and contrast ratio.
_CONTRASTS = """(() => {
    const parse = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const over = (top, below) => {
        const alpha = top[3] === undefined ? 1 : top[3];
        return [0, 1, 2].map(i => alpha * top[i] + (1 - alpha) * below[i]);
    };
    const luminance = colour => {
        const [r, g, b] = colour.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = each => {
        const layers = [];
        for (; each; each = each.parentElement) layers.push(parse(getComputedStyle(each).backgroundColor));
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim(), each = walker.currentNode.parentElement;
        if (!text || !each.checkVisibility()) continue;
        const style = getComputedStyle(each), below = behind(each);
        const ink = over(parse(each.ownerSVGElement ? style.fill : style.color), below);
        const [dark, light] = [luminance(ink), luminance(below)].sort((a, b) => a - b);
        found.push({text: text.slice(0, 40), tag: each.tagName, ratio: (light + 0.05) / (dark + 0.05)});
    }
    return found;
})()"""

_CHART_TEXTS = """[...document.querySelectorAll('svg.chart')].flatMap(chart => {
    const frame = chart.getBoundingClientRect();
    return [...chart.querySelectorAll('text')].filter(each => each.checkVisibility()).map(each => {
        const box = each.getBoundingClientRect();
        const inside = box.left >= frame.left - 1 && box.right <= frame.right + 1
            && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1;
        return {text: each.textContent, height: box.height, inside};
    });
})"""

_OVERLAPS = """[...document.querySelectorAll('svg.chart')].flatMap(chart => {
    const texts = [...chart.querySelectorAll('text')].filter(each => each.checkVisibility());
    const boxes = texts.map(each => [each.textContent, each.getBoundingClientRect()]);
    return boxes.flatMap(([one, a], number) => boxes.slice(number + 1)
        .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
        .map(([other]) => `${one} / ${other}`));
})"""
