"""Colours for light and dark grounds, chosen so that people with any colour vision tell them apart.

Each line colour has a contrast of at least 3 to its ground, each text colour of at least 4.5;
tests/shown/test_colours.py computes them.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from zlib import crc32

from runlore.domain.status import Status


class Theme(NamedTuple):
    """The colours on one ground."""

    ground: str
    surface: str
    rule: str
    text: str
    muted: str
    accent: str
    completed: str
    failed: str
    canceled: str
    waiting: str
    lines: tuple[str, ...]


LIGHT: Final = Theme(
    ground="#ffffff",
    surface="#f6f7f9",
    rule="#d3d9e0",
    text="#1b1f24",
    muted="#57606a",
    accent="#0b5cad",
    completed="#166f31",
    failed="#c0281f",
    canceled="#7a4fa3",
    waiting="#8a5a00",
    lines=(
        *("#c52d1f", "#b48952", "#187762", "#4b95e5"),
        *("#14399b", "#8541d6", "#7a045d", "#ea4aa9"),
    ),
)
DARK: Final = Theme(
    ground="#14171b",
    surface="#1c2025",
    rule="#343b43",
    text="#e6e9ed",
    muted="#a0a9b4",
    accent="#6cb6ff",
    completed="#57c26b",
    failed="#ff8078",
    canceled="#c4a7e7",
    waiting="#e3b341",
    lines=(
        *("#d36c09", "#f4ba2b", "#5afaa4", "#0884ea"),
        *("#68baf2", "#f9d2fc", "#9f70a2", "#fc83b8"),
    ),
)

DASHES: Final = ("", "6 3", "2 3", "8 3 2 3")
"""The patterns of lines; with the eight colours they tell 32 lines apart."""


def look_of(number: int, experiment_id: str | None, chosen: int | None = None) -> tuple[int, int]:
    """The colour and dash of a run: its own wherever it is shown, and neighbours differ.

    `number` is the run's in its experiment, `chosen` the look that somebody gave it: the place of
    the colour plus 8 times that of the dash. They are places in `Theme.lines` and `DASHES`.
    """
    colours = len(LIGHT.lines)
    if chosen is not None:
        return chosen % colours, chosen // colours
    shift = crc32((experiment_id or "").encode("utf-8", "replace"))
    return (number - 1 + shift) % colours, (number - 1) // colours % len(DASHES)


_SIGNS: Final = {
    Status.COMPLETED: ("✓", "completed"),
    Status.FAILED: ("✕", "failed"),
    Status.NOT_RESPONDING: ("✕", "failed"),
    Status.CANCELED: ("⊘", "canceled"),
    Status.CANCEL_REQUESTED: ("⊘", "canceled"),
    Status.RUNNING: ("▶", "accent"),
    Status.STARTING: ("▶", "accent"),
    Status.FINALIZING: ("▶", "accent"),
}
_WAITS: Final = ("◷", "waiting")


def status_sign(status: str) -> tuple[str, str]:
    """The sign of a status and the name of its colour in a theme: never one without the other."""
    return _SIGNS.get(status, _WAITS)  # type: ignore[call-overload,no-any-return]  # a Status is a str
