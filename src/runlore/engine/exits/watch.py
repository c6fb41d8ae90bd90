"""A process is watched from its first run on: whichever way it ends, its runs learn of it."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from runlore.engine.exits.at_exit import end
from runlore.engine.exits.endings import watch_program
from runlore.engine.exits.sigterm import end_at_sigterm

_AFTER_ALL_OTHERS: Final = -1_000_000
_finalized: int | None = None
"""The child of multiprocessing that has a finalizer of ours."""


def watch_process() -> None:
    """Notice from now on how this process ends. Idempotent, and cheap."""
    watch_program()
    end_at_sigterm()
    _watch_child_of_multiprocessing()


def _watch_child_of_multiprocessing() -> None:
    # Before Python 3.14 such a child calls no exit handlers if it was forked, and its exception is
    # only known while the finalizers of multiprocessing are called.
    process: Any = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return
    global _finalized
    if _finalized != os.getpid():  # A child forgets the finalizers of its parent.
        _finalized = os.getpid()
        process_util: Any = sys.modules["multiprocessing.util"]  # Loaded by the child's start.
        process_util.Finalize(None, end, exitpriority=_AFTER_ALL_OTHERS)
