"""Other processes for tests: forked children, fresh interpreters, and waiting with a limit."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runlore.testing.children import Child as Child
from runlore.testing.children import in_child as in_child
from runlore.testing.waiting import LIMIT_S as LIMIT_S
from runlore.testing.waiting import wait_until as wait_until


def in_child_without_threads(function: Callable[[], Any]) -> Any:
    """The same in a child in which no thread can be started, for want of room for its stack.

    Python 3.12 starts none either while it ends, which is when waiting values are written.
    """

    def without_threads() -> Any:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, resource.RLIM_INFINITY))
        threading.stack_size(2**30)
        return function()

    return in_child(without_threads)


def start_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A fresh interpreter that runs the code; it imports what this one can."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
