"""The limits of keys, values and labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain.errors import InvalidInput, UserError
from runlore.domain.text import (
    KEY_MAX_CHARS,
    VALUE_MAX_BYTES,
    check_key,
    check_keys,
    check_new_key,
    check_new_pairs,
    check_pairs,
    check_text,
)
from tests.strategies import keys, pairs, texts


@given(keys)
def test_good_keys_come_back_as_they_are(key: str) -> None:
    assert check_key(key, "tag key") == key


@given(texts)
def test_good_texts_come_back_as_they_are(text: str) -> None:
    assert check_text(text, "value") == text


@given(pairs)
def test_pairs_come_back_as_a_plain_dict_in_their_order(mapping: dict[str, str | None]) -> None:
    checked = check_pairs(mapping, "tag")
    assert list(checked.items()) == list(mapping.items())
    assert checked is not mapping


@given(st.text())
def test_whatever_is_accepted_can_be_written_as_utf_8(text: str) -> None:
    try:
        check_key(text, "key")
        check_text(text, "value")
    except UserError:
        return
    assert text.encode().decode() == text


def test_limits_are_inclusive() -> None:
    assert check_key("k" * KEY_MAX_CHARS, "key")
    assert check_text("x" * VALUE_MAX_BYTES, "value")
    assert check_text("\N{PILE OF POO}" * (VALUE_MAX_BYTES // 4), "value")
    assert check_text("", "value") == ""


@pytest.mark.parametrize("code", [*range(32), *range(127, 160)])
def test_keys_have_no_control_characters(code: int) -> None:
    with pytest.raises(InvalidInput, match="control characters"):
        check_key(f"a{chr(code)}b", "tag key")


def test_unusual_but_printable_keys_are_valid() -> None:
    for key in ("a b", " ", "\xa0", "\u200b", "\u202e", "𝛼", "e\u0301", "'\"`;--"):
        assert check_key(key, "tag key") == key


def test_keys_to_remove_are_listed_once_each_in_order() -> None:
    assert check_keys(iter(["b", "a", "b"]), "tag") == ["b", "a"]
    assert check_keys({"k": "a dict gives its keys"}, "tag") == ["k"]


def test_messages_about_huge_input_are_short() -> None:
    huge = "x" * 1_000_000 + "\udc80"
    for check in (check_key, check_text):
        with pytest.raises(InvalidInput) as caught:
            check(huge, "thing")
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("character", list("\u2028\u2029\u202a\u202e\u2066\u2069"), ids=ascii)
def test_a_new_key_does_not_break_or_reverse_a_line_but_an_old_one_may(character: str) -> None:
    key = f"exe.{character}gnp"

    assert check_key(key, "tag key") == key
    assert check_pairs({key: None}, "tag") == {key: None}
    with pytest.raises(InvalidInput, match=rf"U\+{ord(character):04X}"):
        check_new_key(key, "tag key")
    with pytest.raises(InvalidInput, match=rf"U\+{ord(character):04X}"):
        check_new_pairs({key: None}, "tag")


@pytest.mark.parametrize("key", ["loss", "ключ", "درجة", "\u200eab", "👩\u200d🚀", "\ufeffcolumn"])
def test_other_characters_of_any_script_are_accepted_in_new_keys(key: str) -> None:
    assert check_new_key(key, "tag key") == key
