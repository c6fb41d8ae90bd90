"""A process that ends with the one that started it, even by `kill -9`."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path


def end_with_parent(life: int) -> None:
    """Let the kernel end this process as soon as nobody holds the other end of the pipe.

    No thread could do it as surely: it needs Python's lock. Not PR_SET_PDEATHSIG either, which
    follows the thread that started this process. Call it with SIGIO unblocked.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    os.set_blocking(life, False)
    with suppress(BlockingIOError):
        os.read(life, 1)
        os._exit(0)  # It ended before the lines above.


def offer_to_the_kernel() -> None:
    """When memory runs out, let the kernel end this process first; leave no core file."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(b"1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["RUST_BACKTRACE"] = "0"  # It needs memory, and waits for ever if there is none.
