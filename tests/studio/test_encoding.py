"""Answers as JSON that scripts can read, and that ends no script."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.studio.encoding import WHOLE_MAX, json_text


@given(st.lists(st.floats() | st.none()))
def test_finite_numbers_stay_to_the_last_bit_and_others_are_null(
    values: list[float | None],
) -> None:
    expected = [None if one is None or not math.isfinite(one) else one for one in values]

    assert json.loads(json_text(values)) == expected
    as_array = np.array([math.nan if one is None else one for one in values])
    assert json.loads(json_text(as_array)) == expected


@pytest.mark.parametrize("value", [0, WHOLE_MAX, -WHOLE_MAX])
def test_whole_numbers_that_scripts_hold_are_numbers(value: int) -> None:
    assert json.loads(json_text([value, np.array([value, 1])])) == [value, [value, 1]]


@pytest.mark.parametrize("value", [WHOLE_MAX + 1, -WHOLE_MAX - 1, 2**63 - 1, -(2**63)])
def test_greater_ones_are_texts(value: int) -> None:
    assert json.loads(json_text([value, np.array([value, 1])])) == [str(value), [str(value), 1]]


@pytest.mark.parametrize("text", ["</script>", "\u2028\u2029", "a\ud800b", "ü日\0\x1b", '"\\'])
def test_a_text_ends_no_script(text: str) -> None:
    written = json_text({text: text})

    assert not set("<\u2028\u2029") & set(written)
    kept = text.encode("utf-8", "replace").decode()
    assert json.loads(written) == {kept: kept}


def test_times_flags_and_others_are_what_people_read() -> None:
    found = json.loads(
        json_text([datetime(2026, 1, 2, tzinfo=UTC), True, np.bool_(False), {1: ()}])
    )

    assert found == ["2026-01-02T00:00:00+00:00", True, False, {"1": []}]
