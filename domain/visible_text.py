r"""Text from a log made safe to show: each character that would act, hide or reorder is escaped.

A log may come from anybody, so its text may hold sequences that set a terminal's title or
clipboard, characters that reverse what follows, and ones that are not seen at all. Whatever shows
such text to people passes it through one of these functions, which show such a character by its
number: `\x1b`, `\u202e`, `\U000e0041`. A backslash stays as it is: what is shown is for people,
and the forms that programs read (JSON, CSV, SQL) have the text itself.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

_CONTROLS: Final = "\x00-\x1f"
_CONTROLS_BUT_LAYOUT: Final = "\x00-\x08\x0b-\x1f"  # Without tab and line feed.
# DEL and C1; bidirectional marks, embeddings, overrides and isolates; separators of lines and
# paragraphs; characters without a width, tags among them; halves of characters.
_HIDDEN: Final = (
    "\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_JOINERS: Final = "\u200c\u200d"
_VARIANTS: Final = "\ufe00-\ufe0f"
# Persian, Indic scripts and emoji are written with joiners and variation selectors: those stay
# between characters of such scripts. Anywhere else they only hide something.
_ANY_SCRIPT: Final = f"[^\x00-\xa0{_HIDDEN}{_JOINERS}{_VARIANTS}]"
_MISUSED: Final = (  # Each begins with a plain set, so that the search for it is fast.
    f"[{_JOINERS}](?<!{_ANY_SCRIPT}[{_JOINERS}])(?<![{_VARIANTS}][{_JOINERS}])"
    f"|[{_JOINERS}](?!{_ANY_SCRIPT})"
    f"|[{_VARIANTS}](?<![0-9#*][{_VARIANTS}])(?<!{_ANY_SCRIPT}[{_VARIANTS}])"
)
_REORDERING: Final = "[\u2028-\u202e\u2066-\u2069]"
_SHORT: Final = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def visible(text: str) -> str:
    r"""The text in one line, with every harmful character escaped.

    >>> visible("loss\x1b[2J\nnew\u202eline"), visible("naïve 👩\u200d🚀")
    ('loss\\x1b[2J\\nnew\\u202eline', 'naïve 👩\u200d🚀')
    """
    if text.isascii() and text.isprintable():
        return text
    return _harmful(_CONTROLS).sub(_escape, text)


def visible_lines(text: str) -> str:
    r"""The same, with its line ends and tabs as they are.

    >>> visible_lines("a\tb\r\n\x07")
    'a\tb\\r\n\\x07'
    """
    if text.isascii() and text.isprintable():
        return text
    return _harmful(_CONTROLS_BUT_LAYOUT).sub(_escape, text)


def visible_json(text: str, encoding: str = "utf-8") -> str:
    r"""JSON that means the same, with the harmful characters in its texts as `\uXXXX`.

    So are those that the encoding lacks.

    >>> visible_json('{"tag": "\x9b\U000e0041 é"}', "ascii")
    '{"tag": "\\u009b\\udb40\\udc41 \\u00e9"}'
    """
    if text.isascii() and "\x7f" not in text:
        return text  # Other controls are escaped in JSON anyway.
    text = _harmful(_CONTROLS_BUT_LAYOUT).sub(_escape_json, text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return re.sub("[^\x00-\x7f]", _escape_json, text)
    return text


def visible_html(text: object) -> str:
    """The text for an HTML page, in an element or a quoted attribute; line ends stay.

    >>> visible_html("<b>\u202egpj.exe")
    '&lt;b&gt;\\\\u202egpj.exe'
    """
    import html  # Its table of all entities takes as long as a small command.

    return html.escape(visible_lines(str(text)))


def first_reordering(text: str) -> str | None:
    """The first character that breaks or reverses the line in which the text is shown, or None."""
    found = None if text.isascii() else re.search(_REORDERING, text)
    return None if found is None else found[0]


@cache
def _harmful(controls: str) -> re.Pattern[str]:
    """Compiled for the first text that needs it: most do not, and it takes milliseconds."""
    return re.compile(f"[{controls}{_HIDDEN}]|{_MISUSED}")


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if code < 0x100:
        return _SHORT.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escape_json(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
