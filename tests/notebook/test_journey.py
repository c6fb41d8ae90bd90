"""An hour with runlore in a notebook: a real kernel executes it, a real browser shows it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from runlore.shown.colours import DARK, LIGHT, Theme
from tests.browsers import ARGUMENTS, browser_path
from tests.notebook.kernels import executed, page_of, shown
from tests.shown.test_colours import contrast

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

KEPT = os.environ.get("RUNLORE_KEEP_PICTURES")
"""A folder that gets the pictures of the pages, to be looked at."""

CELLS = [
    "import math\nimport runlore\nws = runlore.Workspace.create('lab')",
    """
for seed in range(4):
    with runlore.init("vision <b>nets</b>", workspace="lab", name=f"vit seed {seed}") as run:
        run.add_config({"lr": 10.0 ** -(1 + seed % 2), "optimizer": {"name": "adam"}})
        for step in range(40):
            loss = math.exp(-step / (10 + 5 * seed)) if step != 20 else math.nan
            run.log("loss", loss, step=step)
            run.log("val/acc", 1 - math.exp(-step / (12 - seed)), step=step)
        run.tag("note", "<img src=x onerror=alert(1)>")
""",
    "run",
    "exp = ws.experiments['vision <b>nets</b>']\nexp",
    "ws.experiments",
    "exp.runs_table('metrics.val/acc > 0', columns=['name', 'config.lr', 'metrics.val/acc'])",
    "run.plot('loss', 'val/acc')",
    "exp.plot('val/acc', group_by='config.lr', title='Accuracy by learning rate')",
    "ws.sql('SELECT experiment, count(*) AS n FROM runs GROUP BY ALL')",
    "run.history()",
    "run.values('loss')",
    """
failed = runlore.init("vision <b>nets</b>", workspace="lab")
failed.fail("out of memory")
failed
""",
]


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return executed(CELLS, tmp_path_factory.mktemp("notebook"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=browser_path(), args=[*ARGUMENTS])
        yield found
        found.close()


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, notebook: Any, tmp_path: Path) -> Iterator[Opened]:
    """Opens the notebook's page; fails if a script fails, or something is asked of elsewhere."""
    wrong: list[str] = []
    contexts = []

    def open_page(name: str, scheme: str = "light", **how: Any) -> Page:
        file = tmp_path / f"{name}.html"
        file.write_text(page_of(notebook, **how), "utf-8")
        context = browser.new_context(
            viewport={"width": 1000, "height": 800},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda asked: _note(asked.url, wrong))
        page.goto(file.as_uri())
        if KEPT:
            page.screenshot(path=Path(KEPT) / f"{name}.png", full_page=True)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def _note(url: str, wrong: list[str]) -> None:
    if not url.startswith(("file:", "data:")):
        wrong.append(url)


def test_each_cell_shows_itself_as_html_and_as_text(notebook: Any) -> None:
    html, text = shown(notebook), shown(notebook, "text/plain")

    assert len(html) == len(text) == 10
    assert all('class="runlore"' in part for part in html)
    assert text[0].startswith("Run(Experiment: vision <b>nets</b>,")
    errors = [o for cell in notebook["cells"] for o in cell["outputs"] if o.output_type == "error"]
    assert errors == []


@pytest.mark.parametrize(
    "theme, scheme, colours",
    [("light", "light", LIGHT), ("light", "dark", LIGHT), ("dark", "light", DARK)],
    ids=["light", "light although the system is dark", "dark"],
)
def test_a_page_has_the_theme_of_jupyter(
    opened: Opened, theme: str, scheme: str, colours: Theme
) -> None:
    page = opened(f"{theme}-in-{scheme}", scheme, theme=theme)

    card = page.locator(".rl-card").first
    status = card.locator(".rl-status")
    expect(status).to_have_text("✓ Completed")
    expect(status).to_have_css("color", _rgb(colours.completed))
    text = _colour(card, "color")
    ground = _colour(page.locator(".runlore").first, "background-color")
    assert contrast(text, ground) >= 7
    line = page.locator("polyline.rl-line0").first
    expect(line).to_have_css("stroke", _rgb(colours.lines[0]))


def test_a_card_fits_its_place_and_shows_config_metrics_and_curves(opened: Opened) -> None:
    page = opened("card")
    card = page.locator(".rl-card").first

    expect(card.locator("strong")).to_have_text("vit seed 3")
    expect(card.locator(".rl-config tbody tr")).to_have_count(2)
    rows = card.locator(".rl-metrics tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("loss")
    assert page.locator(".rl-card img, .rl-card b").count() == 0
    box, curve = card.bounding_box(), rows.first.locator("svg").bounding_box()
    assert box is not None and curve is not None
    assert box["width"] <= 862 and (curve["width"], curve["height"]) == (120, 16)
    failed = page.locator(".rl-card").last
    expect(failed.locator(".rl-problem")).to_have_text("out of memory")


def test_a_click_on_a_heading_sorts_and_another_one_reverses(opened: Opened) -> None:
    page = opened("sorted")
    table = page.locator("table.rl-sort", has_text="metrics.val/acc").last
    cells = table.locator("tbody tr td:first-child")
    head = table.get_by_role("button", name="name")

    expect(cells).to_have_text([f"vit seed {seed}" for seed in (3, 2, 1, 0)])
    head.click()
    expect(cells).to_have_text([f"vit seed {seed}" for seed in (0, 1, 2, 3)])
    expect(table.locator("th").first).to_have_attribute("aria-sort", "ascending")
    head.press("Enter")
    expect(cells).to_have_text([f"vit seed {seed}" for seed in (3, 2, 1, 0)])
    table.get_by_role("button", name="metrics.val/acc").click()
    expect(cells).to_have_text([f"vit seed {seed}" for seed in (0, 1, 2, 3)])
    expect(table.locator("th").first).not_to_have_attribute("aria-sort", "ascending")


def test_a_notebook_without_trust_shows_plain_tables(opened: Opened) -> None:
    page = opened("without-trust", is_trusted=False)

    assert page.locator(".runlore :is(style, script, svg, button)").count() == 0
    expect(page.locator("table.rl-metrics").first).to_contain_text("val/acc")
    expect(page.get_by_text("Completed").first).to_be_visible()
    assert page.locator("img[onerror]").count() == 0


def test_plots_are_as_wide_as_their_place_and_name_their_curves(opened: Opened) -> None:
    page = opened("plots")
    plots = page.locator("svg[role=img]")

    expect(plots).to_have_count(2)
    expect(plots.first).to_contain_text("1 value NaN")
    expect(plots.last).to_contain_text("Accuracy by learning rate")
    expect(plots.last).to_contain_text("config.lr = 0.01 (2)")
    page.set_viewport_size({"width": 390, "height": 800})
    box = plots.last.bounding_box()
    assert box is not None and box["width"] <= 390
    assert box["width"] / box["height"] == pytest.approx(1.8, abs=0.2)


def _colour(locator: Any, name: str) -> str:
    """A computed colour as #rrggbb; one that lets the ground through lies on Jupyter's."""
    found = locator.evaluate(f"(element) => getComputedStyle(element)['{name}']")
    *parts, opacity = [*map(float, re.findall(r"[\d.]+", found)), 1.0][:4]
    ground = 255 if parts == [0, 0, 0] else 17  # Black is written on white, and white on black.
    shares = (round(part * opacity + ground * (1 - opacity)) for part in parts)
    return "#" + "".join(f"{share:02x}" for share in shares)


def _rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"
