from __future__ import annotations

import html
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain.visible_text import (
    first_reordering,
    visible,
    visible_html,
    visible_json,
    visible_lines,
)

ACTING = [chr(code) for code in [*range(0x20), *range(0x7F, 0xA0)]]
BIDI = [
    chr(code) for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
]
HIDING = [chr(c) for c in (0xAD, 0x200B, 0x2028, 0x2029, 0x2060, 0xFEFF, 0x3164, 0xE0001, 0xE0041)]


@pytest.mark.parametrize("character", [*ACTING, *BIDI, *HIDING, "\ud800", "\udcff"], ids=ascii)
def test_a_harmful_character_is_shown_by_its_number(character: str) -> None:
    shown = visible(f"a{character}b")

    assert shown.isascii() and shown.isprintable()
    assert character not in visible_lines(f"a{character}b") or character in "\n\t"
    assert character not in visible_json(json.dumps(character, ensure_ascii=False))
    assert character not in visible_html(character) or character in "\n\t"
    if not "\ud800" <= character <= "\udfff":
        assert shown == f"a{character}b".encode("unicode_escape").decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "loss 0.5",
        "C:\\new\\table",
        "naïve Größe 温度 درجة",
        "می\u200cخواهم",  # Persian, with a joiner
        "क्\u200dष",  # Hindi
        "👩\u200d🚀 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3",
        "a\xa0b",
    ],
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert visible(text) == visible_lines(text) == text
    assert json.loads(visible_json(json.dumps(text, ensure_ascii=False))) == text


@pytest.mark.parametrize(
    "text",
    ["pass\u200dword", "\u200c", "é\u200d", "\u200dé", "é\u200d\u200cé", "a\ufe0f"],
    ids=ascii,
)
def test_joiners_between_other_characters_are_shown(text: str) -> None:
    assert "\\u" in visible(text)


def test_no_control_format_or_separator_is_missing() -> None:
    """Those that pass have a shape of their own, as Arabic number signs have."""
    passing = {
        unicodedata.name(character, ascii(character))
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(character := chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        if visible(f"é{character}é") == f"é{character}é"
    }

    assert {name for name in passing if not name.startswith("EGYPTIAN HIEROGLYPH")} == {
        "ZERO WIDTH JOINER",
        "ZERO WIDTH NON-JOINER",
        "ARABIC NUMBER SIGN",
        "ARABIC SIGN SANAH",
        "ARABIC FOOTNOTE MARKER",
        "ARABIC SIGN SAFHA",
        "ARABIC SIGN SAMVAT",
        "ARABIC NUMBER MARK ABOVE",
        "ARABIC END OF AYAH",
        "SYRIAC ABBREVIATION MARK",
        "ARABIC POUND MARK ABOVE",
        "ARABIC PIASTRE MARK ABOVE",
        "ARABIC DISPUTED END OF AYAH",
        "KAITHI NUMBER SIGN",
        "KAITHI NUMBER SIGN ABOVE",
    }


@given(st.text())
def test_what_is_shown_once_is_shown_the_same_again(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert visible_lines(visible_lines(text)) == visible_lines(text)
    assert visible(visible_lines(text)) == visible(text)
    assert html.unescape(visible_html(text)) == visible_lines(text)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(st.characters(categories=None)),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["utf-8", "ascii", "latin-1"]),
)
def test_json_means_the_same(data: object, encoding: str) -> None:
    written = visible_json(json.dumps(data, ensure_ascii=False, indent=1), encoding)

    assert json.loads(written) == data
    written.encode(encoding)
    assert visible_lines(written) == written


def test_overrides_and_breaks_of_lines_reorder_and_marks_do_not() -> None:
    reordering = "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

    assert [first_reordering(f"é{character}é") for character in reordering] == list(reordering)
    assert first_reordering("\u200e\u200f\u200d\ufeffaé") is None
