"""Runs beside each other in a real browser: a tab for each way to compare them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from runlore import Experiment, Workspace
from tests.studio.browser.conftest import HOSTILE, Opened

pytestmark = [pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)

WAYS = ("parameters", "scatter", "parallel", "bars", "images", "tables")


@pytest.fixture(scope="module")
def three(lab: Workspace, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the comparison of three runs; the last one has hostile names and lacks much."""
    folder: Path = tmp_path_factory.mktemp("three")
    options: dict[str, Any] = {"outputs": False, "snapshot_directory": None}
    ids = []
    for number in range(3):
        with Experiment(lab, "three").start_logging(**options) as run:
            run.display_name = HOSTILE if number == 2 else f"run {number}"
            run.add_config({"same": 1, "lr": number / 10, "net": HOSTILE if number == 2 else "vit"})
            if number < 2:
                run.log("loss", 1.0 - number)
                Image.new("RGB", (8, 8), "blue").save(folder / f"{number}.png")
                run.log_image("samples", path=str(folder / f"{number}.png"))
                run.log_row("errors", kind="blur", count=number)
            run.log("acc", number / 3)
        ids.append(run.id)
    return "/compare?" + "&".join(f"run={run_id}" for run_id in ids)


def test_each_way_shows_the_runs(open_page: Opened, three: str) -> None:
    page = open_page(three)
    expect(page.get_by_role("figure", name="acc")).to_be_visible()

    page.get_by_role("link", name="Parameters").click()
    rows = page.locator("tbody th")
    expect(rows.filter(has_text="config.lr")).to_have_count(1)
    expect(rows.filter(has_text="config.same")).to_have_count(0)

    page.get_by_role("link", name="Scatter").click()
    page.get_by_label("x", exact=True).select_option("config.lr")
    page.get_by_label("y", exact=True).select_option("metrics.loss")
    expect(page.locator("circle.dot")).to_have_count(2)
    expect(page.get_by_text("2 of 3 runs have both")).to_be_visible()
    expect(page).to_have_url(re.compile("cols=config.lr&cols=metrics.loss"))

    page.get_by_role("link", name="Parallel").click()
    expect(page.locator("path.thread")).to_have_count(3)
    page.get_by_role("button", name="run 1").click()
    expect(page.locator("path.faint")).to_have_count(2)

    page.get_by_role("link", name="Bars").click()
    page.get_by_label("field").select_option("metrics.loss")
    expect(page.locator(".bars tbody tr")).to_have_count(2)
    expect(page.locator(".bars tbody tr").first).to_contain_text("run 0")

    page.get_by_role("link", name="Images").click()
    expect(page.get_by_role("img", name="samples, step 0")).to_have_count(2)
    page.get_by_role("link", name="Tables").click()
    expect(page.get_by_role("cell", name="blur")).to_have_count(2)


def test_a_point_leads_to_its_run(open_page: Opened, three: str) -> None:
    page = open_page(f"{three}&show=scatter&cols=config.lr&cols=metrics.loss")
    page.locator("circle.dot").first.click()
    expect(page.get_by_role("heading", name=re.compile(r"^run \d$"))).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_way_fits_the_screen(
    scheme: str, width: int, open_page: Opened, three: str, tmp_path_factory: Any
) -> None:
    size = {"width": width, "height": 800}
    page = open_page(three, viewport=size, color_scheme=scheme)
    folder = tmp_path_factory.mktemp("shots")
    for way in WAYS:
        page.get_by_role("link", name=way.capitalize()).click()
        expect(page.get_by_text("Loading")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), way
        page.screenshot(path=folder / f"{way}-{scheme}-{width}.png")
    assert page.locator("main script, main iframe").count() == 0
