"""Elements of an HTML page, made from text that anyone may have logged.

Every value passes through `escaped`; only `Html` is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from runlore.domain.visible_text import visible_html

_CHARS_MAX: Final = 2_000


class Html(str):
    """Text that is HTML already, and so is not escaped."""


class Row(NamedTuple):
    """A row of a table: each cell's value and CSS class, and the CSS class of the row."""

    cells: Sequence[tuple[object, str]]
    css_class: str = ""


def escaped(value: object, max_chars: int = _CHARS_MAX) -> Html:
    """A value as HTML. Long ones are cut; characters that act, hide or reorder are shown."""
    if isinstance(value, Html):
        return value
    text = str(value)
    if len(text) > max_chars:
        text = f"{text[:max_chars]} … ({len(text) - max_chars:,} characters more)"
    return Html(visible_html(text))


def code(text: str) -> Html:
    """Text in the font of code."""
    return Html(f"<code>{escaped(text)}</code>")


def preformatted(text: str, max_chars: int = _CHARS_MAX) -> Html:
    """Text with its line breaks."""
    return Html(f"<pre>{escaped(text, max_chars)}</pre>")


def joined(parts: Iterable[Html]) -> Html:
    """The parts that are not empty, one after the other."""
    return Html("\n".join(part for part in parts if part))


def paragraph(text: str) -> Html:
    """A paragraph."""
    return Html(f"<p>{escaped(text)}</p>")


def titled(title: str, content: Html) -> Html:
    """The content below a heading; nothing if there is no content."""
    return Html(f"<h3>{escaped(title)}</h3>\n{content}") if content else content


def section(title: str, parts: Iterable[Html], *, css_class: str = "") -> Html:
    """A section of the page."""
    return Html(
        f"<section{_class(css_class)}>\n<h2>{escaped(title)}</h2>\n{joined(parts)}\n</section>"
    )


def pairs(values: Mapping[str, object]) -> Html:
    """A list of names and values."""
    rows = "".join(
        f"<dt>{escaped(name)}</dt><dd>{escaped(value)}</dd>" for name, value in values.items()
    )
    return Html(f"<dl>{rows}</dl>")


def table(headings: Sequence[str], rows: Sequence[Row]) -> Html:
    """A table; nothing if it has no rows."""
    if not rows:
        return Html("")
    head = "".join(f"<th>{escaped(heading)}</th>" for heading in headings)
    body = "\n".join(
        f"<tr{_class(row.css_class)}>{''.join(_cell(*cell) for cell in row.cells)}</tr>"
        for row in rows
    )
    return Html(f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>")


def _cell(value: object, css_class: str) -> str:
    return f"<td{_class(css_class)}>{'' if value is None else escaped(value)}</td>"


def _class(css_class: str) -> str:
    return f' class="{css_class}"' if css_class else ""
