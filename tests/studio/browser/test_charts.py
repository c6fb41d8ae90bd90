"""Charts in a real browser: live points, smoothing, groups, marks, zoom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from runlore import Experiment, Workspace
from tests.processes import LIMIT_S, start_python
from tests.studio.browser.conftest import HOSTILE, Opened

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

LOGGING = """
import sys, runlore
ws = runlore.Workspace.open(sys.argv[1])
run = runlore.Experiment(ws, "spoken").start_logging(
    outputs=False, snapshot_directory=None, capture=False)
print(run.id, flush=True)
for line in sys.stdin:
    name, value = line.split()
    run.log(name, float(value))
    print("logged", flush=True)
"""


def compared(lab: Workspace, count: int = 8) -> str:
    """The path of the comparison of the newest runs, as many of each model."""
    ids = [run.id for run in Experiment(lab, "vision").get_runs()][:count]
    return "/compare?" + "&".join(f"run={run_id}" for run_id in ids)


def asked_for(page: Page) -> list[str]:
    """The addresses of the curves that the page asks for from now on."""
    found: list[str] = []
    page.on("request", lambda one: found.append(one.url) if "/api/charts" in one.url else None)
    return found


def test_a_point_is_on_the_screen_as_soon_as_it_is_logged(
    open_page: Opened, lab: Workspace
) -> None:
    """The process logs and waits: nothing is written to the log for the first points' sake."""
    process = start_python(LOGGING, lab.path)
    assert process.stdin
    assert process.stdout
    try:
        run_id = process.stdout.readline().strip()
        page = open_page(f"/run/{run_id}/metrics")
        expect(page.get_by_text("No metric yet")).to_be_visible()
        for number, value in enumerate((0.5, 0.25, 0.125), 1):
            process.stdin.write(f"loss {value}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "logged\n"
            chart = page.get_by_role("figure", name="loss")
            expect(chart).to_contain_text(f"{number} points of 1 runs")
        process.stdin.write("another 1\n")
        process.stdin.flush()
        expect(page.get_by_role("figure", name="another")).to_contain_text("1 points of 1 runs")
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def test_curves_are_smoothed_and_the_address_says_how(open_page: Opened, lab: Workspace) -> None:
    page = open_page(compared(lab))
    expect(page.locator(".chart .uplot").first).to_be_visible()
    asked = asked_for(page)
    page.get_by_label("smooth").fill("5")
    page.get_by_label("smooth").press("Enter")
    expect(page).to_have_url(re.compile("smooth=5"))
    chart = page.get_by_role("figure", name="loss")
    expect(chart).to_contain_text("smoothed over 5 steps, band: minmax")
    assert any("smooth=5" in url for url in asked)
    page.get_by_label("band").select_option("none")
    expect(chart).to_contain_text("band: none")


@pytest.mark.parametrize(
    ("count", "look", "has_bands"),
    [(8, "", True), (9, "", False), (8, "&band=none", False), (8, "&group=config.seed", False)],
    ids=["few", "many", "none", "groups"],
)
def test_no_more_is_asked_for_than_a_chart_draws(
    count: int, look: str, has_bands: bool, open_page: Opened, lab: Workspace
) -> None:
    page = open_page("/views")
    with page.expect_response(re.compile("api/charts.*metric=loss")) as waiting:
        page.goto(page.url.removesuffix("/views") + compared(lab, count) + look)
    chart = page.get_by_role("figure", name="loss")
    expect(chart.locator(".uplot")).to_be_visible()

    answer = waiting.value.json()
    assert len(answer["series"]) == count
    assert {"min" in one for one in answer["series"]} == {has_bands}
    [buckets] = re.findall(r"buckets=(\d+)", waiting.value.url)
    width = chart.locator(".chart-frame").bounding_box()["width"]  # type: ignore[index]
    assert width <= int(buckets) < width + 100


def test_zooming_asks_for_the_part_again(open_page: Opened, lab: Workspace) -> None:
    page = open_page(compared(lab))
    chart = page.get_by_role("figure", name="loss")
    expect(chart.locator(".uplot")).to_be_visible()
    asked = asked_for(page)
    over = chart.locator(".u-over").bounding_box()
    assert over
    page.mouse.move(over["x"] + over["width"] * 0.5, over["y"] + 50)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] * 0.75, over["y"] + 60, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"zoom=2\d"))
    expect(chart).to_contain_text(re.compile(r"(96|104|112) points of 8 runs"))
    assert any("from=2" in url and "to=3" in url for url in asked)
    page.reload()
    expect(chart.get_by_role("button", name="Whole axis")).to_be_visible()
    chart.get_by_role("button", name="Whole axis").click()
    expect(page).not_to_have_url(re.compile("zoom"))


def test_runs_are_grouped_and_single_ones_shown_on_request(
    open_page: Opened, lab: Workspace
) -> None:
    page = open_page(compared(lab))
    chart = page.get_by_role("figure", name="loss")
    expect(chart.locator(".uplot")).to_be_visible()
    page.get_by_label("group").select_option("tags.model")
    expect(chart.get_by_role("button", name="resnet")).to_be_visible()
    expect(chart).to_contain_text("in 2 groups with 0 single curves")
    chart.get_by_role("button", name="resnet").click()
    expect(chart).to_contain_text("with 4 single curves")


@pytest.fixture(scope="module")
def hard(lab: Workspace) -> Any:
    """Runs with curves that are hard to draw."""
    options: dict[str, Any] = {"outputs": False, "snapshot_directory": None}
    nan, inf = float("nan"), float("inf")
    with Experiment(lab, "hard").start_logging(**options) as run:
        run.display_name = "a name that is far too long for any table " * 6 + HOSTILE
        run.log("one/point", 3.0)
        run.log_batch("one/nan", [nan, nan, nan])
        run.log_batch("odd/mixed", [1.0, nan, inf, 2.0, -inf, 3.0, nan, 4.0])
        run.log_batch("odd/negative", [-1.0, 0.0, -2.0])
        run.log_batch("odd/outlier", [1.0, 2.0, 1.5, 1e12, 1.0, 2.0, 1.0])
        run.log_batch("back/wards", [1.0, 2.0, 3.0, 4.0], steps=[3, 2, 1, 0])
        run.log_batch("مقياس/خسارة 🎯", [1.0, 2.0])
        run.log_batch("same", [5.0, 5.0, 5.0])
    return run


def test_marks_gaps_and_single_points_are_shown(open_page: Opened, hard: Any) -> None:
    page = open_page(f"/run/{hard.id}/metrics?y=log", viewport={"width": 1280, "height": 2400})
    charts = page.get_by_role("figure")
    expect(charts).to_have_count(8)
    expect(page.get_by_role("figure", name="odd/mixed")).to_contain_text("▾ 2 NaN · ▴ 2 infinite")
    expect(page.get_by_role("figure", name="one/nan")).to_contain_text("▾ 3 NaN")
    expect(page.get_by_role("figure", name="odd/negative")).to_contain_text("3 not positive")
    page.goto(page.url.replace("y=log", "clip=1&xl=log&smooth=3"))
    expect(page.get_by_role("figure", name="odd/outlier")).to_contain_text("1 clipped")
    expect(page.get_by_role("figure", name="one/point")).to_contain_text("positive x")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_hard_curves_fit_the_screen(
    scheme: str, width: int, open_page: Opened, hard: Any, tmp_path_factory: Any
) -> None:
    size = {"width": width, "height": 1400}
    page = open_page(f"/run/{hard.id}/metrics?smooth=2", viewport=size, color_scheme=scheme)
    page.get_by_role("figure", name="one/nan").scroll_into_view_if_needed()
    expect(page.get_by_role("figure", name="one/nan")).to_contain_text("▾ 3 NaN")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    folder: Path = tmp_path_factory.mktemp("shots")
    page.screenshot(path=folder / f"charts-{scheme}-{width}.png")
