"""A process whose calls are interrupted at their lines, as by a signal handler or a finalizer.

    python -m tests.engine.interrupted FOLDER EVERY CALL ...

A trace function calls each handler at every EVERY-th line of runlore that a call executes, while
another thread writes. A process that hangs prints where, and ends. It prints what went wrong, and
how many calls were interrupted.
"""

from __future__ import annotations

import faulthandler
import linecache
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

import runlore
from runlore import Experiment, Run, Workspace
from runlore.domain.errors import RunEnded
from runlore.storage import interruptions
from runlore.storage.interruptions import Interrupting

LIMIT_S: Final = 60
ROOT: Final = Path(runlore.__file__).resolve().parents[2]
PACKAGES: Final = tuple(f"{ROOT / name}/" for name in ("src", "storage", "projections", "domain"))


def log_all(run: Run) -> None:
    """Values by the fast and the slow path, of new and of known metrics."""
    run.log("loss", 1.5)
    run.log("new", 2.5)
    run.log("text", "x" * 50)
    run.log_metrics({"a": 1.0, "b": 2.0})
    run.log_row("row", x=1.0, y="z")


CALLS: Final[dict[str, Callable[[Run], object]]] = {
    "tag": lambda run: run.tag("of the call", "1"),
    "log": log_all,
    "flush": lambda run: run.flush(),
    "complete": lambda run: run.complete(),
    "get_metrics": lambda run: run.get_metrics(),
}
HANDLERS: Final[dict[str, Callable[[Run], object]]] = {
    "fail": lambda run: run.fail("preempted"),
    "complete": lambda run: run.complete(),
    "tag": lambda run: run.tag("of the handler", "1"),
    "flush": lambda run: run.flush(),
    "get_metrics": lambda run: run.get_metrics(),
    "sql": lambda run: run.experiment.workspace.sql("SELECT count(*) FROM runs").fetchall(),
    "log": lambda run: run.log_metrics({"of the handler": 1.0, "loss": 7.0}),
}
EXITS: Final = " and exit"
HANDLERS.update({name + EXITS: HANDLERS[name] for name in ("fail", "complete", "tag", "log")})
LOGGED_BEFORE: Final[dict[str, list[Any]]] = {"loss": [0.25]}
LOGGED_BY_CALL: Final[dict[str, list[Any]]] = {
    "loss": [1.5],
    "new": [2.5],
    "text": ["x" * 50],
    "a": [1.0],
    "b": [2.0],
    "row": [(1.0, "z")],
}


class Exit(BaseException):
    """What a handler raises to end the process."""


class Interrupter:
    """Calls a function at one line of runlore's code in this thread, counted from 0.

    If it `raises`, not at a `try` or a bare `return`, and not where a lock is let go: Python runs
    trace functions there, but no handlers of signals.
    """

    def __init__(self, place: int, function: Callable[[], object], *, raises: bool = False) -> None:
        self.lines = 0
        self.at = ""
        self._place = place
        self._function = function
        self._raises = raises
        self._begun: dict[FrameType, set[int]] = {}

    def __enter__(self) -> Interrupter:
        sys.settrace(self._call)
        return self

    def __exit__(self, *raised: object) -> None:
        sys.settrace(None)
        self._begun.clear()

    def _call(self, frame: FrameType, event: str, arg: object) -> Any:
        file = frame.f_code.co_filename
        if not file.startswith(PACKAGES):
            return None
        begun = self._begun.setdefault(frame, set())  # A generator is called again.

        def trace(frame: FrameType, event: str, arg: object) -> Any:
            if event != "line":
                return trace
            text = linecache.getline(file, frame.f_lineno).strip()
            lets_go = frame.f_lineno in begun or text.endswith(".release()")
            if self._raises and (lets_go or text.startswith("try:") or text == "return"):
                return trace
            if text.startswith("with "):
                begun.add(frame.f_lineno)
            if self.lines == self._place:
                self.at = f"{file}:{frame.f_lineno}"
                sys.settrace(None)
                self._function()
            self.lines += 1
            return trace

        return trace


class Case:
    """One call that is interrupted at one line, and what must hold afterwards."""

    def __init__(self, exp: Experiment, call: str, handler: str) -> None:
        self.call, self.handler = call, handler
        self.at = ""
        self.exited = False
        self.run = exp.start_logging(outputs=False, snapshot_directory=None)
        self.run.log("loss", 0.25)
        self.refused: list[str] = []

    def handle(self) -> None:
        time.sleep(0.0002)  # The other thread comes to where it waits for what this one holds.
        try:
            HANDLERS[self.handler](self.run)
        except Interrupting as error:
            assert self.handler in ("get_metrics", "sql"), f"{self.handler} is refused: {error}"
        except RunEnded as error:
            self.refused.append(str(error))
        if self.handler.endswith(EXITS):
            raise Exit

    def interrupted(self, place: int) -> Interrupter:
        ended: list[BaseException] = []
        raises = self.handler.endswith(EXITS)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with Interrupter(place, self.handle, raises=raises) as interrupter:
                try:
                    CALLS[self.call](self.run)
                except RunEnded as error:
                    ended.append(error)
                except Exit:
                    self.exited = True
            self.at = interrupter.at
            if self.at:
                interruptions.check()
        texts = [str(warning.message) for warning in told]
        self.refused += [text for text in texts if "has ended" in text]
        assert all("has ended" in text for text in texts), texts
        if self.at:
            self.check(bool(ended))
        return interrupter

    def check(self, ended: bool) -> None:
        """What the handler and the call did is there once; of a call that was ended, at most."""
        run, handler, exited = self.run, self.handler.removesuffix(EXITS), self.exited
        status = run.get_status()
        if self.call == "complete" and handler == "fail":
            assert exited or ended == (status == "Failed"), (ended, status)
            assert bool(self.refused) == (status == "Completed"), (self.refused, status)
        else:
            assert not ended and not self.refused, (ended, self.refused)
            expected = {"fail": "Failed", "complete": "Completed"}.get(handler, "Running")
            allowed = {expected} if exited or self.call != "complete" else set()
            allowed |= {"Completed"} if self.call == "complete" else set()
            assert status in allowed, status
        by_call = {"of the call"} if self.call == "tag" else set()
        by_handler = {"of the handler"} if handler == "tag" else set()
        changes = [str(change.key) for change in run.history() if change.what == "tag_set"]
        assert len(changes) == len(set(changes)), changes
        assert set(run.get_tags()) == set(changes)
        assert by_handler <= set(changes) <= by_call | by_handler, changes
        assert exited or by_call <= set(changes), changes
        found = values_of(run)
        logged = {name: list(values) for name, values in LOGGED_BEFORE.items()}
        if handler == "log":
            logged["of the handler"] = [1.0]
            logged["loss"].append(7.0)
        if self.call == "log":
            for name, values in LOGGED_BY_CALL.items():
                if not exited or values[0] in found.get(name, ()):
                    logged.setdefault(name, []).extend(values)
        assert {name: sorted(values) for name, values in found.items()} == {
            name: sorted(values) for name, values in logged.items()
        }, (found, logged)
        steps, _, _ = run.values("loss")
        assert len(set(steps.tolist())) == len(steps), steps
        run.tag("goes on", "1")


def values_of(run: Run) -> dict[str, list[Any]]:
    """The values of a run's metrics, as lists; rows as tuples."""
    found = {}
    for name, value in run.get_metrics().items():
        if isinstance(value, dict):
            value = [tuple(value.values())]
        found[name] = value if isinstance(value, list) else [value]
    return found


def write_on(exp: Experiment, stop: threading.Event) -> None:
    """Hold locks, and wait for others, in the ways in which any thread may."""
    run = exp.start_logging(outputs=False, snapshot_directory=None)
    while not stop.is_set():
        run.log("loss", 0.5)
        run.flush()
        run.get_status()


def main(folder: str, every: int, calls: Sequence[str]) -> int:
    workspace = Workspace.create("lab", path=folder)
    exp = Experiment(workspace, "e")
    for handle in HANDLERS.values():
        handle(exp.start_logging(outputs=False, snapshot_directory=None))  # Imports what it needs.
    stop = threading.Event()
    other = threading.Thread(target=write_on, args=(exp, stop), daemon=True)
    other.start()
    wrong = interrupted = 0
    for call in calls:
        lines = max(Case(exp, call, "flush").interrupted(-1).lines for _ in range(2))
        for handler in HANDLERS:
            faulthandler.cancel_dump_traceback_later()
            workspace.sql("SELECT count(*) FROM runs")  # To read all that has come takes its time.
            for place in range(random.randrange(min(every, lines)), lines, every):
                faulthandler.dump_traceback_later(LIMIT_S, exit=True)
                case = Case(exp, call, handler)
                try:
                    case.interrupted(place)
                except Exception as error:
                    wrong += 1
                    print(f"{handler} within {call} at {case.at}: {error!r:.600}", flush=True)
                interrupted += bool(case.at)
                if interruptions.interrupts():
                    print(f"{handler} within {call} at {case.at} left a lock")
                    return 1
    stop.set()
    other.join()
    faulthandler.dump_traceback_later(LIMIT_S, exit=True)
    verified = workspace.audit.verify()
    if not verified.holds:
        wrong += 1
        print(verified)
    workspace.close()
    print(f"{interrupted} interrupted")
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:] or list(CALLS)), 100))
