"""Rows as CSV (RFC 4180, with a header) or TSV (without one, as `az` prints it).

Texts that a spreadsheet would calculate get a mark of texts before them. Numbers, and `raw` output,
are never changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from runlore.domain.spreadsheet_text import without_formula
from runlore.domain.visible_text import visible, visible_lines

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
