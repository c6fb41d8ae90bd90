"""How the program ends: by itself, by an exception, by `sys.exit`, by Ctrl-C.

Nothing of it is known when exit handlers are called, but for traces. The interpreter keeps the
exception that it prints, in `sys.last_value`, and the frame of the program says at which
instruction it ended: at a return, or in the middle, by an exception. SystemExit is not kept, so
`sys.exit`, `exit` and `quit` are wrapped to note its code.
"""

from __future__ import annotations

import ast
import builtins
import functools
import linecache
import opcode
import os
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

from runlore.domain.run_errors import error_document
from runlore.domain.status import Status


class Ending(NamedTuple):
    """The status with which a process leaves its runs, and why."""

    status: Status
    error: Mapping[str, str] | None = None


COMPLETED: Final = Ending(Status.COMPLETED)


class _Exit(NamedTuple):
    """A call of `sys.exit` in the main thread: its code, and where it was called."""

    code: object
    stack: str


class _Program:
    """What is known of the program that the main thread executes."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.outermost = _outermost_frame()
        self.exit: _Exit | None = None


_program: _Program | None = None
_wrapped: Final[list[object]] = []


def watch_program() -> None:
    """Note from now on what tells at exit how the program ended. Idempotent."""
    global _program
    if _program is None or _program.pid != os.getpid():
        if not _wrapped:
            sys.exit = _noting(sys.exit)
            _note_quitters()
            _wrapped.append(sys.exit)
        _program = _Program()


def forget_program() -> None:
    """Let go of the program's frame, which keeps its globals from being finalized."""
    global _program
    _program = None


def how_it_ends() -> Ending:
    """How the program ended, or is about to; for exit handlers.

    In a notebook or a shell the user's errors end nothing: their end is a good one.
    """
    if is_interactive():
        return COMPLETED
    raised = sys.exc_info()[1]  # multiprocessing calls its finalizers while an exception is raised.
    if raised is not None:
        return of_exception(raised)
    program = _program
    if program is None or program.outermost in (None, _outermost_frame()):
        return COMPLETED  # It goes on: a child of multiprocessing did its work.
    assert program.outermost is not None, "it is in the line above"
    if _has_returned(program.outermost):
        return COMPLETED
    error = getattr(sys, "last_value", None)
    trace = getattr(error, "__traceback__", None)
    if error is not None and trace is not None and trace.tb_frame is program.outermost:
        return of_exception(error)
    return _of_exit(program.exit or _unseen(program.outermost))


def of_exception(error: BaseException) -> Ending:
    """The ending of a program, or a `with` block, that an exception leaves."""
    if isinstance(error, KeyboardInterrupt):
        return canceled("interrupted")
    if isinstance(error, SystemExit) and _is_well(error.code):
        return COMPLETED
    return Ending(Status.FAILED, error_document(error, None))


def canceled(why: str) -> Ending:
    """The ending of a program that was stopped from outside."""
    return Ending(Status.CANCELED, {"code": "Canceled", "message": why})


def is_interactive() -> bool:
    """Whether people type the program line by line: a shell, a notebook, `python -i`."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive)


def _is_well(code: object) -> bool:
    return code is None or (isinstance(code, int) and code == 0)


def _of_exit(seen: _Exit) -> Ending:
    if _is_well(seen.code):
        return COMPLETED
    document = error_document(SystemExit(seen.code), None)
    return Ending(Status.FAILED, {**document, "debug_stack_trace": seen.stack})


def _noting(leave: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(leave)
    def noted(*args: Any, **options: Any) -> Any:
        try:
            return leave(*args, **options)
        except SystemExit as error:
            _note(error.code)
            raise

    return noted


def _note(code: object) -> None:
    if _program is None or threading.current_thread() is not threading.main_thread():
        return  # In another thread it ends that thread only.
    stack = ""
    if not _is_well(code):
        import traceback  # Imported here: it is slow to load, and most programs exit well.

        stack = "".join(traceback.format_stack(sys._getframe(2)))
        stack = f"Traceback (most recent call last):\n{stack}SystemExit: {code}\n"
    _program.exit = _Exit(code, stack)


def _note_quitters() -> None:
    """Note `exit(1)` and `quit(1)`, which the module `site` brings: they call no `sys.exit`."""
    kind: Any = type(getattr(builtins, "exit", None))
    if kind.__name__ == "Quitter":
        kind.__call__ = _noting(kind.__call__)


def _outermost_frame() -> FrameType | None:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _has_returned(frame: FrameType) -> bool:
    """Whether a frame that has ended, or goes on, ended by a return."""
    code = frame.f_code.co_code
    return frame.f_lasti < 0 or opcode.opname[code[frame.f_lasti]].startswith("RETURN_")


def _unseen(frame: FrameType) -> _Exit:
    """A SystemExit that was raised as an exception: its code is gone.

    In the program's last line it is often the result of `main()`, which is good more often than
    not; a number or a text is read from the line. Deep in a program it says that something is
    wrong.
    """
    name = opcode.opname[frame.f_code.co_code[frame.f_lasti]]
    if not name.startswith("RAISE"):
        return _Exit("SystemExit was raised in a function; its code is not known", "")
    return _Exit(_literal_code(frame.f_code.co_filename, frame.f_lineno), "")


def _source_of(path: str) -> str:
    """The source of a program's file, or of `python -c`."""
    lines = "".join(linecache.getlines(path))
    if not lines and path == "<string>" and "-c" in sys.orig_argv[:-1]:
        return sys.orig_argv[sys.orig_argv.index("-c") + 1]
    return lines


def _literal_code(path: str, line: int) -> object:
    """The code in `raise SystemExit(code)` on a line of a file, if it is a literal, else None."""
    try:
        for node in ast.walk(ast.parse(_source_of(path))):
            if isinstance(node, ast.Raise) and node.lineno <= line <= (node.end_lineno or 0):
                call = node.exc
                return ast.literal_eval(call.args[0]) if isinstance(call, ast.Call) else None
    except (SyntaxError, ValueError, IndexError, RecursionError):
        pass
    return None
