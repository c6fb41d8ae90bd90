"""What is printed: all rows of a table up to a limit, and how many are left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from runlore import Experiment, Workspace
from tests.processes import wait_until
from tests.studio.browser.conftest import Opened
from tests.workspaces import in_memory, start

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

RUNS, LIMIT = 1_050, 1_000


@pytest.fixture(scope="module")
def lab() -> Iterator[Workspace]:
    """More runs than are printed, and one with a table that has more rows."""
    with in_memory("lab") as ws:
        many = Experiment(ws, "many")
        for number in range(RUNS):
            start(many, display_name=f"run-{number:04}").complete()
        with start(Experiment(ws, "tables"), run_id="rows") as run:
            for number in range(RUNS):
                run.log_row("errors", kind=f"kind {number}", count=number)
        yield ws


def printed(page: Page) -> None:
    """Press the keys that print, and show what is sent to the printer."""
    page.evaluate("() => { window.sheets = 0; window.print = () => { window.sheets += 1; }; }")
    page.keyboard.press("Control+p")
    wait_until(lambda: page.evaluate("window.sheets") == 1, "the page to be printed")
    page.emulate_media(media="print")


def test_rows_of_a_grid_are_printed_although_they_were_never_in_view(open_page: Opened) -> None:
    page = open_page("/e/many")
    expect(page.locator(".grid-row").first).to_be_visible()
    printed(page)
    rows = page.locator(".on-paper tbody tr")
    expect(rows).to_have_count(LIMIT)
    expect(rows.first).to_contain_text(f"run-{RUNS - 1:04}")
    expect(rows.last).to_contain_text(f"run-{RUNS - LIMIT:04}")
    expect(page.get_by_role("grid")).to_be_hidden()
    expect(page.get_by_text("The first 1,000 of 1,050 rows; 50 are left out.")).to_be_visible()
    assert page.pdf().startswith(b"%PDF")

    page.emulate_media(media="screen")
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    expect(rows).to_have_count(0)
    expect(page.get_by_role("grid")).to_be_visible()


def test_the_browsers_menu_prints_what_was_asked_for(open_page: Opened) -> None:
    page = open_page("/e/many")
    expect(page.locator(".grid-row").first).to_be_visible()
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    expect(page.locator(".on-paper tbody tr")).to_have_count(100)
    expect(page.get_by_text("The first 100 of 1,050 rows; 950 are left out.")).to_be_visible()


def test_rows_of_a_logged_table_are_printed(open_page: Opened) -> None:
    page = open_page("/run/rows/tables")
    expect(page.get_by_text("rows 1 to 50 of 1050")).to_be_visible()
    printed(page)
    expect(page.locator("section tbody tr")).to_have_count(LIMIT)
    expect(page.get_by_text("The first 1,000 of 1,050 rows; 50 are left out.")).to_be_visible()
