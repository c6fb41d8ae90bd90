"""The pictures of the README, which `python -m tests.docs.pictures` makes."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.docs.pictures import IMAGES

README = IMAGES.parents[1] / "README.md"
PICTURES = ["leaderboard.svg", "notebook.png"]


def test_the_readme_shows_each_picture_with_a_text_for_who_cannot_see_it() -> None:
    shown = re.findall(r"!\[(.+)\]\(docs/images/(.+)\)", README.read_text())

    there = sorted(file.name for file in IMAGES.iterdir() if file.is_file())
    assert [name for _, name in shown] == PICTURES == there
    assert all(len(text) > 20 for text, _ in shown)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small(name: str) -> None:
    assert 1_000 < (IMAGES / name).stat().st_size < 150_000


def test_a_drawing_loads_nothing_from_elsewhere() -> None:
    text = (IMAGES / "leaderboard.svg").read_text()

    ElementTree.fromstring(text)
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert "val/acc" in text and "resnet18" in text
