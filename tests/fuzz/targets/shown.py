"""Text from a log as it is shown: no control character, nothing that reorders or hides, survives.

The rules are written down here a second time, by Unicode's own categories and without the
expressions of `visible_text`.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator
from random import Random
from typing import Final

from runlore.cli.output.separated import as_csv, as_tsv
from runlore.domain.log_text import LogText
from runlore.domain.visible_text import visible, visible_html, visible_json, visible_lines
from tests.fuzz.mutations import TEXTS, mutated_bytes, mutated_text
from tests.fuzz.target import Broken, Target

_CATEGORIES: Final = frozenset(("Cc", "Cs", "Zl", "Zp"))
_BIDI: Final = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
_WORDS: Final = (
    *TEXTS,
    *("\x1b[", "\x1b[31m", "\x1b[0m", "\x1b[8m", "\x1b[38;5;8m", "\x1b[38;2;1;2;8m", "\x1b[;;1m"),
    *(
        "\x1b]0;t\x07",
        "\x1b]52;c;QQ==\x1b\\",
        "\x9b2J",
        "\x1bc",
        "\x1b(0",
        "\r",
        "\r\n",
        "\t",
        "\b",
    ),
    *("\u200b", "\u200c", "\u200d", "\ufe0f", "\u0600", "\u0645", "\U0001f469", "\U0001f680"),
    *(
        "\U000e0041",
        "\u115f",
        "\u3164",
        "\xad",
        "1\ufe0f\u20e3",
        "<b>",
        "&lt;",
        '"',
        ",",
        ";",
        "\uff1d",
    ),
)


def seeds() -> list[bytes]:
    """Text of terminals, of many scripts, and of pages."""
    return [word.encode() for word in _WORDS] + ["".join(_WORDS[:60]).encode(), b"\xff\xc3"]


def mutate(data: bytes, random: Random) -> bytes:
    """Text with other characters that act, hide or reorder."""
    if random.random() < 0.1:
        return mutated_bytes(data, random)
    return mutated_text(data.decode(errors="replace"), random, _WORDS).encode()


def check(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    _check_safe(visible(text), "")
    _check_safe(visible_lines(text), "\t\n")
    page = visible_html(text)
    _check_safe(page, "\t\n")
    if set(page) & set("<>\"'"):
        raise Broken(f"a page would have {page!r:.200}")
    document = json.dumps({text: [text]}, ensure_ascii=False)
    for encoding in ("utf-8", "ascii", "latin-1"):
        shown = visible_json(document, encoding)
        _check_safe(shown, "\t\n")
        shown.encode(encoding)
        if json.loads(shown) != json.loads(document):
            raise Broken(f"{shown!r:.200} does not mean the same")
    _check_cells(text)
    _check_log(data)


def _check_cells(text: str) -> None:
    cells = as_csv([[text, text]]), as_tsv([[text, text]])
    _check_safe(cells[0], "\t\n")
    _check_safe(cells[1], "\t\n")
    if len(cells[1].split("\t")) != 2 or cells[1].count("\n") != 1:
        raise Broken(f"{cells[1]!r:.200} is not one line of two cells")
    read = *csv.reader(io.StringIO(cells[0])), *csv.reader(io.StringIO(cells[1]), "excel-tab")
    for cell in (cell for row in read for cell in row):
        if cell.lstrip().startswith(("=", "@", "\uff1d", "\uff20")):
            raise Broken(f"a spreadsheet would calculate {cell!r:.200}")


def _check_log(data: bytes) -> None:
    plain = _fed([data], styles=False)
    _check_safe(plain, "\t\n")
    if _fed(list(_pieces(data)), styles=False) != plain:
        raise Broken("in pieces the text is another one")
    styled = _fed([data], styles=True)
    for parameters in re.findall("\x1b\\[([0-9;]*)m", styled):
        if _conceals(parameters):
            raise Broken(f"the style {parameters!r} hides text")
    _check_safe(re.sub("\x1b\\[[0-9;]*m", "", styled), "\t\n")
    if "\x1b[" in styled and not styled.endswith("\x1b[0m"):
        raise Broken("a style goes on after the text")


def _conceals(parameters: str) -> bool:
    """Whether one of the parameters is 8, and not a colour's number."""
    numbers = [int(part or 0) for part in parameters.split(";")]
    while numbers:
        first = numbers.pop(0)
        if first == 8:
            return True
        if first in (38, 48) and numbers:
            del numbers[: {5: 2, 2: 4}.get(numbers[0], 1)]
    return False


def _pieces(data: bytes) -> Iterator[bytes]:
    """The bytes in pieces of one to four, as they may be read while a log grows."""
    at = 0
    while at < len(data):
        stop = at + 1 + data[at] % 4
        yield data[at:stop]
        at = stop


def _fed(pieces: list[bytes], *, styles: bool) -> str:
    log = LogText(styles=styles)
    return "".join([*map(log.feed, pieces), log.finish()])


def _check_safe(shown: str, allowed: str) -> None:
    for character in shown:
        if character in allowed:
            continue
        category = unicodedata.category(character)
        if category in _CATEGORIES or unicodedata.bidirectional(character) in _BIDI:
            raise Broken(f"{character!r} ({category}) would be shown in {shown!r:.200}")


TARGET: Final = Target(
    "shown",
    check,
    seeds,
    mutate,
    regressions={
        "a formula in quotes, which a spreadsheet takes off a TSV": b'"=1+1"',
        "an emoji whose bytes come in pieces": "1\ufe0f\u20e3 \U0001f469\u200d\U0001f680".encode(),
    },
    max_nbytes=1_000,
    quick=400,
)
