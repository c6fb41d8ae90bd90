r"""The output of a script made safe to show.

A script's output is text from a log as well, and it is shown while it grows. Its colours reach a
terminal and are left out elsewhere. A carriage return begins a new line, so that nothing that was
shown is overwritten: a progress bar becomes a line for each of its states. Everything else
(other sequences, hidden text, bytes that are not UTF-8) is shown by its number.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from runlore.domain.visible_text import visible_lines

# Colours and styles (SGR), without "conceal" (8): it would hide text.
_STYLE: Final = (
    "(?:0?[0-79]?|2[1-9]|[34][0-79]|9[0-7]|10[0-7]|[34]8;5;\\d{1,3}|[34]8;2(?:;\\d{1,3}){3})"
)
_PARAMETERS: Final = "[0-9;]{0,40}"
_STYLES: Final = re.compile(f"\x1b\\[(?={_PARAMETERS}m){_STYLE}(?:;{_STYLE})*m")
_UNFINISHED: Final = re.compile(f"(?:\x1b(?:\\[{_PARAMETERS})?|[\r\u200c\u200d])\\Z")
_RESET: Final = "\x1b[0m"


class LogText:
    """The visible text of a log whose bytes come in pieces."""

    def __init__(self, *, styles: bool) -> None:
        self._styles = styles
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="backslashreplace")
        self._held = ""
        self._is_styled = False
        self._before = ""  # The end of the last piece: joiners are judged by their neighbours.

    def feed(self, piece: bytes) -> str:
        """The text of the next piece, without a sequence at its end that may go on."""
        text = self._held + self._decoder.decode(piece)
        unfinished = _UNFINISHED.search(text)
        end = len(text) if unfinished is None else unfinished.start()
        self._held = text[end:]
        return self._visible(text[:end])

    def finish(self) -> str:
        """The text that is left. Styles end with it."""
        text = self._visible(self._held + self._decoder.decode(b"", final=True))
        self._held = ""
        return text + (_RESET if self._is_styled else "")

    def _visible(self, text: str) -> str:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        shown, end = [], 0
        for found in _STYLES.finditer(text):
            shown.append(self._visible_after(text[end : found.start()]))
            self._before = ""
            if self._styles:
                shown.append(found[0])
                self._is_styled = True
            end = found.end()
        return "".join([*shown, self._visible_after(text[end:])])

    def _visible_after(self, text: str) -> str:
        before, self._before = self._before, (self._before + text)[-2:]
        return visible_lines(before + text)[len(visible_lines(before)) :]
