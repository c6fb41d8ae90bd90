"""Rows as CSV (RFC 4180, with a header) or TSV (without one, as `az` prints it).

A spreadsheet takes a text that begins with `=`, `+`, `-` or `@` for a formula, which may start
programs or send cells away. Such a text gets an apostrophe before it, the spreadsheet's own mark of
a text, unless it is a number. Numbers, and `raw` output, are never changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from runlore.domain.visible_text import visible, visible_lines

# Spreadsheets also take the full-width forms, and skip blanks and quotes at the beginning.
_FORMULA: Final = re.compile('[\\s"]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]')
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)", re.ASCII)
# Some languages' spreadsheets separate cells by semicolons or tabs.
_QUOTED: Final = re.compile('[,;"\t\n]|^ | $')


def as_csv(data: Any, heads: Sequence[str] = (), *, raw: bool = False) -> str:
    """A header and a line per row; values are quoted where necessary."""
    heads, rows = rows_of(data, heads)
    cell = _cells(raw, visible_lines)
    lines = [*([heads] if heads else ()), *rows]
    return "".join(
        (",".join([_quoted(cell(value)) for value in line]) or '""') + "\n" for line in lines
    )


def as_tsv(data: Any, *, raw: bool = False) -> str:
    """A line per row; tabs and line ends in values become spaces."""
    _, rows = rows_of(data)
    cell = _cells(raw, visible)
    return "".join("\t".join([cell(_one_line(value)) for value in row]) + "\n" for row in rows)


def rows_of(data: Any, heads: Sequence[str] = ()) -> tuple[Sequence[str], list[list[Any]]]:
    """The header and rows of records, lists or single values."""
    items = data if isinstance(data, list) else [] if data is None else [data]
    if items and all(isinstance(item, dict) for item in items):
        heads = list(dict.fromkeys(key for item in items for key in item))
        return heads, [[item.get(head) for head in heads] for item in items]
    if items and all(isinstance(item, list) for item in items):
        width = max(len(item) for item in items)
        heads = [f"Column{number}" for number in range(1, width + 1)]
        return heads, [[*item, *[None] * (width - len(item))] for item in items]
    return (["Result"], [[item] for item in items]) if items else (heads, [])


def _cells(raw: bool, shown: Callable[[str], str]) -> Callable[[Any], str]:
    """How a value becomes the text of a cell."""

    def cell(value: Any) -> str:
        if not isinstance(value, str):
            return shown(_text(value))
        return shown(value if raw else without_formula(value))

    return cell


def without_formula(text: str) -> str:
    """The text with an apostrophe before it if a spreadsheet would calculate it.

    >>> without_formula("=1+1"), without_formula("-0.5"), without_formula("a-b")
    ("'=1+1", '-0.5', 'a-b')
    """
    if _FORMULA.match(text) is None or _NUMBER.fullmatch(text):
        return text
    return "'" + text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _one_line(value: Any) -> Any:
    return " ".join(" ".join(value.split("\t")).splitlines()) if isinstance(value, str) else value


def _quoted(text: str) -> str:
    if _QUOTED.search(text) is None:
        return text
    return '"' + text.replace('"', '""') + '"'
