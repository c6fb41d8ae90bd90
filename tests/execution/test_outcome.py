"""The meaning of a script's exit: its code, its signal, and the traceback at the end of its log."""

from __future__ import annotations

import pytest

from runlore.domain.run_state import Exit
from runlore.execution.outcome import error_of, exit_of, is_good, last_traceback

TRACE = """Traceback (most recent call last):
  File "train.py", line 3, in <module>
    main()
  File "train.py", line 2, in main
    raise ValueError("no data: at all")
ValueError: no data: at all"""
CAUSE = """Traceback (most recent call last):
  File "train.py", line 1, in <module>
    {}["a"]
KeyError: 'a'"""
DIRECT = "The above exception was the direct cause of the following exception:"
DURING = "During handling of the above exception, another exception occurred:"
NOT_COMPILED = """  File "train.py", line 1
    print(
         ^
SyntaxError: '(' was never closed"""


def error(tail: str, returncode: int = 1, *, ranks: int = 1, oom: bool = False) -> dict[str, str]:
    return error_of(exit_of(0, returncode), ranks, tail, out_of_memory=oom)


def test_only_code_0_is_good() -> None:
    assert is_good(exit_of(0, 0))
    assert not is_good(exit_of(0, 1))
    assert not is_good(exit_of(0, -15))


def test_signals_have_names_and_unknown_ones_numbers() -> None:
    assert exit_of(2, -15) == Exit(2, None, "SIGTERM")
    assert exit_of(0, -250) == Exit(0, None, "signal 250")


def test_an_exception_is_found_with_its_type_text_and_trace() -> None:
    found = error(f"epoch 1\n{TRACE}\n")

    assert found == {
        "code": "UserError",
        "message": "User program failed with ValueError: no data: at all",
        "debug_type": "ValueError",
        "debug_message": "no data: at all",
        "debug_stack_trace": TRACE,
    }


@pytest.mark.parametrize("link", [DIRECT, DURING])
def test_exceptions_that_led_to_it_belong_to_the_trace(link: str) -> None:
    both = f"{CAUSE}\n\n{link}\n\n{TRACE}"

    assert last_traceback(f"before\n{both}\n") == both
    assert error(both)["debug_type"] == "ValueError"


def test_an_earlier_traceback_without_a_link_does_not_belong_to_it() -> None:
    assert last_traceback(f"{CAUSE}\nand went on\n{TRACE}\n") == TRACE


def test_the_lines_of_a_text_of_several_lines_are_all_kept() -> None:
    found = error(f"{TRACE}\nsecond line\n")

    assert found["debug_message"] == "no data: at all\nsecond line"


def test_an_exception_without_a_text() -> None:
    found = error(TRACE.replace(": no data: at all", ""))

    assert found["message"] == "User program failed with ValueError"
    assert found["debug_message"] == ""


def test_a_script_that_does_not_compile_has_no_frames() -> None:
    found = error(f"starting\n{NOT_COMPILED}\n")

    assert found["debug_type"] == "SyntaxError"
    assert found["debug_stack_trace"] == NOT_COMPILED


@pytest.mark.parametrize(
    "tail", ["", "done\n", "Traceback (most recent call last):\n", f"{TRACE[:60]}"]
)
def test_without_a_whole_traceback_only_the_code_is_told(tail: str) -> None:
    assert error(tail, 7) == {
        "code": "UserError",
        "message": "the script ended with exit code 7; see its log",
    }


def test_a_signal_is_told_with_whose_it_was() -> None:
    assert error(TRACE, -15)["message"] == "the script was ended by SIGTERM (not sent by runlore)"
    assert "a kill -9, or the system ran out of memory" in error("", -9)["message"]
    assert error("", -9, oom=True)["code"] == "OutOfMemory"
    assert error("", -15, oom=True)["code"] == "ProcessKilled"
    assert error("", 1, ranks=4)["message"].startswith("process 0 of 4 ended")
