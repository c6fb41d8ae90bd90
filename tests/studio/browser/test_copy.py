"""A copy of runs that is opened from disk: no server, and no request to anybody."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from runlore import Experiment, Workspace
from tests.cli.shell import COMMAND, environment
from tests.studio.browser.conftest import HOSTILE

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

expect.set_options(timeout=60_000)


def studio(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    return subprocess.run(
        [*COMMAND, "studio", *arguments], capture_output=True, text=True, env=environment()
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The page of a copy that the command wrote, and the ids of its two runs."""
    folder = tmp_path_factory.mktemp("copied")
    options: dict[str, Any] = {"outputs": False, "snapshot_directory": None}
    source = folder / "source"
    source.mkdir()
    (source / "train.py").write_text("the source\n")
    Image.new("RGB", (32, 16), "green").save(folder / "green.png")
    ids = []
    with Workspace.create("lab", path=folder / "lab") as ws:
        for number in range(3):
            with Experiment(ws, "vision").start_logging(**options) as run:
                run.display_name = HOSTILE if number == 1 else f"run {number}"
                run.add_config({"lr": number, HOSTILE: HOSTILE})
                run.log_batch("loss", [3.0, 2.0, 1.0 + number])
                run.log_image(HOSTILE, path=str(folder / "green.png"))
                run.log_row("errors", kind=HOSTILE)
                run.take_snapshot(source)
                run.log(f"value {HOSTILE}", 1.0)
            ids.append(run.id)
    chosen = ["-r", ids[0], "-r", ids[1]]
    found = studio("--path", str(folder / "lab"), "--export", str(folder / "copy"), *chosen)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == str(folder / "copy" / "index.html")
    return folder / "copy" / "index.html", ids[:2]


@pytest.fixture
def page(browser: Browser, copy: tuple[Path, list[str]]) -> Iterator[Page]:
    """The page, from disk. Fails on an error of the console, and on a request that leaves."""
    wrong: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.on(
        "console",
        lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None,
    )
    folder = copy[0].parent.as_uri()
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith((folder, "data:", "blob:")) else wrong.append(asked.url)
        ),
    )
    page.goto(copy[0].as_uri())
    yield page
    context.close()
    assert not wrong, wrong


def test_curves_are_drawn_and_zoomed(page: Page) -> None:
    chart = page.get_by_role("figure", name="loss")
    expect(chart.locator(".uplot")).to_be_visible()
    expect(chart).to_contain_text("6 points of 2 runs")
    expect(page.get_by_role("link", name="Home")).to_have_count(0)
    over = chart.locator(".u-over").bounding_box()
    assert over
    page.mouse.move(over["x"] + 20, over["y"] + 50)
    page.mouse.down()
    page.mouse.move(over["x"] + 120, over["y"] + 60, steps=5)
    page.mouse.up()
    expect(page).to_have_url(re.compile("#/compare.*zoom="))
    expect(chart.locator(".uplot")).to_be_visible()


@pytest.mark.parametrize("path", ["/compare", "/run/{first}/metrics"])
def test_curves_are_drawn_over_steps_and_times(
    page: Page, copy: tuple[Path, list[str]], path: str
) -> None:
    page.goto(f"{copy[0].as_uri()}#{path.format(first=copy[1][0])}")
    page.reload()
    chart = page.get_by_role("figure", name="loss")
    expect(chart.locator(".uplot")).to_be_visible()
    told = chart.locator(".unseen").inner_text()
    axis = page.get_by_role("combobox", name=re.compile("^x"))
    assert axis.locator("option").all_inner_texts() == ["step", "time since start", "time"]
    for x in ("time", "since"):
        axis.select_option(x)
        expect(page).to_have_url(re.compile(f"x={x}"))
        expect(chart.locator(".uplot")).to_be_visible()
        expect(chart.locator(".unseen")).to_have_text(told)
        expect(page.get_by_role("alert")).to_have_count(0)
    axis.select_option("step")
    expect(page).not_to_have_url(re.compile("x="))


def test_each_page_of_a_run_is_there(page: Page, copy: tuple[Path, list[str]]) -> None:
    page.get_by_role("link", name="run 0").first.click()
    expect(page.get_by_role("heading", name="run 0")).to_be_visible()
    tabs = page.get_by_role("navigation", name="Parts of the run").get_by_role("link")
    names = [name.strip() for name in tabs.all_inner_texts()]
    assert len(names) == 10
    for name in names:
        tabs.get_by_text(name, exact=True).click()
        expect(page.get_by_text("Loading")).to_have_count(0)
        expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("link", name="images").click()
    assert (
        page.locator("main img").evaluate("(one) => one.decode().then(() => one.naturalWidth)")
        == 32
    )
    page.get_by_role("link", name="snapshot").click()
    page.get_by_role("button", name="train.py").click()
    expect(page.locator("pre")).to_contain_text("the source")
    page.go_back()
    expect(page).to_have_url(re.compile("/images"))


def test_an_address_of_a_copy_shows_the_same(page: Page, copy: tuple[Path, list[str]]) -> None:
    page.goto(f"{copy[0].as_uri()}#/run/{copy[1][1]}/metrics?y=log")
    page.reload()
    expect(page.get_by_role("figure", name="loss")).to_contain_text("3 points of 1 runs")
    expect(page.get_by_role("heading").first).to_contain_text("onerror")
    assert page.locator("main script, main iframe").count() == 0


def test_a_folder_with_files_is_left_alone(copy: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    lab = copy[0].parent.parent / "lab"

    found = studio("--path", str(lab), "--export", str(folder))

    assert found.returncode != 0
    assert "has files already" in found.stderr
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_runs_are_chosen_for_copies_only(copy: tuple[Path, list[str]]) -> None:
    lab = copy[0].parent.parent / "lab"

    found = studio("--path", str(lab), "-r", copy[1][0])

    assert found.returncode != 0
    assert "--export" in found.stderr
