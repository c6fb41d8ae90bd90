"""Markdown of strangers: what it says is text and a few elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.shown.markdown import CHARS_MAX, markdown_tree
from tests.examples import few

TAGS = {"p", "br", "hr", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong", "s", "a"}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}
PIECES = [
    "[a](",
    "javascript:alert(1)",
    "http://x",
    ")",
    "<script>",
    "![b](",
    "`",
    "**",
    "> ",
    "- ",
]
PIECES += [
    "\n",
    "\n\n",
    "# ",
    "|a|b|\n|-|-|\n|1|2|\n",
    "data:text/html,x",
    "1. ",
    "~~",
    "&#106;",
    "<",
    "    x",
]


def nodes(tree: list[Any]) -> Iterator[dict[str, Any]]:
    for node in tree:
        if not isinstance(node, str):
            yield node
            yield from nodes(node["children"])


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("one\ntwo", [{"tag": "p", "children": ["one", {"tag": "br", "children": []}, "two"]}]),
        ("# Title", [{"tag": "p", "level": 1, "children": ["Title"]}]),
        (
            "[x](https://a.b/c)",
            [{"tag": "p", "children": [{"tag": "a", "href": "https://a.b/c", "children": ["x"]}]}],
        ),
        ("[x](ftp://a)", [{"tag": "p", "children": ["x"]}]),
        ("[x](/runs)", [{"tag": "p", "children": ["x"]}]),
        ("![alt](http://a/b.png)", [{"tag": "p", "children": ["alt"]}]),
        ("<b>x</b>", [{"tag": "p", "children": ["<b>x</b>"]}]),
        ("- a", [{"tag": "ul", "children": [{"tag": "li", "children": ["a"]}]}]),
        ("```py\nx\n```", [{"tag": "pre", "children": ["x\n"]}]),
        ("", []),
    ],
)
def test_what_markdown_says(text: str, tree: list[Any]) -> None:
    assert markdown_tree(text) == tree


@settings(max_examples=few(100), deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=20).map("".join))
def test_any_text_has_known_elements_and_harmless_links_only(text: str) -> None:
    tree = markdown_tree(text)

    assert tree is not None
    for node in nodes(tree):
        assert node["tag"] in TAGS
        assert ("href" in node) == (node["tag"] == "a")
        assert node.get("href", "http:").lower().startswith(("http:", "https:", "mailto:"))


def test_nesting_has_an_end_and_a_long_text_is_left_as_it_is() -> None:
    assert markdown_tree("> " * 9_000 + "deep") is not None
    assert markdown_tree("*a **b " * 2_500) is not None
    assert markdown_tree("x" * (CHARS_MAX + 1)) is None
