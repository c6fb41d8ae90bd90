"""The meaning of a script's exits for its run. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from typing import Final

from runlore.domain.run_state import Exit

_HEADING: Final = "Traceback (most recent call last):"
# Python joins the tracebacks of exceptions that led to each other with these two sentences.
_LINKS: Final = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_KIND: Final = re.compile(r"[A-Za-z_][\w.]*(?::|\Z)")
_NOT_COMPILED: Final = re.compile(
    r'^  File ".*", line \d+\n(?:[ \t].*\n)*(?:Syntax|Indentation|Tab)Error: .*\n*\Z', re.MULTILINE
)
_TRACE_MAX_CHARS: Final = 100_000


def exit_of(rank: int, returncode: int) -> Exit:
    """The exit of a process, from `Popen.returncode`.

    >>> exit_of(0, -9)
    Exit(rank=0, exit_code=None, signal='SIGKILL')
    """
    if returncode >= 0:
        return Exit(rank, returncode, None)
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return Exit(rank, None, name)


def is_good(ended: Exit) -> bool:
    """Whether the process reports success."""
    return ended.exit_code == 0


def error_of(ended: Exit, ranks: int, tail: str, *, out_of_memory: bool) -> dict[str, str]:
    """The error document of a run whose process ended so; `tail` is the end of its output.

    An uncaught exception is recognized by the traceback that Python prints.
    """
    process = f"process {ended.rank} of {ranks}" if ranks > 1 else "the script"
    if out_of_memory and ended.signal == "SIGKILL":
        return {
            "code": "OutOfMemory",
            "message": f"the system killed {process} because memory ran out; give it more memory "
            "or let it use less",
        }
    if ended.signal is not None:
        advice = (
            " (not sent by runlore: a kill -9, or the system ran out of memory)"
            if ended.signal == "SIGKILL"
            else " (not sent by runlore)"
        )
        return {
            "code": "ProcessKilled",
            "message": f"{process} was ended by {ended.signal}{advice}",
        }
    trace = last_traceback(tail)
    if trace is None:
        return {
            "code": "UserError",
            "message": f"{process} ended with exit code {ended.exit_code}; see its log",
        }
    kind, text = _kind_and_text(trace)
    return {
        "code": "UserError",
        "message": f"User program failed with {kind}" + (f": {text}" if text else ""),
        "debug_type": kind,
        "debug_message": text,
        "debug_stack_trace": trace[-_TRACE_MAX_CHARS:],
    }


def last_traceback(text: str) -> str | None:
    """The traceback at the end of the text, with those of the exceptions that led to it.

    A script that does not compile has no frames: Python prints the place and a SyntaxError.
    """
    start = text.rfind(_HEADING)
    if start < 0:
        found = _NOT_COMPILED.search(text)
        return found[0].rstrip("\n") if found else None
    while True:
        before = text[:start].rstrip()
        earlier = before.rfind(_HEADING)
        if earlier < 0 or not before.endswith(_LINKS):
            break
        start = earlier
    trace = text[start:].rstrip("\n")
    return trace if _own_lines(trace) else None


def _own_lines(trace: str) -> Sequence[str]:
    """The exception's own lines, after the last frame. Frames are indented."""
    lines = trace[trace.rfind(_HEADING) + len(_HEADING) :].split("\n")[1:]
    after = (number for number, line in enumerate(lines) if line and not line.startswith(" "))
    first = next(after, len(lines))
    return lines[first:] if first < len(lines) and _KIND.match(lines[first]) else ()


def _kind_and_text(trace: str) -> tuple[str, str]:
    own = _own_lines(trace) if _HEADING in trace else trace.split("\n")[-1:]
    kind, _, text = "\n".join(own).partition(": ")
    return kind, text
