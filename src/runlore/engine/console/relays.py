"""Copies of what is printed into a pipe, by subprocesses and C libraries as well.

While a console is open, the standard outputs that are pipes lead into a pipe of ours, and a process
of its own moves what comes there on to the program's pipe (`relay_process.py`). It is no thread of
this process: subprocesses print on when this one is killed. Both ends of our pipe stay open here,
so nobody who prints ends because a relay was killed, and another one takes over where that stopped.

A terminal is left alone: it could only be replaced by another one, whose settings and size are not
those of the user's (docs/capture.md).
"""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import signal
import stat
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from runlore.engine.console.streams import Name, Take
from runlore.storage import fork_guard, interruptions

_SCRIPT: Final = str(Path(__file__).with_name("relay_process.py"))
_NUMBERS: Final[dict[Name, int]] = {"stdout": 1, "stderr": 2}
_COPIES_NBYTES: Final = 1 << 20
_START_S: Final = 5.0
_REST_MS: Final = 20
"""How long copies gather, so that not each printed line wakes the thread."""
_LOOK_MS: Final = 1_000
_SETTLE_MAX_S: Final = 2.0
_QUIET_S: Final = 0.06


class NoRelay(OSError):
    """A relay cannot be started here."""


class Relay:
    """What passes one pipe, which one or both of the standard outputs go to. Raises NoRelay."""

    fork_order = fork_guard.ForkOrder.CAPTURE

    def __init__(self, names: tuple[Name, ...], hand_out: Take) -> None:
        self.names = names
        self._hand_out = hand_out
        self._decode: Callable[..., str] = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._outer = _End(fcntl.fcntl(_NUMBERS[names[0]], fcntl.F_DUPFD_CLOEXEC, 3))
        read_end, write_end = os.pipe()
        self._inner = _End(read_end)
        self._handing_out = False
        self._lock = interruptions.new_lock(self)
        try:
            self._process = self._start()
            self._thread = threading.Thread(
                target=interruptions.as_helper,
                args=(self._work,),
                name="runlore-relay",
                daemon=True,
            )
            self._thread.start()
        except (OSError, ValueError, RuntimeError, subprocess.SubprocessError) as problem:
            self._close()
            os.close(write_end)
            raise NoRelay from problem
        for name in names:
            _flush(name)
            os.dup2(write_end, _NUMBERS[name])
        os.close(write_end)
        fork_guard.guard(self)

    def release(self) -> None:
        """Let the outputs go where they went before, after all that was printed until now.

        What was started in the meantime prints into the relay, which ends with the last of it.
        """
        for name in self.names:
            _flush(name)
        give_up_at = time.monotonic() + _SETTLE_MAX_S
        while self._moves and time.monotonic() < give_up_at:
            time.sleep(0.001)
        with self._lock:
            self._put_back()
        quiet_since = time.monotonic()
        while self._thread.is_alive() and time.monotonic() < give_up_at:
            self._thread.join(0.002)
            if self._moves or self._handing_out:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > _QUIET_S:  # A subprocess goes on.
                break

    # --- the relay's process ----------------------------------------------------------------

    def _start(self) -> _Process:
        if not sys.executable:
            raise NoRelay
        read_end, write_end = os.pipe()
        copies = _End(read_end)
        try:
            with suppress(OSError):  # The user has many pipes: a small one does as well.
                fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _COPIES_NBYTES)
            ends = self._inner.fd, self._outer.fd, write_end
            subprocess.run(
                [sys.executable, "-I", "-S", _SCRIPT, *map(str, ends)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=ends,
                cwd="/",
                start_new_session=True,
                timeout=_START_S,
                check=True,
            )
            os.close(write_end)
            write_end = -1
            return _Process(copies, _pidfd(copies.fd))
        except BaseException:
            copies.close()
            raise
        finally:
            if write_end >= 0:
                os.close(write_end)

    @property
    def _moves(self) -> bool:
        """Whether something was printed that has not passed, or its copy was not read."""
        with self._lock, suppress(OSError, ValueError):  # It has ended.
            return bool(_waiting(self._inner.fd) or _waiting(self._process.copies.fd))
        return False

    # --- the thread -------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with suppress(OSError, ValueError):
                if self._read_copies() or self._goes_on():
                    continue
            with self._lock:
                self._put_back()
                self._close()
            return

    def _read_copies(self) -> bool:
        """Hand out what has come; returns False if the relay has ended, or nobody reads it."""
        copies, outer = self._process.copies.fd, self._outer.fd
        while not (came := _events({copies: select.POLLIN, outer: 0}, _LOOK_MS)):
            if self._is_stuck():
                signal.pidfd_send_signal(self._process.pidfd.fd, signal.SIGKILL)
        if came.get(outer):
            return False
        self._handing_out = True
        try:
            chunk = os.read(copies, _COPIES_NBYTES)
            with suppress(Exception):  # The program has printed; nothing else matters to it.
                self._hand_out(self._decode(chunk))
        finally:
            self._handing_out = False
        if 0 < len(chunk) < _COPIES_NBYTES // 2:
            _events({outer: 0}, _REST_MS)
        return bool(chunk)

    def _is_stuck(self) -> bool:
        """Whether its process moves nothing, though there is something, and room for it."""
        outer = self._outer.fd
        return bool(_waiting(self._inner.fd) and _events({outer: select.POLLOUT}, 0))

    def _goes_on(self) -> bool:
        """Start another process if somebody can still print and somebody reads; else False."""
        inner, outer = self._inner.fd, self._outer.fd
        came = _events({inner: select.POLLIN, outer: 0}, 0)
        if came.get(inner) == select.POLLHUP or came.get(outer):
            return False
        self._process.close()
        while True:
            try:
                self._process = self._start()
            except (OSError, ValueError, subprocess.SubprocessError):
                with self._lock:
                    self._put_back()
                time.sleep(_LOOK_MS / 1_000)
            else:
                return True

    def _put_back(self) -> None:
        for name in self.names:
            with suppress(OSError):
                if self._inner.is_at(_NUMBERS[name]) and self._outer.is_ours:
                    os.dup2(self._outer.fd, _NUMBERS[name])

    def _close(self) -> None:
        process = getattr(self, "_process", None)
        if process is not None:
            process.close()
        self._inner.close()
        self._outer.close()

    # --- forks ------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Nothing: the child prints where its parent does, and reads nothing."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Hold no pipe open whose other end somebody waits for."""
        self._lock = interruptions.new_lock(self)
        self._close()


class _End:
    """An open descriptor, unless the program has closed it: then its number is another file's."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._identity = _identity(fd)

    @property
    def is_ours(self) -> bool:
        return self.is_at(self.fd)

    def is_at(self, fd: int) -> bool:
        """Whether a descriptor is open on the same file."""
        return _identity(fd) == self._identity

    def close(self) -> None:
        if self.fd >= 0 and self.is_ours:
            os.close(self.fd)
        self.fd = -1


class _Process(NamedTuple):
    """A relay's process, and where its copies come from."""

    copies: _End
    pidfd: _End

    def close(self) -> None:
        self.copies.close()
        self.pidfd.close()


class _Relays:
    """The relays of this process, while somebody takes copies."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._takers: tuple[Take, ...] = ()
        self._open: list[Relay] = []

    def take(self, take: Take) -> tuple[Name, ...]:
        """Hand copies to `take`, which must neither raise nor wait; returns of which outputs."""
        with self._lock:
            if not self._takers:
                self._open = [relay for names in _pipes() if (relay := self._relay(names))]
            if self._open:
                self._takers = (*self._takers, take)
            return tuple(name for relay in self._open for name in relay.names)

    def end(self, take: Take) -> None:
        """Hand out no more; the last one lets the outputs go where they went before."""
        with self._lock:
            if take not in self._takers:
                return
            if len(self._takers) == 1:
                for relay in self._open:
                    relay.release()
                self._open = []
            self._takers = tuple(other for other in self._takers if other != take)

    def forget(self) -> None:
        """In a forked child: the relays are its parent's."""
        self._lock = threading.RLock()
        self._takers, self._open = (), []

    def _relay(self, names: tuple[Name, ...]) -> Relay | None:
        with suppress(NoRelay):
            return Relay(names, self._hand_out)
        return None

    def _hand_out(self, text: str) -> None:
        for take in self._takers:
            take(text)


RELAYS: Final = _Relays()
os.register_at_fork(after_in_child=RELAYS.forget)


def _pipes() -> list[tuple[Name, ...]]:
    """The standard outputs that are pipes, together if they are the same one."""
    if os.getpid() == 1 or os.getppid() == 1 or not hasattr(os, "splice"):
        # The first process of a container takes all others with it when it ends, a relay as well,
        # before that has moved what a crash has printed last.
        return []
    names: list[Name] = [name for name in _NUMBERS if _is_plain_pipe(name)]
    if len(names) == 2 and os.path.samestat(os.fstat(1), os.fstat(2)):
        return [("stdout", "stderr")]
    return [(name,) for name in names]


def _is_plain_pipe(name: Name) -> bool:
    try:
        if getattr(sys, name).fileno() != _NUMBERS[name]:
            return False
        is_pipe = stat.S_ISFIFO(os.fstat(_NUMBERS[name]).st_mode)
        flags = fcntl.fcntl(_NUMBERS[name], fcntl.F_GETFL)
    except (OSError, ValueError, AttributeError):
        return False
    # `splice` refuses to append, and who does not want to wait expects the room of his own pipe.
    if not is_pipe or flags & (os.O_APPEND | os.O_NONBLOCK):
        return False
    return not _events({_NUMBERS[name]: 0}, 0)  # Else nobody reads it, which the program is to see.


def _pidfd(copies: int) -> _End:
    """Of a process that says first who it is. Raises NoRelay if it is not ready."""
    if not _events({copies: select.POLLIN}, int(_START_S * 1_000)):
        raise NoRelay
    said = b""
    while not said.endswith(b"\n"):  # And no byte more: copies may follow.
        if not (byte := os.read(copies, 1)):
            raise NoRelay
        said += byte
    pid, parent = said.split()
    pidfd = _End(os.pidfd_open(int(pid)))
    if int(parent) == os.getpid():  # This process adopts orphans: it would have a child more.
        signal.pidfd_send_signal(pidfd.fd, signal.SIGKILL)
        pidfd.close()
        raise NoRelay
    return pidfd


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _flush(name: Name) -> None:
    with suppress(Exception):
        getattr(sys, name).flush()


def _events(asked: dict[int, int], timeout_ms: int) -> dict[int, int]:
    """What happened to descriptors: what was asked for, and that nobody is at the other end."""
    poll = select.poll()
    for fd, events in asked.items():
        poll.register(fd, events)
    return dict(poll.poll(timeout_ms))


def _waiting(fd: int) -> int:
    """The number of bytes in a pipe."""
    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)
