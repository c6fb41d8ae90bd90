r"""What a program prints, as it is kept: lines without secrets, progress bars in their last state.

>>> text = ConsoleText()
>>> text.feed(" 10%\r 50%\r100%\nepoch 1, "), text.feed("loss 0.5\ntoken=abcdef\n")
('100%\n', 'epoch 1, loss 0.5\ntoken=***\n')
>>> text.feed("no end"), text.finish()
('', 'no end')
"""

from __future__ import annotations

import re
from typing import Final

from runlore.domain.secrets import mask_text

_LINE_MAX_CHARS: Final = 50_000
_KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY")
_KEY_ENDS: Final = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY")


class ConsoleText:
    """Folds and masks a text that comes in pieces."""

    def __init__(self) -> None:
        self._line = ""
        self._in_key = False

    def feed(self, text: str) -> str:
        """The lines that are whole by now, as they are kept."""
        *lines, rest = (self._line + text).split("\n")
        if "\r" in rest and not rest.endswith("\r"):
            rest = rest[rest.rindex("\r") + 1 :]  # What it overwrites is gone.
        shown = "".join(self._shown(line, "\n") for line in lines)
        if len(rest) > _LINE_MAX_CHARS:
            shown, rest = shown + self._shown(rest, ""), ""
        self._line = rest
        return shown

    def finish(self) -> str:
        """What is left of a line without an end."""
        line, self._line = self._line, ""
        return self._shown(line, "") if line else ""

    def _shown(self, line: str, end: str) -> str:
        if self._in_key:
            self._in_key = _KEY_ENDS.search(line) is None
            return ""
        line = line.rstrip("\r")
        last = line[line.rfind("\r") + 1 :]
        if _KEY_BEGINS.search(last):
            self._in_key = _KEY_ENDS.search(last) is None
        return mask_text(last) + end
