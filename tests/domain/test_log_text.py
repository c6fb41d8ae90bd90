from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain.log_text import LogText

RED = b"\x1b[31m"
RESET = "\x1b[0m"


def shown(*pieces: bytes, styles: bool = True) -> str:
    log = LogText(styles=styles)
    return "".join([*map(log.feed, pieces), log.finish()])


@pytest.mark.parametrize(
    "style", ["", "0", "1", "01", "22", "31", "1;31", "97", "107", "38;5;208", "4;48;2;1;22;255"]
)
def test_colours_reach_a_terminal_and_nothing_else(style: str) -> None:
    log = f"\x1b[{style}mtext\n".encode()

    assert shown(log) == f"\x1b[{style}mtext\n{RESET}"
    assert shown(log, styles=False) == "text\n"


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
        (b"\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
        (b"\x1b[8mhidden", r"\x1b[8mhidden"),
        (b"\x1b[1;8;31mhidden", r"\x1b[1;8;31mhidden"),
        (b"\x1b[38;5mx", r"\x1b[38;5mx"),
        (b"\x1b[?25l", r"\x1b[?25l"),
        (b"\x9b31m\xff", r"\x9b31m\xff"),
        ("\x9b31m\u202e".encode(), r"\x9b31m\u202e"),
        (b"a\x00\x08b\tc\n", "a\\x00\\x08b\tc\n"),
    ],
)
def test_everything_else_is_shown_by_its_number(log: bytes, text: str) -> None:
    assert shown(log) == shown(log, styles=False) == text


def test_a_carriage_return_begins_a_line_so_that_nothing_is_overwritten() -> None:
    assert shown(b"10%\r20%\r\nrm -rf /\rls\r") == "10%\n20%\nrm -rf /\nls\n"


@given(
    st.lists(
        st.sampled_from(
            [
                RED,
                b"\x1b[",
                b"\x1b",
                b"0m",
                b"31;",
                b"31;" * 20,
                b"\r",
                b"\n",
                "é".encode(),
                b"\xff",
            ]
        )
        | st.binary(max_size=3)
    ),
    st.booleans(),
)
def test_pieces_of_any_size_give_the_same_text(pieces: list[bytes], styles: bool) -> None:
    log = b"".join(pieces)
    bytewise = [log[at : at + 1] for at in range(len(log))]

    assert (
        shown(*pieces, styles=styles)
        == shown(*bytewise, styles=styles)
        == shown(log, styles=styles)
    )
