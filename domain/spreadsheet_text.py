"""Text as a spreadsheet takes it, which calculates some of it.

A text that begins with `=`, `+`, `-` or `@` is a formula for a spreadsheet, and may start programs
or send cells away (OWASP, CSV injection). Such a text gets an apostrophe before it, the
spreadsheet's own mark of a text.
"""

from __future__ import annotations

import re
from typing import Final

# Spreadsheets also take the full-width forms, and skip blanks and quotes at the beginning.
_FORMULA: Final = re.compile('[\\s"]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]')
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)", re.ASCII)


def without_formula(text: str, *, but_numbers: bool = True) -> str:
    """The text with an apostrophe before it if a spreadsheet would calculate it.

    A text that is a number stays as it is, unless a file has its numbers elsewhere: not
    `but_numbers`.

    >>> without_formula("=1+1"), without_formula("-0.5"), without_formula("a-b")
    ("'=1+1", '-0.5', 'a-b')
    """
    if _FORMULA.match(text) is None or (but_numbers and _NUMBER.fullmatch(text)):
        return text
    return f"'{text}"
