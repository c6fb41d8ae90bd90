"""The tabs of a run's page: images, tables, tree, logs, files, snapshot, history, the past."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from runlore import Experiment, Workspace
from tests.studio.browser.conftest import HOSTILE, Opened

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

LONG_LOG = "\n".join(f"line {number}" for number in range(2_000))


@pytest.fixture(scope="module")
def full(lab: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A run with something in each tab, after another one with other source."""
    folder: Path = tmp_path_factory.mktemp("full")
    options: dict[str, Any] = {"outputs": False, "snapshot_directory": None}
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "train.py").write_text(f"first\nnumber = '{name}'\nlast\n{HOSTILE}\n")
        run = Experiment(lab, "full").start_logging(**options)
        run.display_name = name
        run.take_snapshot(folder / name)
        if name == "one":
            run.complete()
    Image.new("RGB", (64, 48), "red").save(folder / "red.png")
    run.log_image(HOSTILE, path=str(folder / "red.png"))
    labels = ["cat", HOSTILE]
    matrix = {
        "schema_type": "confusion_matrix",
        "data": {"class_labels": labels, "matrix": [[9, 1], [2, 8]]},
    }
    run.log_confusion_matrix("matrix", matrix)
    for number in range(60):
        run.log_row("errors", kind=HOSTILE, count=number)
    (folder / "log.txt").write_text(f"\x1b[31mred\x1b[0m {HOSTILE}\n{LONG_LOG}\nthe needle\n")
    run.upload_file("logs/log.txt", folder / "log.txt")
    (folder / "data.csv").write_text(f'a,"b ""c"""\n1,"{HOSTILE.replace(chr(34), chr(34) * 2)}"\n')
    run.upload_file("data.csv", folder / "data.csv")
    run.add_properties({"fixed": HOSTILE})
    with pytest.raises(Exception, match="fixed"):
        run.add_properties({"fixed": "2"})
    with run.child_run() as child, child.child_run() as below:
        child.display_name, below.display_name = "child", "grandchild"
        below.log("acc", 0.75)
    run.log("system/cpu_percent", 12.0)
    run.complete()
    yield run


def test_images_and_tables_are_shown(open_page: Opened, full: Any) -> None:
    page = open_page(f"/run/{full.id}/images")
    image = page.get_by_role("img", name="step 0")
    expect(image).to_be_visible()
    expect(image).to_have_js_property("naturalWidth", 64)
    page.get_by_role("link", name="tables").click()
    expect(page.locator("td.heat-9")).to_have_text("9")
    expect(page.locator("td.heat-8")).to_have_text("8")
    expect(page.get_by_text("rows 1 to 50 of 60")).to_be_visible()
    page.get_by_role("button", name="Later").click()
    expect(page.get_by_text("rows 51 to 60 of 60")).to_be_visible()
    expect(page.get_by_role("cell", name="59")).to_be_visible()


def test_the_tree_closes_and_its_best_value_is_found(open_page: Opened, full: Any) -> None:
    page = open_page(f"/run/{full.id}/children")
    expect(page.get_by_role("link", name="grandchild")).to_be_visible()
    expect(page.get_by_text("3 runs with this one")).to_be_visible()
    page.get_by_role("button", name="Children of child").click()
    expect(page.get_by_role("link", name="grandchild")).to_have_count(0)
    page.get_by_label("Metric").select_option("acc")
    expect(page.get_by_text("at step 0 of")).to_be_visible()
    expect(page.locator("b", has_text="0.75")).to_be_visible()


def test_a_log_has_colours_and_is_searched(open_page: Opened, full: Any) -> None:
    page = open_page(f"/run/{full.id}/logs")
    expect(page.get_by_role("log")).to_contain_text("the needle")
    expect(page.locator(".log .ansi-red")).to_have_text("red")
    page.get_by_label("Search the log").fill("NEEDLE")
    page.get_by_label("Search the log").press("Enter")
    expect(page.get_by_text("1 lines")).to_be_visible()
    page.get_by_role("button", name="2002 the needle").click()
    expect(page.get_by_role("log")).to_have_text("the needle\n")
    page.get_by_role("button", name="To the end").click()
    expect(page.get_by_role("log")).to_contain_text("line 1999")


def test_files_have_previews_and_one_zip(open_page: Opened, full: Any) -> None:
    page = open_page(f"/run/{full.id}/files")
    page.get_by_role("button", name="Preview data.csv").click()
    expect(page.get_by_role("cell", name='b "c"')).to_be_visible()
    page.get_by_role("button", name="Preview red.png").click()
    expect(page.locator("img.preview")).to_be_visible()
    with page.expect_download() as found:
        page.get_by_role("link", name="All as one zip").click()
    assert found.value.suggested_filename == "files.zip"
    assert found.value.path().read_bytes().startswith(b"PK")


def test_source_is_shown_and_compared(open_page: Opened, full: Any) -> None:
    page = open_page(f"/run/{full.id}/snapshot")
    page.get_by_role("button", name="train.py").click()
    expect(page.locator("pre")).to_contain_text("number = 'two'")
    page.get_by_label("differences from").select_option(label="one · 1")
    expect(page.locator(".diff .plus")).to_have_text("+number = 'two'")
    expect(page.locator(".diff .minus")).to_have_text("-number = 'one'")
    expect(page).to_have_url(re.compile("other="))


def test_the_history_shows_refusals_and_gives_the_proof(open_page: Opened, full: Any) -> None:
    page = open_page(f"/run/{full.id}/history")
    expect(page.locator("tr.refused")).to_contain_text("fixed")
    page.get_by_label("what").select_option("change_refused")
    expect(page.get_by_role("status").filter(has_text="changes")).to_have_text("1 changes")
    with page.expect_download() as found:
        page.get_by_role("link", name="Proof").click()
    assert found.value.suggested_filename == "run.bundle"


def test_system_metrics_stand_apart(open_page: Opened, full: Any) -> None:
    page = open_page(f"/run/{full.id}/system")
    expect(page.get_by_role("figure", name="system/cpu_percent")).to_be_visible()
    page.get_by_role("link", name="metrics").click()
    expect(page.get_by_text("No metric yet")).to_be_visible()


def test_the_banner_of_the_past_says_what_changed_since(open_page: Opened, full: Any) -> None:
    [refused] = [one for one in full.history() if one.what == "change_refused"]
    page = open_page(f"/run/{full.id}?asof={refused.position}")
    page.get_by_role("button", name="What changed since").click()
    expect(page.get_by_role("region", name="What changed since")).to_contain_text("Completed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("tab", ["images", "tables", "children", "logs", "files", "history"])
def test_a_tab_fits_the_screen(
    tab: str, width: int, scheme: str, open_page: Opened, full: Any, tmp_path_factory: Any
) -> None:
    size = {"width": width, "height": 800}
    page = open_page(f"/run/{full.id}/{tab}", viewport=size, color_scheme=scheme)
    expect(page.locator("main .section, main table, main .log").first).to_be_visible()
    if tab == "children":  # Its choice has the names of metrics, once they are there.
        expect(page.get_by_label("Metric").get_by_role("option")).not_to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelector('main').scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path_factory.mktemp("shots") / f"{tab}-{scheme}-{width}.png")
