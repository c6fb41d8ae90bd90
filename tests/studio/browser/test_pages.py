"""The pages of the Studio in a real browser, as a person uses them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from runlore import Experiment, Workspace
from tests.studio.browser.conftest import HOSTILE, Opened
from tests.workspaces import start

pytestmark = [pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)


def rows_of(page: Page) -> list[str]:
    """The names of the runs that the table shows, from its top on."""
    names = page.locator(".grid-row .run-name bdi")
    expect(names.first).to_be_visible()
    return [name.strip() for name in names.all_inner_texts()]


def path_of(page: Page) -> str:
    """The path and the query of the page's address."""
    return "/" + page.url.split("/", 3)[3]


def test_an_experiment_is_found_and_its_runs_are_filtered_sorted_and_searched(
    open_page: Opened,
) -> None:
    page = open_page("/")
    page.get_by_role("link", name="vision").click()
    expect(page.get_by_text("40 runs")).to_be_visible()
    assert rows_of(page)[0] == "resnet-39"

    page.locator("#filter").fill("tags.model = vit and config.lr < 0.01")
    page.locator("#filter").press("Enter")
    expect(page.get_by_text("5 runs")).to_be_visible()
    page.get_by_role("button", name="c.lr").click()
    expect(page.locator(".grid-row .run-name bdi").first).to_have_text("resnet-8")
    page.get_by_role("button", name="c.lr").click()
    expect(page.locator(".grid-row .run-name bdi").first).to_have_text("resnet-0")
    assert rows_of(page) == [f"resnet-{number}" for number in (0, 2, 4, 6, 8)]

    page.go_back()  # Each step is one of the browser's.
    expect(page.locator(".grid-row .run-name bdi").first).to_have_text("resnet-8")
    page.get_by_role("button", name="Clear").click()
    page.locator("#search").fill("resnet-1")
    expect(page.get_by_text("11 runs")).to_be_visible()


def test_an_address_shows_the_same_view_in_another_browser(open_page: Opened) -> None:
    first = open_page(
        "/e/vision?f=tags.model+%3D+vit&sort=config.lr&cols=config.lr&cols=metrics.loss.min"
    )
    shown = rows_of(first)
    assert shown[:2] == ["resnet-0", "resnet-2"]
    heads = first.get_by_role("columnheader").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["name", "c.lr", "m.loss.min"]
    assert rows_of(open_page(path_of(first))) == shown


_ASKED_UNTIL_LONG_AFTER = """async () => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    return performance.getEntriesByType("resource").map((one) => one.name);
}"""


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/runs",
        "/e/vision",
        "/e/vision?f=tags.model+%3D+vit&sort=-name&cols=config.lr~90&cols=metrics.loss&q=resnet",
    ],
)
def test_a_page_has_all_that_it_shows_at_first(path: str, open_page: Opened) -> None:
    page = open_page(path)
    expect(page.get_by_role("status").filter(has_text=re.compile("^live$"))).to_be_visible()

    asked = page.evaluate(_ASKED_UNTIL_LONG_AFTER)

    assert any("main.js" in one for one in asked)
    assert [one for one in asked if "/api/" in one] == []


def test_what_is_wrong_with_a_filter_is_said_where_it_stands(open_page: Opened) -> None:
    page = open_page("/e/vision")
    page.locator("#filter").fill("status = Completed and (")
    page.locator("#filter").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("at character")
    page.locator("#filter").fill("status = Completed")
    page.locator("#filter").press("Enter")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_text("40 runs")).to_be_visible()


def test_two_runs_are_compared(open_page: Opened) -> None:
    page = open_page("/e/vision")
    for number in (39, 38):
        page.get_by_role("checkbox", name=f"Select resnet-{number}").click()
    page.get_by_role("link", name="Compare 2").click()
    expect(page.locator(".chart .uplot")).to_have_count(2)
    expect(page.get_by_text("▾ 2 NaN")).to_be_visible()  # Of each run one.
    page.get_by_role("link", name="Parameters").click()
    expect(page.locator("tbody th").first).to_be_visible()
    differing = page.locator("tbody th").all_inner_texts()
    assert {"config.lr", "tags.model"} <= set(differing)
    assert "config.net.layers" not in differing
    page.get_by_label("show all").click()
    expect(page.locator("tbody th", has_text="config.net.layers")).to_have_count(1)


def test_a_run_shows_its_details_its_history_and_the_moment_of_each_change(
    open_page: Opened,
) -> None:
    page = open_page("/e/vision")
    page.get_by_role("link", name="resnet-39").click()
    expect(page.get_by_role("heading", name="resnet-39")).to_be_visible()
    expect(page.locator("dd").first).to_be_visible()
    facts = dict(zip(*(page.locator(part).all_inner_texts() for part in ("dt", "dd")), strict=True))
    assert (facts["lr"], facts["net.layers"], facts["model"]) == ("0.039", "18", "resnet")

    page.get_by_role("link", name="history").click()
    changes = page.locator("tbody tr td:nth-child(2)")
    expect(changes.last).to_contain_text("completed")
    tagged = page.locator("tr", has_text="tag set")
    tagged.get_by_role("link").click()
    expect(page.get_by_text("As it was on")).to_be_visible()
    expect(page.locator(".status").first).to_contain_text("Running")
    page.get_by_role("button", name="Back to now").click()
    expect(page.locator(".status").first).to_contain_text("Completed")


def test_the_past_is_shown_by_the_slider(open_page: Opened) -> None:
    page = open_page("/e/vision")
    expect(page.get_by_text("40 runs")).to_be_visible()
    page.get_by_role("button", name="As of…").click()
    slider = page.get_by_label("As of", exact=True)
    expect(slider).to_be_enabled()  # Until then a place is held for it.
    slider.focus()
    slider.press("Home")
    expect(page).to_have_url(re.compile(r"asof=\d+"))
    expect(page.get_by_text("As it was on")).to_be_visible()
    page.get_by_role("button", name="Back to now").click()
    expect(page.get_by_text("40 runs")).to_be_visible()


def test_a_run_is_watched_live_and_cancelled(open_page: Opened, lab: Workspace) -> None:
    run = Experiment(lab, "live").start_logging(outputs=False, snapshot_directory=None)
    page = open_page(f"/run/{run.id}/metrics")
    expect(page.get_by_text("No metric yet")).to_be_visible()
    run.log_batch("loss", [3.0, 2.0, 1.0])
    run.flush()
    expect(page.locator(".chart .uplot")).to_have_count(1)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".status").first).to_contain_text("Cancel")
    assert run.get_status() in ("Canceled", "CancelRequested")
    run.complete() if run.get_status() == "CancelRequested" else None
    expect(page.locator(".status").first).to_contain_text("Canceled")


def test_hostile_names_are_text_on_every_page(open_page: Opened, lab: Workspace) -> None:
    """No script runs, no request leaves, no dialog opens: `open_page` looks."""
    (run,) = Experiment(lab, "hostile").get_runs()
    page = open_page("/e/hostile")
    expect(page.locator(".grid-row").get_by_text("onerror").first).to_be_visible()
    for tab in ("details", "metrics", "children", "logs", "files", "history"):
        page.goto(page.url.removesuffix(path_of(page)) + f"/run/{run.id}/{tab}")
        expect(page.get_by_role("heading").first).to_contain_text("onerror")
        expect(page.locator(".muted", has_text="Loading")).to_have_count(0)
    assert page.locator("main img, main script, main iframe").count() == 0
    assert HOSTILE in page.locator("main").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_screen_shows_enough_and_nothing_beside_it(
    scheme: str, width: int, open_page: Opened, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = open_page("/e/vision", viewport={"width": width, "height": 800}, color_scheme=scheme)
    rows_of(page)
    visible = page.evaluate(
        """() => {
            const frame = document.querySelector(".grid").getBoundingClientRect();
            return [...document.querySelectorAll(".grid-row")].filter((row) => {
                const box = row.getBoundingClientRect();
                return box.top >= frame.top && box.bottom <= frame.bottom;
            }).length;
        }"""
    )
    assert visible >= (22 if width == 1280 else 15)
    columns = page.evaluate(
        """() => {
            const { right } = document.querySelector(".grid").getBoundingClientRect();
            return [...document.querySelectorAll("[role=columnheader]")].filter(
                (head) => head.getBoundingClientRect().right <= right).length;
        }"""
    )
    assert columns >= (8 if width == 1280 else 2)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path_factory.mktemp("shots") / f"runs-{scheme}-{width}.png")


def test_keys_lead_where_buttons_do(open_page: Opened) -> None:
    page = open_page("/e/vision")
    rows_of(page)
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("Escape")
    page.get_by_role("grid").focus()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_role("checkbox", name="Select resnet-38")).to_be_checked()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="resnet-38")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page.get_by_role("heading", name="Experiments")).to_be_visible()


def test_texts_of_other_scripts_are_shown_as_they_were_written(
    open_page: Opened, lab: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("שלום")
    with start(Experiment(lab, "ניסויים 🧪"), display_name="תוצאה 🚀 12") as run:
        run.description = (
            "שורה ראשונה\nsecond line\n\n- one\n- two <b>\n\n[a paper](https://example.org/1)"
        )
        run.upload_file("דוח 7.txt", file)
    page = open_page(f"/run/{run.id}")
    link = page.get_by_role("link", name="a paper")
    expect(link).to_have_attribute("href", "https://example.org/1")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(page.locator(".markdown li")).to_have_text(["one", "two <b>"])
    expect(page.get_by_role("heading", name="תוצאה 🚀 12")).to_be_visible()
    assert page.get_by_text("שורה ראשונה").inner_text().count("\n") == 1
    page.get_by_role("link", name="files").click()
    name = page.get_by_role("link", name="דוח 7.txt").locator("bdi")
    expect(name).to_have_css("direction", "ltr")  # The extension stands at the end.
