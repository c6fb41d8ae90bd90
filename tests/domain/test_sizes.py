"""Sizes as people write them."""

from __future__ import annotations

import pytest

from runlore.domain.sizes import nbytes_of, shown_size


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("0", 0), ("1000", 1000), (" 5GB ", 5 * 10**9), ("1.5 GiB", 3 * 2**29), ("2k", 2000)],
)
def test_a_size_is_a_number_with_a_unit(text: str, nbytes: int) -> None:
    assert nbytes_of(text) == nbytes


@pytest.mark.parametrize("text", ["", "much", "-1", "1 XB", "1e9", "٣GB", "GB"])
def test_anything_else_is_no_size(text: str) -> None:
    assert nbytes_of(text) is None


@pytest.mark.parametrize("nbytes", [7, 999_000, 250_000_000, 10**9, 5 * 10**12])
def test_a_shown_size_can_be_read_again(nbytes: int) -> None:
    assert nbytes_of(shown_size(nbytes)) == nbytes
