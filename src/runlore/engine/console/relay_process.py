"""The process between the outputs of a program and the pipe that they go to.

    python relay_process.py INNER OUTER COPIES

It moves what is printed into the pipe INNER on to OUTER, and writes a copy to COPIES. It moves
within the kernel (`splice`), so no byte is ever in here alone: a relay that is killed has lost
none, and another one goes on. It never waits for who reads the copies: what does not fit is left
out, with a line that says so. It ends when nobody can write to
INNER any more, or nobody reads OUTER.

It imports the standard library only, as it runs without the paths of the program.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections import deque
from contextlib import suppress
from typing import Final

_CHUNK_NBYTES: Final = 1 << 16
_WAITING_MAX_NBYTES: Final = 8 << 20
_TRY_AGAIN_MS: Final = 50
_AT_END_MS: Final = 2_000
_SPLICE_F_NONBLOCK: Final = 2
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


class Copies:
    """What waits to be written to a pipe that may be full, or that nobody reads any more."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._waiting: deque[bytes] = deque()
        self._nbytes = 0
        self._left_out = 0
        self.wanted = True

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def add(self, copy: bytes) -> None:
        if self._nbytes > _WAITING_MAX_NBYTES:
            self._left_out += len(copy)
            return
        if self._left_out:
            copy = b"\n... %d bytes left out ...\n%b" % (self._left_out, copy)
            self._left_out = 0
        self._waiting.append(copy)
        self._nbytes += len(copy)

    def send(self) -> None:
        """Write as much as there is room for."""
        try:
            while self._waiting:
                written = os.write(self._fd, self._waiting[0])
                self._nbytes -= written
                if rest := self._waiting.popleft()[written:]:
                    self._waiting.appendleft(rest)
        except BlockingIOError:
            pass
        except OSError:
            self.wanted = False
            self._waiting.clear()

    def finish(self) -> None:
        """Write all, if somebody reads it soon."""
        room = select.poll()
        room.register(self._fd, select.POLLOUT)
        while self._waiting and room.poll(_AT_END_MS):
            self.send()


def relay(inner: int, outer: int, copies: Copies) -> None:
    """Move all that comes. Raises BrokenPipeError if nobody reads it."""
    tee = ctypes.CDLL(None, use_errno=True).tee
    tee.restype = ctypes.c_ssize_t
    tee.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint]
    read_end, write_end = os.pipe()
    arrives = select.poll()
    arrives.register(inner, select.POLLIN)
    copies.add(b"%d %d\n" % (os.getpid(), os.getppid()))  # All that is needed is there.
    copies.send()
    while True:
        came = arrives.poll(_TRY_AGAIN_MS if copies.waiting else None)
        if came:
            nbytes = tee(inner, write_end, _CHUNK_NBYTES, _SPLICE_F_NONBLOCK)
            if nbytes == 0:
                return
            if nbytes < 0:
                raise OSError(ctypes.get_errno(), "tee")
            copy = os.read(read_end, nbytes)
            # First the copy: where nothing is left to move, nothing is left to copy.
            if copies.wanted:
                copies.add(copy)
                copies.send()
            _move(inner, outer, len(copy))
        else:
            copies.send()


def _move(inner: int, outer: int, nbytes: int) -> None:
    while nbytes:
        try:
            nbytes -= os.splice(inner, outer, nbytes)
        except BlockingIOError:  # Some other program has made the pipe so.
            room = select.poll()
            room.register(outer, select.POLLOUT)
            room.poll()


def main() -> None:
    if os.fork():  # Its parent is to have no child that it did not start: it may wait for all.
        os._exit(0)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    inner, outer, copies_fd = map(int, sys.argv[1:])
    copies = Copies(copies_fd)
    with suppress(OSError):
        relay(inner, outer, copies)
    copies.finish()
    os._exit(0)  # Somebody may wait for this, and there is nothing to clear up.


if __name__ == "__main__":
    main()
