"""Runs beside each other in a real browser: a tab for each way to compare them."""

from __future__ import annotations

import base64
import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from runlore import Experiment, Workspace
from tests.processes import wait_until
from tests.studio.browser.conftest import HOSTILE, Opened
from tests.studio.browser.test_charts import compared

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

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
    page.get_by_role("checkbox", name="Show run 1").focus()
    expect(page.locator("path.faint")).to_have_count(2)

    page.get_by_role("link", name="Bars").click()
    page.get_by_label("field").select_option("metrics.loss")
    expect(page.locator(".bars tbody tr")).to_have_count(2)
    expect(page.locator(".bars tbody tr").first).to_contain_text("run 0")

    page.get_by_role("link", name="Images").click()
    expect(page.get_by_role("img", name="samples, step 0")).to_have_count(2)
    page.get_by_role("link", name="Tables").click()
    expect(page.get_by_role("cell", name="blur")).to_have_count(2)


def listed(page: Page) -> list[str]:
    """The names in the list of runs, from its top on."""
    names = page.locator(".run-list .run-name bdi")
    expect(names).to_have_count(3)
    return [name.strip()[:5] for name in names.all_inner_texts()]


def test_runs_are_put_in_order_by_dragging_and_by_keys(open_page: Opened, three: str) -> None:
    page = open_page(f"{three}&show=parameters")
    assert listed(page) == ["run 0", "run 1", HOSTILE[:5]]
    heads = page.locator("thead .run-name bdi")
    rows = page.locator(".run-list li")
    rows.nth(2).drag_to(rows.nth(0))
    expect(heads.nth(1)).to_have_text("run 0")
    assert listed(page) == [HOSTILE[:5], "run 0", "run 1"]

    page.get_by_role("checkbox", name="Show run 1").focus()
    page.keyboard.press("Alt+ArrowUp")
    expect(heads.nth(1)).to_have_text("run 1")
    expect(page.get_by_role("checkbox", name="Show run 1")).to_be_focused()
    page.keyboard.press("Alt+ArrowUp")
    page.keyboard.press("Alt+ArrowUp")  # It is the first one already.
    expect(heads.first).to_have_text("run 1")
    page.reload()  # The address says it.
    assert listed(page) == ["run 1", HOSTILE[:5], "run 0"]


def test_runs_are_hidden_and_shown_again(open_page: Opened, three: str) -> None:
    page = open_page(three)
    chart = page.get_by_role("figure", name="acc")
    expect(chart).to_contain_text("3 points of 3 runs")
    page.get_by_role("checkbox", name="Show run 0").click()
    expect(chart).to_contain_text("2 points of 2 runs")
    expect(page.get_by_text("2 of 3 shown")).to_be_visible()
    page.get_by_role("link", name="Parameters").click()
    expect(page.locator("thead .run-name")).to_have_count(2)
    page.reload()
    expect(page.locator("thead .run-name")).to_have_count(2)
    for box in page.locator(".run-list input:checked").all()[::-1]:
        box.click()
    expect(page.get_by_text("All runs are hidden")).to_be_visible()
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.locator("thead .run-name")).to_have_count(3)
    expect(page).not_to_have_url(re.compile("hide"))


def faint(chart: Locator) -> int:
    """How many points of a chart's canvas are drawn, but faintly."""
    url = chart.locator("canvas").evaluate("(canvas) => canvas.toDataURL()")
    image = Image.open(BytesIO(base64.b64decode(url.partition(",")[2])))
    return sum(image.convert("RGBA").getchannel("A").histogram()[20:90])


def test_a_row_lights_its_curve_and_a_curve_its_row(open_page: Opened, lab: Workspace) -> None:
    page = open_page(compared(lab, 3))
    chart = page.get_by_role("figure", name="loss")
    expect(chart.locator(".uplot")).to_be_visible()
    row = page.locator(".run-list li").nth(1)
    before = faint(chart)
    row.hover()
    wait_until(lambda: faint(chart) > 2 * before + 50, "the other curves to be faint")
    page.get_by_role("heading", name="Compare").hover()
    wait_until(lambda: faint(chart) == before, "all curves to be as before")

    over = chart.locator(".u-over").bounding_box()
    assert over
    page.mouse.move(over["x"] + 4, over["y"] + 2)  # At the start the first run is on top.
    expect(page.locator(".run-list .lit")).to_have_count(1)
    named = page.locator(".run-list .lit bdi").inner_text()
    expect(chart.locator(".tooltip .nearest bdi")).to_have_text(named)
    page.get_by_role("heading", name="Compare").hover()
    expect(page.locator(".run-list .lit")).to_have_count(0)


@pytest.mark.parametrize("way", ["scatter", "parallel", "bars"])
def test_samples_of_the_machine_are_shown_on_request_only(
    open_page: Opened, sampled: str, way: str
) -> None:
    page = open_page(f"{sampled}&show={way}")
    expect(page.locator(".plane, .bars")).to_be_visible()
    shown = page.locator(".plane text, thead th").all_text_contents()
    fields = page.get_by_role("combobox")
    shown += [one.input_value() for one in fields.all()]
    assert any("acc" in text for text in shown)
    assert not any("system/" in text for text in shown)
    if way == "parallel":
        page.get_by_text("Axes", exact=True).click()
        page.get_by_label("metrics.system/cpu_percent").check()
        expect(page.locator(".plane text", has_text="system/cpu_percent").first).to_be_visible()


@pytest.fixture(scope="module")
def sampled(lab: Workspace) -> str:
    """The path of the comparison of two runs with samples of their machine."""
    ids = []
    for number in range(2):
        with Experiment(lab, "sampled").start_logging(
            outputs=False, snapshot_directory=None
        ) as run:
            run.add_config({"lr": number / 10})
            run.log("system/cpu_percent", 50.0 + number)
            run.log("system/memory_mb", 50.0 + number)
            run.log("acc", 0.5 + number)
        ids.append(run.id)
    return "/compare?" + "&".join(f"run={run_id}" for run_id in ids)


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
