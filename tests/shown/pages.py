"""What a browser would find in the output of a cell."""

from __future__ import annotations

import re

from runlore.shown.page_style import SCRIPT, STYLE
from tests.audit.bundles.test_report import Page
from tests.hostile.hostile_log import FORBIDDEN

ACTIVE = {"img", "link", "iframe", "object", "embed", "form", "base", "a", "meta", "foreignObject"}


def checked(shown: str | None) -> Page:
    """The parsed output, in which only our own style and script may do anything."""
    assert shown is not None
    page = Page(shown)
    assert page.open == []
    assert not ACTIVE & set(page.tags)
    assert [text for text in page.texts if text == STYLE] == [STYLE]
    assert page.tags.count("style") == 1
    assert page.tags.count("script") == page.texts.count(SCRIPT)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [name for name, _ in page.attributes if name in ("style", "src", "href")]
    assert not [value for _, value in page.attributes if "javascript:" in (value or "").lower()]
    assert FORBIDDEN.findall(shown) == []
    return page


def texts(shown: str | None) -> list[str]:
    """The texts of the output, without style and script."""
    page = checked(shown)
    return [text for text in page.texts if text not in (STYLE, SCRIPT) and text.strip()]


def rows(shown: str | None) -> list[list[str]]:
    """The cells of all rows of tables, as text."""
    assert shown is not None
    return [
        [re.sub("<[^>]*>", "", cell) for cell in re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall("<tr[^>]*>(.*?)</tr>", shown, re.DOTALL)
    ]
