"""A small process beside a supervisor that ends the run's processes if the supervisor is killed.

It reads from a pipe whose other end only the supervisor holds. Each line says which run has which
process groups; the end of the pipe without a goodbye says that the supervisor is dead. It is
forked while the supervisor has no thread and nothing open, and keeps the slot of a pool, if there
is one, until the processes that use it are gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from runlore.execution.processes import end_processes
from runlore.storage.run_folder import RunFolder

_IGNORED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Leash:
    """The supervisor's end: what it says is what the leash would end."""

    def __init__(self, workspace: Path, close_in_leash: Sequence[int]) -> None:
        read_end, self._write_end = os.pipe()
        if os.fork() == 0:
            try:
                os.close(self._write_end)
                for fd in close_in_leash:
                    os.close(fd)
                _watch(workspace, read_end)
            except BaseException as error:
                sys.stderr.write(f"leash: {error!r}\n")
            finally:
                os._exit(0)
        os.close(read_end)

    def hold(self, run_id: str, groups: Sequence[int], grace_s: float) -> None:
        """From now on these processes die with the supervisor."""
        self._say([run_id, list(groups), grace_s])

    def let_go(self) -> None:
        """There is nothing to end any more, until the next `hold`."""
        self._say(None)

    def close(self) -> None:
        """Says goodbye: the supervisor ends as it should."""
        self.let_go()
        os.close(self._write_end)

    def _say(self, what: object) -> None:
        with suppress(BrokenPipeError):  # Somebody killed the leash; the supervisor goes on.
            os.write(self._write_end, json.dumps(what).encode() + b"\n")


def _watch(workspace: Path, read_end: int) -> None:
    os.setsid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    held: tuple[str, list[int], float] | None = None
    unlock: Callable[[], None] = _nothing
    with os.fdopen(read_end, encoding="utf-8") as pipe:
        for line in pipe:
            unlock()
            held = json.loads(line)
            unlock = _locked(workspace, held[0]) if held else _nothing
    if held:
        run_id, groups, grace_s = held
        end_processes(RunFolder(workspace, run_id), groups, grace_s)


def _locked(workspace: Path, run_id: str) -> Callable[[], None]:
    try:
        fd = RunFolder(workspace, run_id).lock_leash()
    except OSError:
        fd = None
    return _nothing if fd is None else lambda: os.close(fd)


def _nothing() -> None:
    """No lock to let go."""
