"""Tables as CSV (RFC 4180) whose texts no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from runlore.domain.spreadsheet_text import without_formula
from runlore.studio.encoding import plain


def csv_text(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The table as CSV. Numbers are exact; a text that could be a formula gets a `'` before it.

    >>> csv_text(["name", "loss"], [["=1+1", -0.5]]).splitlines()
    ['name,loss', "'=1+1,-0.5"]
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_cell(head) for head in heads])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value  # Not as JSON has it: NaN and whole numbers of any size stay what they are.
    shown = plain(value)
    return without_formula(shown, but_numbers=False) if isinstance(shown, str) else shown
