"""The colours are told apart from their ground by anybody, as WCAG computes it."""

from __future__ import annotations

import pytest

from runlore.domain.status import Status
from runlore.shown.colours import DARK, LIGHT, Theme, status_sign

THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_of_black_to_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@THEMES
def test_lines_have_a_contrast_of_3(theme: Theme) -> None:
    assert [colour for colour in theme.lines if contrast(colour, theme.ground) < 3] == []


@THEMES
def test_texts_have_a_contrast_of_4_and_a_half_on_both_grounds(theme: Theme) -> None:
    texts = [theme.text, theme.muted, theme.accent, theme.completed]
    texts += [theme.failed, theme.canceled, theme.waiting]

    least = min(contrast(text, on) for text in texts for on in (theme.ground, theme.surface))

    assert least >= 4.5


@pytest.mark.parametrize("status", list(Status))
def test_each_status_has_a_sign_and_a_colour(status: Status) -> None:
    sign, colour = status_sign(status)

    assert len(sign) == 1
    assert getattr(LIGHT, colour) != getattr(DARK, colour)


def test_an_unknown_status_looks_as_one_that_waits() -> None:
    assert status_sign("unknown (copied workspace)") == status_sign(Status.QUEUED)
