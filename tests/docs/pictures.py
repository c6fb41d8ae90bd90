"""The pictures of the README: a leaderboard in a terminal, a run and a plot in a notebook.

    python -m tests.docs.pictures

writes them to docs/images/. The trainings are the same each time; times and ids are not.
"""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.browsers import ARGUMENTS, browser_path
from tests.cli.shell import on_terminal
from tests.notebook.kernels import executed, page_of

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH = 116

TRAININGS = """
import math, random, runlore
random.seed(7)
for model in ("resnet18", "vit-small", "convnext"):
    for lr in (0.1, 0.01, 0.001):
        run = runlore.init("vision", workspace="lab", name=f"{model} lr={lr:g}",
                           config={"model": model, "lr": lr, "max_steps": 200})
        best = 0.97 - 0.04 * abs(math.log10(lr) + 2) - 0.02 * len(model) / 9
        for step in range(200):
            done = 1 - math.exp(-step / (18 + 9 * abs(math.log10(lr) + 1)))
            noise = random.gauss(0, 0.012)
            run.log("loss", 2.3 * (1 - done) + 0.08 + abs(noise), step=step)
            run.log("val/acc", min(0.99, best * done + noise), step=step)
        if lr == 0.1 and model == "vit-small":
            run.log("loss", math.nan, step=200)
            run.fail("loss is NaN at step 200")
        run.complete() if run.get_status() == "Running" else None
"""
CELLS = [
    TRAININGS,
    "ws = runlore.Workspace.open('lab')\nexp = ws.experiments['vision']",
    "exp.best('val/acc')",
    "exp.plot('val/acc', group_by='config.lr')",
]
LEADERBOARD = (
    *("run", "list", "--metric", "val/acc", "--metric", "loss"),
    *("--sort=-metrics.val/acc", "--where", "config.lr < 0.1"),
)
THEME = TerminalTheme(
    (20, 23, 27),
    (230, 233, 237),
    [(20, 23, 27), (255, 128, 120), (87, 194, 107), (227, 179, 65), (108, 182, 255)]
    + [(196, 167, 231), (104, 186, 242), (230, 233, 237)],
)
_FORMAT = """<svg viewBox="0 0 {width} {height}" \
xmlns="http://www.w3.org/2000/svg" role="img" aria-label="runlore run list in a terminal">
<style>.{unique_id}-matrix{{font-family:ui-monospace,Menlo,Consolas,monospace;\
font-size:{char_height}px;line-height:{line_height}px}}{styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" \
height="{terminal_height}"/></clipPath>{lines}</defs>
<rect width="{width}" height="{height}" rx="8" fill="#14171b"/>
<g transform="translate(12, 12)">{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "project"
        folder.mkdir()
        notebook = executed(CELLS, folder)
        _leaderboard(folder)
        page = page_of(notebook)
        where = re.escape(f" -w {folder}/lab")
        (folder / "page.html").write_text(re.sub(where, " -w lab", page), "utf-8")
        _notebook(folder / "page.html")


def _leaderboard(folder: Path) -> None:
    shown = on_terminal(*LEADERBOARD, "-w", "./lab", cwd=folder, COLUMNS=str(WIDTH))
    assert shown.code == 0, shown.err
    words = " ".join(f"'{word}'" if " " in word else word for word in LEADERBOARD)
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text(f"$ runlore {words}", "bold"))
    console.print(Text.from_ansi(shown.out.rstrip()))
    picture = console.export_svg(theme=THEME, code_format=_FORMAT, unique_id="terminal")
    (IMAGES / "leaderboard.svg").write_text(picture, "utf-8")


def _notebook(page: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=[*ARGUMENTS])
        opened = browser.new_page(viewport={"width": 860, "height": 800}, device_scale_factor=1.25)
        opened.goto(page.as_uri())
        opened.evaluate(  # Only the last two cells are shown.
            "[...document.querySelectorAll('.jp-Cell')].slice(0, 2).forEach(cell => cell.remove())"
        )
        opened.locator("main, body").first.screenshot(path=IMAGES / "notebook.png")
        browser.close()


if __name__ == "__main__":
    main()
