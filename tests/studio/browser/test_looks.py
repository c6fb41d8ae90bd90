"""What can be measured of how pages look: nothing jumps, and a run has one colour everywhere."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from runlore import Experiment, Workspace
from tests.studio.browser.conftest import Opened
from tests.studio.browser.test_charts import compared
from tests.studio.browser.test_keyboard import PAGES, opened

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

SHIFT_MAX = 0.02
SHIFTS = """() => new Promise((found) => {
    const shifts = [];
    const observer = new PerformanceObserver((list) => {
        for (const one of list.getEntries()) shifts.push([one.value, one.sources?.map(
            ({ node }) => node?.outerHTML?.slice(0, 80) ?? node?.nodeName)]);
    });
    observer.observe({ type: "layout-shift", buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => found(shifts)));
})"""
COLOUR = """(swatch) => [
    swatch.classList[1], getComputedStyle(swatch.querySelector("rect")).fill, swatch.innerHTML
]"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_jumps_while_a_page_comes(
    name: str, width: int, open_page: Opened, lab: Workspace
) -> None:
    page = opened(open_page, lab, name, viewport={"width": width, "height": 800})
    shifts = page.evaluate(SHIFTS)
    assert sum(value for value, _ in shifts) <= SHIFT_MAX, shifts


def test_the_points_of_numbers_stand_below_each_other(
    open_page: Opened,
) -> None:
    values = [0.5, 12.25, 1234.0, -3.0e-7, 0.12345, 7.0]
    query = ",".join(f"({value})" for value in values)
    page = open_page(f"/sql?sql=SELECT+*+FROM+(VALUES+{query})+AS+t(x)")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".places")).to_have_count(len(values))
    points = page.locator(".places").evaluate_all(
        "all => all.map((one) => one.getBoundingClientRect().left)"
    )
    assert max(points) - min(points) < 1
    ends = page.locator(".grid-row .number").evaluate_all(
        "all => all.map((one) => one.scrollWidth > one.clientWidth)"
    )
    assert not any(ends)


def colour_of_first(page: Page, place: str) -> object:
    swatch = page.locator(f"{place} .swatch").first
    expect(swatch).to_be_visible()
    return swatch.evaluate(COLOUR)


def test_a_run_has_one_colour_on_all_pages_and_after_reload(
    open_page: Opened, lab: Workspace
) -> None:
    run = next(iter(Experiment(lab, "vision").get_runs()))
    page = open_page("/e/vision")
    colour = colour_of_first(page, ".grid-row")
    assert re.match(r"run-\d", str(colour[0]))  # type: ignore[index]
    page.reload()
    assert colour_of_first(page, ".grid-row") == colour
    origin = page.url.split("/e/")[0]
    for path, place in (
        (f"/e/vision?drawer={run.id}", ".drawer"),
        (f"/e/vision?sort=name&f=id+%3D+{run.id}", ".grid-row"),
        (f"/run/{run.id}/history", ".run-head"),
        (compared(lab, 3), ".run-list"),
        (f"{compared(lab, 3)}&show=parameters", ".compared"),
        (f"{compared(lab, 3)}&show=bars&hide=x", ".run-list"),
    ):
        page.goto(origin + path)
        assert colour_of_first(page, place) == colour, path
