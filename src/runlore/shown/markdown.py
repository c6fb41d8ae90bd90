"""Markdown as a tree of plain values, of which a page makes its nodes: no HTML reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

CHARS_MAX: Final = 20_000
_LINK: Final = re.compile(r"(https?|mailto):", re.IGNORECASE)


def markdown_tree(text: str) -> list[Any] | None:
    """Texts, and `tag` with `children`; None for a text that is too long to be parsed.

    A link has its `href` if that is one of http, https or mailto, a heading is a paragraph with a
    `level`, an image its alternative text. HTML is text, and line breaks stay.

    >>> markdown_tree("a *b* <i>")
    [{'tag': 'p', 'children': ['a ', {'tag': 'em', 'children': ['b']}, ' <i>']}]
    """
    if len(text) > CHARS_MAX:
        return None
    return list(_children(SyntaxTreeNode(_parser().parse(text))))


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def _children(node: SyntaxTreeNode) -> Iterator[Any]:
    for child in node.children:
        yield from _nodes(child)


def _nodes(node: SyntaxTreeNode) -> Iterator[Any]:
    match node.type:
        case "text" | "image":
            yield node.content
        case "softbreak" | "hardbreak":
            yield {"tag": "br", "children": []}
        case "code_inline":
            yield {"tag": "code", "children": [node.content]}
        case "fence" | "code_block":
            yield {"tag": "pre", "children": [node.content]}
        case "heading":
            yield {"tag": "p", "level": int(node.tag[1:]), "children": list(_children(node))}
        case "link" if _LINK.match(str(node.attrs["href"])):
            yield {"tag": "a", "href": node.attrs["href"], "children": list(_children(node))}
        case "inline" | "link":
            yield from _children(node)
        case "paragraph" if node.hidden:  # That of a list whose items have no lines between them.
            yield from _children(node)
        case _:
            yield {"tag": node.tag, "children": list(_children(node))}
