from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.shown.tables import COLUMNS_MAX, ROWS_MAX, shown_table
from tests.hostile.hostile_log import HOSTILE
from tests.shown.pages import checked, rows, texts


def test_numbers_are_short_and_have_their_exact_value_to_sort_and_to_look_at() -> None:
    shown = shown_table(["loss"], [(0.123456789,), (None,), (float("nan"),)], total=3)

    assert rows(shown) == [["loss"], ["0.1235"], [""], ["NaN"]]
    assert 'data-v="0.123456789" title="0.123456789"' in shown
    assert shown.count('data-v=""') == 2  # What has no number comes last.


@pytest.mark.parametrize(
    "value, text",
    [
        (datetime(2026, 3, 3, 12, 0, 1, 5, UTC), "2026-03-03 12:00:01Z"),
        (date(2026, 3, 3), "2026-03-03"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        ([1, "é"], '[1, "é"]'),
        (True, "True"),
        (10**400, "about 2^1328"),
        (-(10**400), "a large negative number"),
        (b"bytes", "b'bytes'"),
    ],
    ids=str,
)
def test_cells_are_texts_of_any_value(value: Any, text: str) -> None:
    [_, [cell]] = rows(shown_table(["x"], [(value,)], total=1))

    assert cell.replace("&quot;", '"').replace("&#x27;", "'") == text


def test_a_status_has_a_sign_beside_its_word() -> None:
    shown = shown_table(["status", "other"], [("Failed", "Failed")], total=1)

    assert rows(shown)[1] == ["✕ Failed", "Failed"]


def test_long_tables_say_what_they_leave_out() -> None:
    wide = [[0] * (COLUMNS_MAX + 2)] * (ROWS_MAX + 5)

    shown = shown_table([f"c{n}" for n in range(COLUMNS_MAX + 2)], wide, total=1_234, caption="x")

    assert f"x, first {ROWS_MAX} of 1,234 rows, first {COLUMNS_MAX} of 32 columns" in texts(shown)
    assert len(rows(shown)) == 1 + ROWS_MAX
    assert {len(row) for row in rows(shown)} == {COLUMNS_MAX}


def test_a_long_text_is_cut_and_says_so() -> None:
    [_, [cell]] = rows(shown_table(["x"], [("y" * 1_000,)], total=1))

    assert cell == "y" * 200 + " … (800 characters more)"


def test_hostile_texts_are_inert_wherever_they_stand() -> None:
    values = (HOSTILE, {HOSTILE: HOSTILE}, [HOSTILE])
    shown = shown_table([HOSTILE] * 3, [values], total=1, caption=HOSTILE)

    assert "alert" not in "".join(
        text for text in checked(shown).texts if "rl-sort" in text or ".runlore" in text
    )
    assert "&lt;/script&gt;&lt;script&gt;" in shown


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_any_text_comes_back_from_the_page_as_it_was_or_escaped(heads: list[str]) -> None:
    checked(shown_table(heads, [heads], total=1, caption=json.dumps(heads)))
