"""Rows as CSV (RFC 4180, with a header) or TSV (without one, as `az` prints it)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any


def as_csv(data: Any, heads: Sequence[str] = ()) -> str:
    """A header and a line per row; values are quoted where necessary."""
    heads, rows = rows_of(data, heads)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if heads:
        writer.writerow(heads)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def as_tsv(data: Any) -> str:
    """A line per row; tabs and line ends in values become spaces."""
    _, rows = rows_of(data)
    lines = ("\t".join(" ".join(_cell(value).split("\t")) for value in row) for row in rows)
    return "".join(" ".join(line.splitlines()) + "\n" for line in lines)


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


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
