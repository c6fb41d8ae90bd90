"""A picture of a task: the pages of all tools side by side, with what it took in each."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image, ImageDraw, ImageFont

PAGE: Final = (800, 500)
CAPTION: Final = 76
GAP: Final = 12
_COLUMNS: Final = 2
_COLOURS: Final = 256
_TEXT: Final = "#1b1f24"
_MUTED: Final = "#57606a"
_REFUSED: Final = "#c0281f"
_WIDTH: Final = 104  # Characters of a remark in a line.
_LINES: Final = 2


@dataclass(frozen=True)
class Shot:
    """The page of a tool at the end of a task."""

    tool: str
    png: bytes
    actions: int
    not_possible: str = ""
    note: str = ""

    @property
    def result(self) -> str:
        """The number of actions, or that there is no way."""
        if self.not_possible:
            return "not possible"
        return f"{self.actions} action{'s' * (self.actions != 1)}"

    @property
    def remark(self) -> str:
        return self.not_possible or self.note


def sheet(shots: Sequence[Shot]) -> bytes:
    """A PNG with a palette: two pages in a row, each below its caption."""
    rows = -(-len(shots) // _COLUMNS)
    width = _COLUMNS * PAGE[0] + (_COLUMNS + 1) * GAP
    height = rows * (PAGE[1] + CAPTION) + GAP
    whole = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(whole)
    for number, shot in enumerate(shots):
        left, top = place(number)
        _caption(draw, left, top, shot)
        page = Image.open(BytesIO(shot.png)).convert("RGB").resize(PAGE, Image.Resampling.LANCZOS)
        whole.paste(page, (left, top + CAPTION))
        draw.rectangle(
            (left - 1, top + CAPTION - 1, left + PAGE[0], top + CAPTION + PAGE[1]),
            outline=_MUTED,
        )
    found = BytesIO()
    # A palette halves the size; MAXCOVERAGE keeps the colours that few pixels have: status, curves.
    small = whole.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(found, "PNG", optimize=True)
    return found.getvalue()


def place(number: int) -> tuple[int, int]:
    """The left and upper edge of a page with its caption."""
    column, row = number % _COLUMNS, number // _COLUMNS
    return GAP + column * (PAGE[0] + GAP), row * (PAGE[1] + CAPTION)


def _caption(draw: ImageDraw.ImageDraw, left: int, top: int, shot: Shot) -> None:
    large, small = ImageFont.load_default(22), ImageFont.load_default(15)
    draw.text((left, top + 8), shot.tool, _TEXT, large)
    begin = left + draw.textlength(shot.tool, large) + 16
    draw.text((begin, top + 8), shot.result, _REFUSED if shot.not_possible else _TEXT, large)
    lines = textwrap.wrap(shot.remark, _WIDTH)[:_LINES]
    draw.multiline_text((left, top + 36), "\n".join(lines), _MUTED, small, spacing=3)
