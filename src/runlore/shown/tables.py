"""Short tables for notebooks, whose rows a click on a heading sorts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from runlore.domain.status import Status
from runlore.shown.colours import status_sign
from runlore.shown.elements import Html, escaped
from runlore.shown.numbers import short_number
from runlore.shown.page_style import framed

ROWS_MAX: Final = 20
COLUMNS_MAX: Final = 30
_CELL_MAX_CHARS: Final = 200
_LINE_MAX_CHARS: Final = 40
_STATUSES: Final = frozenset(map(str, Status))


def shown_table(
    heads: Sequence[str], rows: Sequence[Sequence[Any]], total: int, caption: str = ""
) -> str:
    """The first rows of a table of `total` rows as the output of a notebook's cell.

    At most ROWS_MAX rows and COLUMNS_MAX columns; a line says how many are not shown.
    """
    return framed(table(heads, rows, total, caption), sortable=True)


def table(
    heads: Sequence[str], rows: Sequence[Sequence[Any]], total: int, caption: str = ""
) -> Html:
    """The same as an element."""
    shown, columns = rows[:ROWS_MAX], range(min(len(heads), COLUMNS_MAX))
    numeric = [_is_numeric([row[place] for row in shown]) for place in columns]
    head = "".join(
        f'<th scope="col"{_number_class(numeric[place])}>{escaped(heads[place], _LINE_MAX_CHARS)}'
        "</th>"
        for place in columns
    )
    body = "".join(
        f"<tr>{''.join(_cell(row[place], heads[place]) for place in columns)}</tr>" for row in shown
    )
    said = ", ".join(part for part in (caption, _left_out(len(shown), total, len(heads))) if part)
    title = f"<caption>{escaped(said)}</caption>" if said else ""
    return Html(
        f'<table class="rl-table rl-sort">{title}<thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _left_out(shown: int, total: int, columns: int) -> str:
    parts = [f"first {shown:,} of {total:,} rows" if total > shown else f"{total:,} rows"]
    if total == 1:
        parts = ["1 row"]
    if columns > COLUMNS_MAX:
        parts.append(f"first {COLUMNS_MAX} of {columns:,} columns")
    return ", ".join(parts)


def _cell(value: Any, head: str) -> str:
    if isinstance(value, Html):
        return f"<td>{value}</td>"
    if value is None:
        return '<td data-v=""></td>'
    if _is_number(value):
        exact = escaped(value)
        key = "" if value != value else exact
        return f'<td class="rl-number" data-v="{key}" title="{exact}">{short_number(value)}</td>'
    if head == "status" and value in _STATUSES:
        return f"<td>{status_element(value)}</td>"
    text = _text(value)
    whole = ' class="rl-line"' if len(text) <= _LINE_MAX_CHARS else ""
    return f"<td{whole}>{escaped(text, _CELL_MAX_CHARS)}</td>"


def status_element(status: str) -> Html:
    """A status as sign, word and colour."""
    sign, colour = status_sign(status)
    return Html(f'<span class="rl-status rl-{colour}">{sign} {escaped(status)}</span>')


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_numeric(values: Sequence[object]) -> bool:
    held = [value for value in values if value is not None]
    return bool(held) and all(map(_is_number, held))


def _number_class(numeric: bool) -> str:
    return ' class="rl-number"' if numeric else ""
