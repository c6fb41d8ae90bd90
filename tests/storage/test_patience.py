"""The patience of a thread's writes: that of the innermost block, whatever ends a block."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from runlore.storage import patience as module
from runlore.storage.patience import OF_A_READ, READ_WAIT_S, Patience, longest_wait_s, patience

USUAL_S = 100.0


class Raised(Exception):
    pass


def raising_at_line(number: int) -> Callable[..., Any]:
    """A trace function that raises at one of the lines of the module, counted from 0."""
    left = number

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line":
            left -= 1
            if left == -1:
                sys.settrace(None)
                raise Raised
        return trace

    return trace


def wait_within(changed: Patience) -> float:
    with patience(changed):
        return longest_wait_s(USUAL_S)


def test_writes_wait_as_long_as_the_innermost_block_says() -> None:
    assert longest_wait_s(USUAL_S) == USUAL_S
    with patience(Patience(5.0)):
        assert wait_within(OF_A_READ) == READ_WAIT_S
        assert longest_wait_s(USUAL_S) == 5.0
    assert longest_wait_s(USUAL_S) == USUAL_S


def test_no_patience_is_left_behind_by_an_exception_at_any_line() -> None:
    before = sys.gettrace()
    raised = 0
    for number in range(100):
        with patience(Patience(5.0)):
            sys.settrace(raising_at_line(number))
            try:
                wait_within(OF_A_READ)
            except Raised:
                raised += 1
            finally:
                sys.settrace(before)
            assert longest_wait_s(USUAL_S) == 5.0, f"after line {number}"
        assert longest_wait_s(USUAL_S) == USUAL_S, f"after line {number}"
        if raised <= number:
            break
    assert raised > 5


def test_a_block_counts_for_what_its_function_calls() -> None:
    def deep(calls: int) -> float:
        return longest_wait_s(USUAL_S) if calls == 0 else deep(calls - 1)

    with patience(OF_A_READ):
        assert deep(50) == READ_WAIT_S


@pytest.mark.parametrize("times", [1, 3])
def test_what_is_left_of_several_blocks_is_dropped_at_once(times: int) -> None:
    def leave_one() -> None:
        patience(OF_A_READ).__enter__()

    for _ in range(times):
        leave_one()
    assert longest_wait_s(USUAL_S) == USUAL_S
