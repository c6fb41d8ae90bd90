"""The table of runs: selection, changes of many, baseline, groups, tree, columns, file, keys."""

from __future__ import annotations

import csv
import io
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from runlore import Experiment, Workspace
from tests.processes import LIMIT_S, start_python
from tests.studio.browser.conftest import HOSTILE, Opened
from tests.studio.browser.test_charts import LOGGING
from tests.studio.browser.test_pages import path_of, rows_of

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

SEEDS = 4


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Three models with four seeds each, the first run of each with two children."""
    folder: Path = tmp_path_factory.mktemp("table") / "lab"
    options: dict[str, Any] = {"outputs": False, "snapshot_directory": None}
    with Workspace.create("lab", path=folder, show_output=False) as ws:
        vision = Experiment(ws, "vision")
        for number in range(3 * SEEDS):
            with vision.start_logging(**options) as run:
                run.display_name = f"run-{number:02}"
                run.add_config({"model": f"m{number % 3}", "seed": number // 3})
                run.log("loss", 1.0 + number)
                for metric in range(60):
                    run.log(f"layer/{metric:02}", metric)
                if number < 3:
                    for fold in range(2):
                        with run.child_run() as child:
                            child.display_name = f"fold-{fold} of {number}"
                            child.tag("fold", str(fold))
        yield ws


def select(page: Page, *names: str) -> None:
    for name in names:
        page.get_by_role("checkbox", name=f"Select {name}").click()


def test_runs_are_selected_by_keys_and_clicks(open_page: Opened) -> None:
    page = open_page("/e/vision")
    rows_of(page)
    page.get_by_role("grid").focus()
    page.keyboard.press("x")
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    expect(page.get_by_text("4 selected")).to_be_visible()
    page.get_by_role("button", name="None").click()
    expect(page.get_by_role("toolbar")).to_have_count(0)

    select(page, "run-11")
    page.get_by_role("checkbox", name="Select run-07").click(modifiers=["Shift"])
    expect(page.get_by_text("5 selected")).to_be_visible()
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()


def test_many_are_tagged_and_those_that_refuse_are_told(open_page: Opened, lab: Workspace) -> None:
    page = open_page("/e/vision")
    rows_of(page)
    select(page, "run-11", "run-10")
    page.keyboard.press("e")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key", exact=True).fill("note")
    dialog.get_by_label("Value").fill(HOSTILE)
    page.get_by_role("button", name="Tag", exact=True).click()
    expect(page.get_by_text("2 runs changed.")).to_be_visible()
    tagged = [event for event in lab.events(topics="run.tag_set") if event.data]
    assert [event.data["value"] for event in tagged if event.data][-2:] == [HOSTILE] * 2

    page.get_by_role("button", name="Cancel…").click()
    page.get_by_label("Reason").fill("enough")
    page.get_by_role("button", name="Cancel runs").click()
    expect(dialog).to_contain_text("0 runs changed, 2 refused")
    expect(dialog).to_contain_text("has ended as Completed")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_archived_runs_leave_the_list_and_come_back(open_page: Opened) -> None:
    page = open_page("/e/vision")
    expect(page.get_by_text("12 runs")).to_be_visible()
    select(page, "run-11")
    page.get_by_role("button", name="Archive…").click()
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(page.get_by_text("11 runs")).to_be_visible()
    page.get_by_role("button", name="Archive…").click()  # It is still selected.
    page.get_by_label("bring archived ones back").check()
    page.get_by_role("button", name="Archive", exact=True).click()
    expect(page.get_by_text("12 runs")).to_be_visible()


def test_numbers_are_compared_with_the_baseline(open_page: Opened) -> None:
    page = open_page("/e/vision?cols=metrics.loss&cols=config.model")
    rows_of(page)
    select(page, "run-03")  # Its loss is 4.
    page.keyboard.press("b")
    expect(page.locator(".grid-pinned")).to_contain_text("run-03")
    row = page.locator(".grid-row", has_text="run-00")
    expect(row).to_contain_text("−75 %")
    expect(page.locator(".grid-row", has_text="run-11")).to_contain_text("+200 %")
    expect(page.locator(".grid-row", has_text="run-03").locator(".delta")).to_have_text("")
    assert "pin=" in page.url
    shown = open_page("/" + page.url.split("/", 3)[3])
    expect(shown.locator(".grid-pinned")).to_contain_text("run-03")


def test_seeds_are_gathered_with_mean_and_spread(open_page: Opened) -> None:
    page = open_page("/e/vision?cols=metrics.loss")
    rows_of(page)
    page.get_by_label("Group").select_option("config.model")
    group = page.locator(".grid-row", has_text="m0")
    expect(group).to_contain_text("4")
    expect(group).to_contain_text("5.5")  # Of 1, 4, 7, 10.
    expect(group).to_contain_text("± 3.873")
    page.get_by_label("Aggregate").select_option("min")
    expect(page.locator(".grid-row", has_text="m2")).to_contain_text("3")
    page.get_by_role("button", name="m1", exact=True).click()
    expect(page.get_by_text("4 runs")).to_be_visible()
    assert rows_of(page) == ["run-10", "run-07", "run-04", "run-01"]


def test_a_tree_keeps_the_parents_of_matching_children(open_page: Opened) -> None:
    page = open_page("/e/vision?f=tags.fold+%3D+%221%22")
    expect(page.get_by_text("3 runs below others match.")).to_be_visible()
    page.get_by_role("button", name="Show children").click()
    expect(page.locator(".grid-row .run-name").first).to_be_visible()
    wanted = [name for n in (2, 1, 0) for name in (f"run-{n:02}", f"fold-1 of {n}")]
    assert rows_of(page) == wanted
    expect(page.locator(".above")).to_have_count(3)


def test_branches_close_and_open_and_children_are_sorted(open_page: Opened) -> None:
    page = open_page("/e/vision?tree=1&f=number+<+7&sort=name")
    expect(page.locator(".grid-row .run-name")).to_have_count(6)
    tree = [name for n in range(2) for name in (f"run-{n:02}", f"fold-0 of {n}", f"fold-1 of {n}")]
    assert rows_of(page) == tree
    page.get_by_role("button", name="Branch of run-00: 2 below").click()
    expect(page.locator(".grid-row .run-name")).to_have_count(4)
    assert rows_of(page) == [tree[0], *tree[3:]]
    again = open_page(path_of(page))  # What is closed is in the address.
    expect(again.locator(".grid-row .run-name")).to_have_count(4)
    again.get_by_role("button", name="Close all").click()
    expect(again.locator(".grid-row .run-name")).to_have_count(2)
    again.get_by_role("button", name="Branch of run-01: 2 below").click()
    expect(again.locator(".grid-row .run-name")).to_have_count(4)
    assert rows_of(again) == [tree[0], *tree[3:]]


def test_branches_are_walked_by_keys(open_page: Opened) -> None:
    page = open_page("/e/vision?tree=1&f=number+<+7&sort=name")
    rows = page.get_by_role("row").filter(has=page.locator(".run-name"))
    expect(rows).to_have_count(6)
    grid = page.get_by_role("treegrid")
    expect(rows.nth(1)).to_have_attribute("aria-level", "2")
    grid.focus()
    page.keyboard.press("ArrowLeft")
    expect(rows).to_have_count(4)
    expect(rows.first).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(rows).to_have_count(6)
    page.keyboard.press("ArrowRight")
    expect(grid).to_have_attribute("aria-activedescendant", "row-1")
    page.keyboard.press("j")
    page.keyboard.press("ArrowLeft")
    expect(grid).to_have_attribute("aria-activedescendant", "row-0")


def test_the_selection_is_in_the_address(open_page: Opened) -> None:
    page = open_page("/e/vision")
    rows_of(page)
    select(page, "run-03", "run-05")
    expect(page).to_have_url(re.compile("run=.+&run="))
    page.reload()
    expect(page.get_by_text("2 selected")).to_be_visible()
    expect(page.get_by_role("checkbox", name="Select run-05")).to_be_checked()
    expect(page.get_by_role("checkbox", name="Select run-04")).not_to_be_checked()


def test_all_that_match_are_changed_and_those_that_refuse_are_told(
    open_page: Opened, lab: Workspace
) -> None:
    page = open_page("/e/vision?f=config.model+%3D+m1")
    expect(page.get_by_text("4 runs")).to_be_visible()
    page.get_by_role("button", name="Select all").click()
    expect(page.get_by_text("4 selected: all that match")).to_be_visible()
    select(page, "run-04")
    expect(page.get_by_text("3 selected: all that match, without 1")).to_be_visible()
    page.keyboard.press("e")
    page.get_by_label("Key", exact=True).fill("kept")
    page.get_by_role("button", name="Tag", exact=True).click()
    expect(page.get_by_text("3 runs changed.")).to_be_visible()
    tagged = {run.display_name for run in Experiment(lab, "vision").get_runs(tags="kept")}
    assert tagged == {"run-01", "run-07", "run-10"}

    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel runs").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("0 runs changed, 3 refused")
    expect(dialog).to_contain_text("run-10")


def test_details_are_shown_beside_the_table(open_page: Opened) -> None:
    page = open_page("/e/vision?cols=metrics.loss")
    rows_of(page)
    page.get_by_role("grid").focus()
    page.keyboard.press("o")
    drawer = page.get_by_role("complementary", name="Run run-11")
    expect(drawer.get_by_role("heading", name="run-11")).to_be_visible()
    expect(drawer.get_by_label("loss", exact=True)).to_contain_text("1 points of 1 runs")
    expect(drawer.locator(".chart")).to_have_count(3)
    expect(page.get_by_role("grid")).to_be_focused()

    page.keyboard.press("j")  # It shows the row that has the focus.
    expect(page.get_by_role("complementary", name="Run run-10")).to_be_visible()
    again = open_page(path_of(page))
    expect(again.get_by_role("complementary", name="Run run-10")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary")).to_have_count(0)
    expect(page.get_by_role("grid")).to_be_focused()

    page.get_by_role("button", name="Details of run-07").click()
    page.get_by_role("complementary", name="Run run-07").get_by_label("Close").focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("grid")).to_be_focused()
    page.keyboard.press(" ")
    expect(page.get_by_role("complementary", name="Run run-07")).to_be_visible()
    page.keyboard.press(" ")
    expect(page.get_by_role("complementary")).to_have_count(0)


def test_details_cover_a_small_screen(open_page: Opened) -> None:
    page = open_page("/e/vision", viewport={"width": 390, "height": 844})
    rows_of(page)
    page.get_by_role("button", name="Details of run-11").click()
    drawer = page.get_by_role("complementary", name="Run run-11")
    expect(drawer).to_be_focused()
    box = drawer.bounding_box()
    assert box is not None
    assert (box["x"], box["width"]) == (0, 390)
    page.go_back()
    expect(page.get_by_role("complementary")).to_have_count(0)


def test_an_empty_table_names_the_condition_that_leaves_out_most(open_page: Opened) -> None:
    page = open_page("/e/vision?f=config.seed+%3C+2+and+metrics.loss+%3E+100&q=run")
    expect(page.get_by_text("No run matches")).to_be_visible()
    first = page.get_by_role("listitem").first
    expect(first).to_contain_text("metrics.loss > 100")
    expect(first).to_contain_text("6 runs without it")
    page.get_by_role("button", name="Drop metrics.loss > 100").click()
    expect(page.get_by_text("6 runs")).to_be_visible()
    expect(page.locator("#filter")).to_have_value("config.seed < 2")


def test_metrics_of_active_runs_move_before_they_are_in_the_log(
    open_page: Opened, lab: Workspace
) -> None:
    """The process is stopped after each value: nobody writes what is in its spool."""
    process = start_python(LOGGING, lab.path)
    assert process.stdin
    assert process.stdout
    try:
        process.stdout.readline()
        page = open_page("/e/spoken?cols=metrics.loss&cols=metrics.loss.n")
        row = page.locator(".grid-row")
        expect(row).to_contain_text("–")
        for number, value in enumerate((0.5, 0.25), 1):
            process.send_signal(signal.SIGCONT)
            process.stdin.write(f"loss {value}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "logged\n"
            process.send_signal(signal.SIGSTOP)
            expect(row.get_by_role("gridcell").nth(1)).to_have_text(str(value))
            expect(row.get_by_role("gridcell").nth(2)).to_have_text(str(number))
    finally:
        process.kill()
        process.communicate(timeout=LIMIT_S)


def test_columns_are_found_ordered_widened_and_saved_as_a_file(open_page: Opened) -> None:
    page = open_page("/e/vision?cols=metrics.loss")
    rows_of(page)
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Find a column").fill("layer/5")
    page.get_by_role("button", name="With metrics.layer/57").click()
    page.get_by_role("button", name="metrics.layer/57 further left").click()
    heads = page.get_by_role("columnheader")
    expect(heads.nth(1)).to_contain_text("layer/57")
    page.keyboard.press("Escape")
    page.get_by_text("Columns", exact=True).click()

    edge = heads.nth(1).locator(".grid-edge")
    box = edge.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 3, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 83, box["y"] + 5, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile("layer%2F57%7E200"))

    with page.expect_download() as waiting:
        page.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(waiting.value.path().read_text())))
    assert [row["name"] for row in rows] == rows_of(page)
    assert {row["metrics.layer/57"] for row in rows} == {"57.0"}


def test_only_columns_in_view_are_drawn_and_each_says_its_place(open_page: Opened) -> None:
    metrics = [f"metrics.layer/{metric:02}" for metric in range(60)]
    page = open_page(f"/e/vision?{'&'.join(f'cols={metric}' for metric in metrics)}")
    rows_of(page)
    grid, heads = page.get_by_role("grid"), page.get_by_role("columnheader")
    expect(grid).to_have_attribute("aria-colcount", "61")
    expect(heads.nth(1)).to_contain_text("layer/00")
    assert heads.count() < 20
    assert page.get_by_role("row").nth(1).get_by_role("gridcell").count() == heads.count()

    grid.evaluate("one => one.scrollTo(one.scrollWidth, 0)")
    expect(heads.last).to_contain_text("layer/59")
    expect(heads.last).to_have_attribute("aria-colindex", "61")
    assert heads.count() < 20
    row = page.get_by_role("row").nth(1)
    cell, name = row.get_by_role("gridcell").last, row.get_by_role("gridcell").first
    expect(cell).to_have_text("59")
    expect(cell).to_have_attribute("aria-colindex", "61")
    boxes = [one.bounding_box() for one in (grid, heads.last, cell, name)]
    frame, head, last, first = (box for box in boxes if box is not None)
    assert (head["x"], head["width"]) == (last["x"], last["width"])
    assert (
        frame["x"] + frame["width"] - 20 < last["x"] + last["width"] < frame["x"] + frame["width"]
    )
    assert first["x"] - frame["x"] < 2  # The name stays in view.

    page.keyboard.press("Tab")  # The grid is scrolled by keys as well.
    grid.focus()
    grid.press("End")
    expect(page.get_by_role("row").last.get_by_role("gridcell").last).to_have_text("59")


def test_the_keys_are_told(open_page: Opened) -> None:
    page = open_page("/e/vision")
    rows_of(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("select all rows since")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("v")
    expect(page.get_by_role("heading", name="Views")).to_be_visible()
