"""docs/studio.md has a section with a picture for each page of the Studio."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runlore.studio.addresses import PATHS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted({*PATHS.values(), "past"})
_PICTURE = re.compile(r"^!\[(.+)\]\(images/studio/(\w+)\.png\)$", re.MULTILINE)


def pictures() -> dict[str, tuple[str, str]]:
    """Each picture's name, with the heading of its section and the text that replaces it."""
    sections = re.split(r"^## ", (DOCS / "studio.md").read_text("utf-8"), flags=re.MULTILINE)
    found = {}
    for section in sections[1:]:
        for text, name in re.findall(
            r"^!\[(.+)\]\(images/studio/(\w+)\.png\)$", section, re.MULTILINE
        ):
            found[name] = (section.partition("\n")[0], text)
    return found


def test_each_page_has_a_section_of_its_own_with_a_picture() -> None:
    found = pictures()

    assert sorted(found) == PAGES
    assert len({heading for heading, _ in found.values()}) == len(PAGES)
    assert all(len(text) > 20 for _, text in found.values())


def test_there_are_no_other_pictures() -> None:
    assert sorted(file.name for file in (DOCS / "images" / "studio").iterdir()) == [
        f"{page}.png" for page in PAGES
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_picture_is_small(page: str) -> None:
    assert 1_000 < (DOCS / "images" / "studio" / f"{page}.png").stat().st_size < 150_000
