"""Addresses that views hold lead to pages of this Studio, and nowhere else."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain.errors import InvalidInput
from runlore.studio.addresses import address_in, page_address, with_view


@pytest.mark.parametrize(
    ("given_", "held"),
    [
        ("/", "/"),
        ("/runs", "/runs"),
        ("/e/vision?f=status+%3D+Failed", "/e/vision?f=status+%3D+Failed"),
        ("/e/a/b%2Fc", "/e/a/b%2Fc"),
        ("/run/r1/logs", "/run/r1/logs"),
        ("/runs?q=a%20b&q=&v=old&token=secret", "/runs?q=a+b&q="),
        ("/sql?sql=SELECT+1", "/sql?sql=SELECT+1"),
    ],
)
def test_an_address_of_a_page_is_held(given_: str, held: str) -> None:
    assert page_address(given_) == held
    assert address_in({"url": held}) == held


ELSEWHERE = [
    "", "runs", "//evil.example/runs", "/\\evil.example", "\\\\evil.example", "/runs\r\nX: 1",
    "https://evil.example/", "javascript:alert(1)", "/runs#x", "/api/runs", "/static/x", "/v/loop",
    "/e//evil.example", "/e/../api/runs", "/e/./x", "/run", "/runs/x", "/e", " /runs", "/runs\x00",
    "/e/a b", "/runs?" + "a" * 16_000, "/.%2e/api",
]  # fmt: skip


@pytest.mark.parametrize("text", ELSEWHERE, ids=range(len(ELSEWHERE)))
def test_all_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not the address of a page"):
        page_address(text)
    assert address_in({"url": text}) is None


@given(st.text(alphabet=st.sampled_from("/\\:?#@.%ervunsapi \t\r\nѐ"), max_size=12))
def test_what_is_held_is_no_other_hosts(text: str) -> None:
    held = address_in({"url": text})
    if held is not None:
        parts = urlsplit(held)
        assert (parts.scheme, parts.netloc) == ("", "")
        assert held.startswith("/")
        assert not held.startswith(("//", "/\\", "/api", "/static", "/v/"))


@pytest.mark.parametrize("definition", [{}, {"url": 3}, {"url": None}, {"where": "a = 1"}])
def test_a_view_of_something_else_leads_nowhere(definition: dict[str, object]) -> None:
    assert address_in(definition) is None


def test_the_name_of_the_view_is_told_to_the_page() -> None:
    assert with_view("/runs", "a&b=c") == "/runs?v=a%26b%3Dc"
    assert with_view("/runs?q=x", "ü") == "/runs?q=x&v=%C3%BC"
