"""Which process has its turn to write, as it says itself in the file of the writers' queue.

The kernel's lock decides whose turn it is; what the file says is for people. Anyone who may write
to the workspace may write there, so it is believed in nothing else: a process of this host is
looked up before it is called stopped, and all text is shown as text.

It is one line of JSON: a format, the process (see `ProcessIdentity`), `start`, by which a process
id that was given again is told apart, and `since` in µs since 1970 UTC. The line is empty between
turns. Readers ignore other keys.
"""

from __future__ import annotations

import json
import os
import pwd
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, NamedTuple

from runlore.domain.fact import utc_time
from runlore.domain.visible_text import visible
from runlore.storage.this_process import (
    ProcessIdentity,
    boot_id,
    has_open,
    kernel_state,
    this_process,
)

_NBYTES_MAX: Final = 4_000
_FORMAT: Final = 1
_UNKNOWN: Final = ""
_GONE: Final = "X"
_STOPPED: Final = ("T", "t")
_ENDED: Final = (_UNKNOWN, _GONE, "x", "Z")
_LONG_S: Final = 1.0
"""A turn takes some milliseconds, on a slow disk tenths of a second."""


class TurnHolder(NamedTuple):
    """A process that says that it has its turn, and since when (µs since 1970 UTC).

    `file` is the queue's, which it then has open.
    """

    process: ProcessIdentity
    start: int
    since: int
    file: os.stat_result

    @property
    def is_stuck(self) -> bool:
        """Whether it is a process of this host that will hardly go on soon."""
        state = self._state
        has_long = time.time() - self.since / 1e6 > _LONG_S
        return state in _STOPPED or (state not in _ENDED and has_long)

    def __str__(self) -> str:
        """Who it is, since when, and what to do."""
        host, _, pid, _, uid, program = self.process
        since = f"{utc_time(self.since):%Y-%m-%d %H:%M:%S} UTC"
        who = f"{program:.80} (pid {pid}, user {_user(uid)}) on {host:.80}"
        return visible(f"{who} has it since {since}; {self._advice()}")

    def _advice(self) -> str:
        pid, state = self.process.pid, self._state
        if state == _UNKNOWN:
            return "look there whether that process goes on"
        is_ours = has_open(pid, self.file)
        if state in _ENDED or is_ours is False:
            return "that process has let go of it or ended, and one that it forked may have it"
        if is_ours is None:
            what = "is stopped" if state in _STOPPED else "may hang"
            return f"that process {what}: ask its user to let it go on, or to end it"
        if pid == os.getpid():
            return "another thread of this very process has it"
        if state in _STOPPED:
            return (
                f"that process is stopped: let it go on with `kill -CONT {pid}`, or end it with "
                f"`kill -KILL {pid}`, which loses no logged value"
            )
        return f"if that process hangs, `kill -KILL {pid}` ends it and loses no logged value"

    @property
    def _state(self) -> str:
        """The kernel's letter for its state, also if it has ended; `_UNKNOWN` elsewhere."""
        if not self.process.boot_id or self.process.boot_id != boot_id():
            return _UNKNOWN
        letter, start = kernel_state(self.process.pid)
        return letter if start and start == self.start else _GONE


def line(since: int) -> bytes:
    """What this process writes when its turn begins, at this time (µs since 1970 UTC)."""
    return b'%s"since": %d}\n' % (_about_us(os.getpid()), since)


BETWEEN_TURNS: Final = b"\n"


def holder_in(fd: int) -> TurnHolder | None:
    """The process that the open file of the queue names; None if it names none."""
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        found: dict[str, Any] = json.loads(os.pread(fd, _NBYTES_MAX, 0).partition(b"\n")[0])
        process = ProcessIdentity(*(found[name] for name in ProcessIdentity._fields))
        holder = TurnHolder(process, found["start"], found["since"], os.fstat(fd))
        utc_time(holder.since)
        numbers = (process.pid, process.started_at, process.uid, holder.start, holder.since)
        texts = (process.host, process.boot_id, process.program)
        if {*map(type, numbers)} == {int} and {*map(type, texts)} == {str}:
            return holder
    return None


@lru_cache(maxsize=1)  # A forked child is another process.
def _about_us(pid: int) -> bytes:
    fields = {"format": _FORMAT, **this_process()._asdict(), "start": kernel_state(pid).start}
    return json.dumps(fields)[:-1].encode() + b", "


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)
