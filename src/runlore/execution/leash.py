"""A small process beside a supervisor that ends the run's processes if the supervisor is killed.

It reads from a pipe whose other end only the supervisor holds. Each line names a run and its
process groups; a pipe that ends without a goodbye means that the supervisor is dead. The leash is
forked while the supervisor has no threads and nothing open. It keeps the pool's slot, if there is
one, until the processes that use it are gone.
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
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.run_folder import RunFolder

_IGNORED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


class Leash:
    """The supervisor's end of the pipe: it names the processes that the leash would end."""

    def __init__(self, close_in_leash: Sequence[int] = ()) -> None:
        read_end, self._write_end = os.pipe()
        if os.fork() == 0:
            try:
                os.close(self._write_end)
                for fd in close_in_leash:
                    os.close(fd)
                _watch(read_end)
            except BaseException as error:
                sys.stderr.write(f"leash: {error!r}\n")
            finally:
                os._exit(0)
        os.close(read_end)

    def find_runs_in(self, workspace: Path) -> None:
        """Say which folder the runs are in, before the first `hold`."""
        self._send(str(workspace))

    def hold(self, run_id: str, groups: Sequence[int], grace_s: float) -> None:
        """From now on, these processes die with the supervisor."""
        self._send([run_id, list(groups), grace_s])

    def let_go(self) -> None:
        """There is nothing to end until the next `hold`."""
        self._send(None)

    def close(self) -> None:
        """Say goodbye: the supervisor ends normally."""
        self.let_go()
        os.close(self._write_end)

    def _send(self, held: object) -> None:
        with suppress(BrokenPipeError):  # The leash was killed; the supervisor goes on without it.
            os.write(self._write_end, json.dumps(held).encode() + b"\n")


def _watch(read_end: int) -> None:
    os.setsid()
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    folder: HeldPath | None = None
    held: tuple[str, list[int], float] | None = None
    unlock: Callable[[], None] = _nothing
    with os.fdopen(read_end, encoding="utf-8") as pipe:
        for line in pipe:
            unlock()
            said = json.loads(line)
            if isinstance(said, str):
                folder, said = hold(said), None
            held = said
            unlock = _locked(folder, held[0]) if held and folder else _nothing
    if held and folder:
        run_id, groups, grace_s = held
        end_processes(RunFolder(folder, run_id), groups, grace_s)


def _locked(workspace: HeldPath, run_id: str) -> Callable[[], None]:
    try:
        fd = RunFolder(workspace, run_id).lock_leash()
    except OSError:
        fd = None
    return _nothing if fd is None else lambda: os.close(fd)


def _nothing() -> None:
    """There is no lock to release."""
