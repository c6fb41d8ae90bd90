"""Pages with more than fits: thousands of metrics, hundreds of runs, a run of ten days."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from runlore import Experiment, Workspace
from tests.processes import LIMIT_S, start_python
from tests.studio.browser.conftest import Opened
from tests.workspaces import start

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

METRICS = 5_000
RUNS = 300
TEN_DAYS = """
import sys, time
real, hours_ago = time.time_ns, [241]
time.time_ns = lambda: real() - hours_ago[0] * 3_600_000_000_000  # All clocks of runlore are this.
from runlore import Experiment, Workspace
with Workspace.create("lab", path=sys.argv[1], show_output=False) as ws:
    with Experiment(ws, "long").start_logging(
        run_id="long", display_name="ten days", outputs=False, snapshot_directory=None
    ) as run:
        for hour in range(240):
            hours_ago[0] = 240 - hour
            run.log("loss", 1 / (hour + 1))
            if hour % 24 == 0:
                run.tag("day", f"{hour // 24} {'a long text ' * 20}")
                run.flush()
        run.log("one", 1.0)
        run.log_batch("nan", [float("nan")] * 3)
        run.log_batch("backwards", [1.0, 2.0, 3.0, 4.0], steps=[3, 2, 1, 0])
"""
SCREENS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A run that took ten days, one with thousands of metrics, and hundreds of small ones."""
    folder: Path = tmp_path_factory.mktemp("extremes") / "lab"
    process = start_python(TEN_DAYS, folder)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    with Workspace.open(folder) as ws:
        with start(Experiment(ws, "wide"), run_id="wide", display_name="wide") as run:
            for number in range(METRICS):
                run.log(f"layer/{number:04}/norm", number / METRICS)
        many = Experiment(ws, "many")
        for number in range(RUNS):
            with start(many, run_id=f"many-{number:03}") as run:
                run.add_config({"lr": number / 1000, "depth": number % 5})
                run.log_batch("loss", [1 / (step + 1) + number / 300 for step in range(20)])
        yield ws


COMPARED = "&".join(f"run=many-{number:03}" for number in range(RUNS))
PAGES = {
    "wide": ("/run/wide/metrics", ".uplot"),
    "wide details": ("/run/wide/details", ".facts"),
    "compare": (f"/compare?{COMPARED}", ".uplot"),
    "parameters": (f"/compare?{COMPARED}&show=parameters", ".compared tbody tr"),
    "scatter": (f"/compare?{COMPARED}&show=scatter", ".plane"),
    "parallel": (f"/compare?{COMPARED}&show=parallel", ".plane"),
    "bars": (f"/compare?{COMPARED}&show=bars", ".bars"),
    "days by step": ("/run/long/metrics", ".uplot"),
    "days by time": ("/run/long/metrics?x=time", ".uplot"),
    "days since start": ("/run/long/metrics?x=since", ".uplot"),
    "history": ("/run/long/history", ".history"),
    "runs": ("/runs?q=ten+days", ".grid-row"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_screen(
    name: str, open_page: Opened, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, awaited = PAGES[name]
    folder = tmp_path_factory.mktemp("shots")
    for width, scheme in SCREENS:
        page = open_page(path, viewport={"width": width, "height": 800}, color_scheme=scheme)
        expect(page.locator(awaited).first).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
        page.screenshot(path=folder / f"{name.replace(' ', '-')}-{scheme}-{width}.png")


def test_curves_of_more_runs_than_a_chart_has_are_said_to_be_some(open_page: Opened) -> None:
    page = open_page(PAGES["compare"][0])
    expect(page.get_by_text("The curves of the first 200 of 300 runs.")).to_be_visible()
    expect(page.get_by_role("figure", name="loss")).to_contain_text("4000 points of 200 runs")


def test_a_link_compares_more_runs_than_an_address_can_name(open_page: Opened) -> None:
    page = open_page("/e/many")
    expect(page.locator(".grid-row").first).to_be_visible()
    page.get_by_role("grid").focus()
    page.keyboard.press("x")
    page.keyboard.press("End")
    expect(page.locator(".grid-row").last).to_contain_text("many-000")
    page.keyboard.press("Home")
    for _ in range(18):  # All rows come into view.
        page.keyboard.press("PageDown")
    expect(page.locator(".grid-row").last).to_contain_text("many-000")
    page.keyboard.press("Shift+X")
    page.get_by_role("button", name="Compare 300").click()
    expect(page.get_by_role("link", name="300 runs that match")).to_be_visible()
    assert len(page.url) < 250
    again = open_page("/" + page.url.split("/", 3)[3])
    expect(again.get_by_text("The curves of the first 200 of 300 runs.")).to_be_visible()
    again.get_by_role("link", name="300 runs that match").click()
    expect(again.get_by_role("status").filter(has_text="300 runs")).to_be_visible()


def test_all_that_match_are_compared_by_their_filter(open_page: Opened) -> None:
    page = open_page("/e/many?f=config.depth+%3C+4")
    page.get_by_role("button", name="Select all").click()
    page.get_by_role("button", name="Differences").click()
    expect(page.get_by_role("link", name="240 runs that match")).to_be_visible()
    expect(page.get_by_text("The first 200 of 240 runs.")).to_be_visible()
    assert len(page.url) < 250


def test_groups_of_metrics_say_how_many_they_are(open_page: Opened) -> None:
    page = open_page(PAGES["wide"][0])
    expect(page.get_by_role("heading", name="layer")).to_have_text("layer 5,000")
    expect(page.get_by_role("figure")).to_have_count(12)
    page.get_by_role("button", name="Show more of 5,000 metrics").click()
    expect(page.get_by_role("figure")).to_have_count(24)
    page.get_by_label("Find a metric").fill("4999")
    expect(page.get_by_role("figure")).to_have_count(1)


def test_each_column_of_the_history_is_in_view(open_page: Opened) -> None:
    page = open_page(PAGES["history"][0])
    box = page.locator(".history tr:last-child td:last-child a").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] < 1280


def test_bars_have_names_and_lengths(open_page: Opened) -> None:
    page = open_page(PAGES["bars"][0])
    first, last = (page.locator(".bars tbody tr").nth(place) for place in (0, RUNS - 1))
    swatch = first.locator(".swatch").bounding_box()
    assert swatch is not None
    assert swatch["width"] == 12
    widths = []
    for row in (first, last):
        box = row.locator(".bar-cell rect").bounding_box()
        assert box is not None
        widths.append(box["width"])
    assert widths[0] > 200
    assert widths[1] < widths[0] / 5
