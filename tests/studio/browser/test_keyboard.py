"""All that a mouse can do, keys can do; nothing moves; paper is white and has no buttons."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from runlore import Experiment, Workspace
from tests.processes import wait_until
from tests.studio.browser.conftest import Opened
from tests.studio.browser.test_charts import compared

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

CONTROLS = """() => {
    const all = [...document.querySelectorAll(
        "a[href], button, input, select, textarea, summary, [tabindex='0']"
    )];
    const reached = all.filter((one) =>
        !one.disabled && one.tabIndex >= 0 && one.checkVisibility()
        && !(one.type === "radio" && !one.checked));
    reached.forEach((one, n) => (one.dataset.control = n));
    return reached.map((one) => one.outerHTML.slice(0, 120));
}"""
FOCUSED = """() => {
    const { dataset } = document.activeElement;
    const { outlineStyle } = getComputedStyle(document.activeElement);
    return [dataset.control ?? null, outlineStyle];
}"""
CLICKED_ONLY = """() => [...document.querySelectorAll("body *")].filter((one) => {
    const own = getComputedStyle(one).cursor === "pointer"
        && getComputedStyle(one.parentElement).cursor !== "pointer";
    return own && one.checkVisibility()
        && !one.matches("a[href], button, input, select, textarea, summary, label, [tabindex]");
}).map((one) => one.outerHTML.slice(0, 120))"""
PAGES = {
    "experiments": "/",
    "runs": "/e/vision",
    "split": "/e/vision?split=230",
    "compare": "{compared}",
    "scatter": "{compared}&show=scatter",
    "parallel": "{compared}&show=parallel",
    "metrics": "/run/{first}/metrics",
    "details": "/run/{first}",
    "history": "/run/{first}/history",
    "files": "/run/{first}/files",
    "targets": "/targets",
    "new": "/new",
    "sql": "/sql?sql=SELECT+status%2C+number+FROM+runs&y=number",
    "views": "/views",
    "past": "/e/vision?asof=30",
}


def opened(open_page: Opened, lab: Workspace, name: str, **options: object) -> Page:
    """A page of `PAGES`, with all that it loads."""
    first = next(iter(Experiment(lab, "vision").get_runs()))
    path = PAGES[name].format(compared=compared(lab, 3), first=first.id)
    page = open_page(path, **options)
    expect(page.locator("main h1").first).to_be_visible()
    expect(page.get_by_text("Loading")).to_have_count(0)
    return page


@pytest.mark.parametrize("name", PAGES)
def test_each_control_is_reached_by_tab_and_seen_when_it_is(
    name: str, open_page: Opened, lab: Workspace
) -> None:
    page = opened(open_page, lab, name)
    controls = page.evaluate(CONTROLS)
    assert len(controls) > 5
    reached = set()
    for _ in range(len(controls) + 5):
        page.keyboard.press("Tab")
        number, outline = page.evaluate(FOCUSED)
        if number is not None:
            assert outline != "none", controls[int(number)]
            reached.add(int(number))
    assert [control for n, control in enumerate(controls) if n not in reached] == []
    assert page.evaluate(CLICKED_ONLY) == []


def test_a_chart_is_read_and_zoomed_by_keys(open_page: Opened, lab: Workspace) -> None:
    page = opened(open_page, lab, "compare")
    chart = page.get_by_role("figure", name="loss")
    expect(chart.locator(".uplot")).to_be_visible()
    chart.get_by_role("group", name="Curves of loss").focus()
    page.keyboard.press("ArrowRight")
    told = chart.locator(".tooltip")
    expect(told).to_contain_text("step 25")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(told).to_contain_text("step 27")
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("zoom="))
    expect(chart.get_by_role("button", name="Whole axis")).to_be_visible()
    page.keyboard.press("-")
    expect(page).not_to_have_url(re.compile("zoom="))
    page.keyboard.press("Tab")
    expect(told).to_have_count(0)


def drawn(page: Page) -> str:
    """What the canvas of a chart shows, once it shows something."""
    chart = page.get_by_role("figure", name="loss")
    expect(chart.locator(".uplot")).to_be_visible()
    url: str = chart.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    return url


def test_curves_have_the_colours_of_the_theme_that_is_shown(
    open_page: Opened, lab: Workspace
) -> None:
    light, dark = (
        drawn(opened(open_page, lab, "compare", color_scheme=scheme))
        for scheme in ("light", "dark")
    )
    assert light != dark
    page = opened(open_page, lab, "compare", color_scheme="light")
    assert drawn(page) == light
    page.emulate_media(color_scheme="dark")
    wait_until(lambda: drawn(page) == dark, "the colours of the system's new theme")
    page.keyboard.press(".")
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()
    wait_until(lambda: drawn(page) == light, "the colours of the chosen theme")


@pytest.mark.parametrize("name", PAGES)
def test_paper_is_white_and_has_no_controls(name: str, open_page: Opened, lab: Workspace) -> None:
    page = opened(open_page, lab, name, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(page.locator("body")).to_have_css("color", "rgb(27, 31, 36)")
    for control in ("button:not(.sort)", "select", "input", ".tabs", "summary"):
        assert [one.inner_text() for one in page.locator(control).all() if one.is_visible()] == []
    if name == "runs":
        expect(page.get_by_role("columnheader", name="status")).to_be_visible()
    if name != "new":
        assert len(page.locator("main").inner_text()) > 10


def test_charts_are_printed_in_the_colours_of_paper(open_page: Opened, lab: Workspace) -> None:
    page = opened(open_page, lab, "compare", color_scheme="dark")
    dark = drawn(page)
    page.emulate_media(media="print", color_scheme="dark")
    wait_until(lambda: drawn(page) != dark, "other colours")
    paper = drawn(page)
    page.emulate_media(media="print", color_scheme="light")
    assert drawn(page) == paper
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="screen", color_scheme="dark")
    wait_until(lambda: drawn(page) == dark, "the colours of the screen")


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_longer_than_a_glance(motion: str, open_page: Opened, lab: Workspace) -> None:
    page = opened(open_page, lab, "compare", reduced_motion=motion)
    longest = page.evaluate(
        """() => Math.max(...[...document.querySelectorAll("*")].flatMap((one) => {
            const { transitionDuration, animationDuration } = getComputedStyle(one);
            return `${transitionDuration}, ${animationDuration}`.split(",").map(parseFloat);
        }))"""
    )
    assert longest <= (0 if motion == "reduce" else 0.15)
    assert page.evaluate("document.getAnimations().length") == 0
