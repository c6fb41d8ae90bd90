"""Stars, chosen colours, charts below the table and of tables, and times before all that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from runlore import Experiment, Workspace
from runlore.domain.run_marks import COLOUR, STAR
from tests.processes import wait_until
from tests.studio.asking import served
from tests.studio.browser.conftest import Opened
from tests.studio.browser.test_pages import rows_of

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

OPTIONS: dict[str, Any] = {"outputs": False, "snapshot_directory": None}
RUNS = 14


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Runs with two metrics and a table; none in the first part of the log."""
    folder: Path = tmp_path_factory.mktemp("marks") / "lab"
    with Workspace.create("lab", path=folder, show_output=False) as ws:
        Experiment(ws, "empty")
        for number in range(RUNS):
            with Experiment(ws, "vision").start_logging(run_id=f"run-{number}", **OPTIONS) as run:
                run.display_name = f"run-{number}"
                run.log_batch("loss", [1 / (step + 1) for step in range(20)])
                run.log_batch("val/acc", [step / 20 for step in range(20)])
                if number == 0:
                    run.log_table("roc", {"fpr": [0, 0.5, 1], "tpr": [0, 0.9, 1], "by": ["a"] * 3})
                    for step in range(60):
                        run.log_row("sweep", lr=step / 10, loss=1 / (step + 1))
        yield ws


@pytest.fixture
def page(open_page: Opened) -> Page:
    page = open_page("/e/vision?cols=status&cols=metrics.loss&cols=metrics.%60val/acc%60")
    rows_of(page)
    return page


# --- stars and colours ----------------------------------------------------------------------------


def test_a_star_is_a_tag_that_all_find(page: Page, open_page: Opened, lab: Workspace) -> None:
    other = open_page("/run/run-3")
    star = page.get_by_role("button", name="Star run-3")
    expect(star).to_have_attribute("aria-pressed", "false")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")

    expect(other.get_by_role("button", name="Star run-3")).to_have_attribute("aria-pressed", "true")
    assert STAR in lab.get_run("run-3").get_tags()
    page.locator("#filter").fill(f"has(tags.`{STAR}`)")
    page.locator("#filter").press("Enter")
    expect(page.get_by_text("1 run", exact=True)).to_be_visible()
    assert rows_of(page) == ["run-3"]
    other.get_by_role("button", name="Star run-3").click()
    expect(page.get_by_text("No run matches")).to_be_visible()
    wait_until(lambda: STAR not in lab.get_run("run-3").get_tags(), "no star")


def test_a_viewer_sees_stars_and_gives_none(lab: Workspace, open_page: Opened) -> None:
    lab.get_run("run-5").tag(STAR)
    page = open_page(f"/e/vision?asof={lab.position}")
    rows_of(page)

    expect(page.get_by_role("img", name="starred")).to_have_count(1)
    expect(page.get_by_role("button", name="Star run-5")).to_have_count(0)
    lab.get_run("run-5").remove_tags([STAR])


def test_a_star_that_is_refused_is_taken_back_and_says_why(
    page: Page, lab: Workspace, wrong: list[str]
) -> None:
    page.route("**/api/runs/run-2", lambda route: route.fulfill(status=409, json={"detail": "no"}))
    star = page.get_by_role("button", name="Star run-2")
    star.click()
    expect(star).to_have_attribute("title", "no")
    expect(star).to_have_attribute("aria-pressed", "false")
    assert STAR not in lab.get_run("run-2").get_tags()
    wrong.clear()  # The browser says the 409.


def test_a_chosen_colour_is_that_of_all_pages(open_page: Opened, lab: Workspace) -> None:
    page, table = open_page("/run/run-4"), open_page("/e/vision")
    rows_of(table)
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("radio", name="Colour 6, dash 2").check()
    page.get_by_role("button", name="Save", exact=True).click()

    chosen = 5 + 2 * 8
    for where in (page.locator("h1 .swatch"), row(table, "run-4").locator(".swatch")):
        expect(where).to_have_class("swatch run-5")
        expect(where.locator("line")).to_have_attribute("stroke-dasharray", "1 1.5")
    assert lab.get_run("run-4").get_tags()[COLOUR] == str(chosen)
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_role("radio", name="Colour 6, dash 2")).to_be_checked()
    page.get_by_role("radio", name="by its number").check()
    page.get_by_role("button", name="Save", exact=True).click()
    wait_until(lambda: COLOUR not in lab.get_run("run-4").get_tags(), "no colour")


def row(page: Page, name: str) -> Any:
    return page.locator(".grid-row").filter(has=page.get_by_role("link", name=name, exact=True))


# --- the charts below the table -------------------------------------------------------------------


def test_below_the_table_are_charts_of_the_newest_runs_or_of_the_selected(page: Page) -> None:
    page.get_by_role("button", name="Charts").click()
    loss = page.get_by_role("figure", name="loss")
    expect(loss).to_contain_text("200 points of 10 runs")
    expect(page.get_by_role("figure")).to_have_count(2)
    expect(page.get_by_text(f"The 10 newest of {RUNS} runs")).to_be_visible()

    page.get_by_label("Select run-1", exact=True).click()
    page.get_by_label("Select run-2", exact=True).click()
    expect(loss).to_contain_text("40 points of 2 runs")
    expect(page.get_by_text("2 runs, selected")).to_be_visible()
    address = page.url
    page.reload()
    assert page.url == address
    expect(loss).to_contain_text("40 points of 2 runs")


def test_the_pointer_on_a_row_lights_its_curve_and_the_other_way_round(page: Page) -> None:
    page.get_by_role("button", name="Charts").click()
    loss = page.get_by_role("group", name="Curves of loss")
    expect(loss.locator("canvas")).to_be_visible()
    before = loss.locator("canvas").screenshot()
    row(page, "run-13").hover()
    wait_until(lambda: loss.locator("canvas").screenshot() != before, "the curve to be lit")
    page.get_by_role("heading", name="vision").hover()

    loss.hover()
    expect(page.locator(".grid-row.lit")).to_have_count(1)
    page.get_by_role("heading", name="vision").hover()
    expect(page.locator(".grid-row.lit")).to_have_count(0)


def test_the_charts_below_are_made_higher_by_keys_and_by_dragging(page: Page) -> None:
    page.get_by_role("button", name="Charts").click()
    edge = page.get_by_role("separator", name="Height of the charts")
    expect(edge).to_have_attribute("aria-valuenow", "230")
    edge.focus()
    page.keyboard.press("ArrowUp")
    expect(edge).to_have_attribute("aria-valuenow", "250")
    box = edge.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 50, box["y"] + 3)
    page.mouse.down()
    page.mouse.move(box["x"] + 50, box["y"] - 57, steps=4)
    page.mouse.up()
    expect(edge).to_have_attribute("aria-valuenow", "310")
    canvas = page.get_by_role("group", name="Curves of loss").locator("canvas").bounding_box()
    assert canvas is not None
    assert canvas["height"] == 240


@pytest.mark.parametrize("width", [1280, 390])
def test_the_charts_below_and_the_choice_of_a_colour_fit_the_screen(
    width: int, open_page: Opened
) -> None:
    page = open_page("/e/vision?split=230", viewport={"width": width, "height": 800})
    expect(page.get_by_role("group", name="Curves of loss").locator("canvas")).to_be_visible()
    assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
    page = open_page("/run/run-1", viewport={"width": width, "height": 800})
    page.get_by_role("button", name="Edit").click()
    last = page.locator(".look .swatch").last.bounding_box()
    dialog = page.get_by_role("dialog").bounding_box()
    assert last is not None
    assert dialog is not None
    assert last["x"] + last["width"] < dialog["x"] + dialog["width"] - 16


def test_patterns_choose_the_charts(open_page: Opened) -> None:
    page = open_page("/e/vision?split=230&charts=val/*")
    expect(page.get_by_role("figure")).to_have_count(1)
    expect(page.get_by_role("figure", name="val/acc")).to_be_visible()
    page = open_page("/run/run-1/metrics?charts=lo*s&charts=nothing")
    expect(page.get_by_role("figure")).to_have_count(1)
    find = page.get_by_label("Find a metric")
    expect(find).to_have_value("lo*s nothing")
    find.fill("ACC")
    expect(page.get_by_role("figure", name="val/acc")).to_be_visible()
    expect(page).to_have_url(re.compile(r"charts=ACC$"))
    find.fill("nowhere")
    expect(page.get_by_text("No metric has this in its name.")).to_be_visible()


# --- tables as charts -----------------------------------------------------------------------------


def test_two_columns_of_a_table_are_a_chart(open_page: Opened) -> None:
    page = open_page("/run/run-0/tables")
    expect(page.get_by_role("figure", name="tpr by fpr")).to_be_visible()
    expect(page.get_by_role("figure", name="loss by lr")).to_be_visible()
    sweep = page.locator("section").filter(has=page.get_by_role("heading", name="sweep"))
    sweep.get_by_role("combobox", name="x").select_option("loss")
    expect(page.get_by_role("figure", name="lr by loss")).to_be_visible()


# --- before ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/e/vision", "/runs", "/run/run-0"])
def test_a_page_of_a_time_before_says_since_when_and_leads_there(
    path: str, open_page: Opened, lab: Workspace
) -> None:
    page = open_page(f"{path}?asof=2", status=404)
    page.get_by_role("button", name="Go to that moment").click()
    if path == "/run/run-0":
        expect(page.get_by_role("heading", name="run-0")).to_be_visible()
    else:
        assert len(rows_of(page)) == 1
    assert "asof=" in page.url


def test_an_experiment_that_never_had_a_run_says_no_moment(open_page: Opened) -> None:
    page = open_page("/e/empty?asof=3")
    expect(page.get_by_text("There was no run at that time")).to_be_visible()
    expect(page.locator("#main").get_by_role("button", name="Back to now")).to_be_visible()
    expect(page.get_by_role("button", name="Go to that moment")).to_have_count(0)


def test_since_when_there_are_runs(lab: Workspace) -> None:
    with served(lab) as studio:
        found = studio.get("/api/first")
        assert found["run"] == "run-0"
        assert studio.get("/api/first", run="run-3")["position"] > found["position"]
        assert studio.get("/api/first", experiment="vision") == found
        nothing = {"run": None, "position": None, "time": None}
        assert studio.get("/api/first", experiment="empty") == nothing
        assert studio.get("/api/first", run="nobody") == nothing
