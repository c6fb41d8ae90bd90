"""Tables and coloured JSON for people, by rich; plain text if stdout is not a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from runlore.cli.frame.guard import unguarded
from runlore.cli.output.columns import Columns
from runlore.cli.output.separated import rows_of
from runlore.domain.visible_text import visible, visible_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

_PIPE_WIDTH: Final = 100_000  # `grep` must see whole lines.


def as_table(data: Any, columns: Columns | None = None, heads: Sequence[str] = ()) -> str:
    """Records as a table; a single record as one line per non-empty field."""
    return rendered(table_of(data, columns, heads))


def table_of(data: Any, columns: Columns | None = None, heads: Sequence[str] = ()) -> Table:
    """The table as an object, for a live view."""
    if columns is not None and isinstance(data, list):
        heads = [head for head, _ in columns]
        rows = [[show(row) for _, show in columns] for row in data]
    elif isinstance(data, dict):
        heads = ["field", "value"]
        fields = data.items() if columns is None else [(key, show(data)) for key, show in columns]
        rows = [[key, value] for key, value in fields if value not in (None, "", {}, [])]
    else:
        heads, rows = rows_of(data, heads)
    # Between two columns a text of several lines cannot be taken for a row, or another column.
    shown = visible_lines if isinstance(data, dict) else visible
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in heads:
        table.add_column(Text(visible(head)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(_text(value))) for value in row))
    return table


def colored_json(text: str) -> str:
    """The JSON text with colours, unless NO_COLOR or the terminal forbids them."""
    return rendered(JSONHighlighter()(Text(text.rstrip("\n"), no_wrap=True)))


def console(**options: Any) -> Console:
    """A console on stdout; lines in a pipe are never broken."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(file=unguarded(sys.stdout), width=width, **options)


def rendered(renderable: RenderableType) -> str:
    """The text that stdout would show."""
    shown = console()
    with shown.capture() as captured:
        shown.print(renderable, highlight=False, crop=False)
    lines = captured.get().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and all(isinstance(held, str | None) for held in value.values()):
        return ", ".join(key if held is None else f"{key}={held}" for key, held in value.items())
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
