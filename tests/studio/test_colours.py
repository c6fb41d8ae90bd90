"""The colours of the pages: those of notebooks and plots, and enough contrast in both themes."""

from __future__ import annotations

import re

import pytest

from runlore.shown.colours import DARK, LIGHT, Theme
from runlore.studio.shell.pages import STATIC
from tests.shown.test_colours import contrast

SHEETS = [STATIC / "studio.css", *sorted((STATIC / "styles").glob("*.css"))]
CSS = "".join(sheet.read_text() for sheet in SHEETS)
SHARED = {"bg": "ground", "line": "rule"} | {
    name: name
    for name in (
        *("surface", "text", "muted", "accent"),
        *("completed", "failed", "canceled", "waiting"),
    )
}


def colours() -> dict[str, tuple[str, str]]:
    """Each variable of the style sheet: the colour in the light theme, and in the dark one."""
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);", CSS)
    return {name: (light, dark) for name, light, dark in found}


def test_pages_have_the_colours_of_notebooks_and_plots() -> None:
    found = colours()
    for place, theme in enumerate((LIGHT, DARK)):
        assert {name: found[name][place] for name in SHARED} == {
            name: getattr(theme, own) for name, own in SHARED.items()
        }
        lines = [found[f"run-{number}"][place] for number in range(len(theme.lines))]
        assert tuple(lines) == theme.lines


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_each_text_can_be_read_on_each_ground(theme: Theme) -> None:
    found = {name: pair[theme is DARK] for name, pair in colours().items()}
    texts = ("text", "muted", "accent", "completed", "failed", "canceled", "waiting")
    for ground in ("bg", "surface", "selected"):
        for text in texts:
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
        assert contrast(found["control"], found[ground]) >= 3, ground
    assert contrast(found["past-text"], found["past-bg"]) >= 4.5


def test_no_other_colour_is_in_the_style_sheet_but_that_of_shadows() -> None:
    rest = re.sub(r"--[\w-]+: light-dark\(#\w{6}, #\w{6}\);", "", CSS)
    found = set(re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;, )])", rest))
    assert found <= {"#0003", "#0006"}  # Of a shadow, and of what lies behind a dialog.
