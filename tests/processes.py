"""Other processes for tests: forked children, fresh interpreters, and waiting with a limit."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

LIMIT_S = 60.0
"""How long a test waits for another process before it fails; far beyond what is needed."""


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Returns as soon as the condition holds; fails after the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s:g} s for {what}"
        time.sleep(0.005)


class Child:
    """A forked child that runs a function; `result()` is what that returned."""

    def __init__(self, function: Callable[[], Any]) -> None:
        read_end, write_end = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads, which is just what is tested here.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            os.close(read_end)
            _run(function, write_end)
        os.close(write_end)
        self._read_end = read_end

    def result(self) -> Any:
        """Waits for the child's end; fails if it raised or was killed."""
        with os.fdopen(self._read_end, "rb") as pipe:
            answer = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert answer, f"the child said nothing and ended with {status}"
        failure, value = pickle.loads(answer)
        assert failure is None, failure
        return value


def _run(function: Callable[[], Any], write_end: int) -> NoReturn:
    try:
        try:
            answer = pickle.dumps((None, function()))
        except BaseException:
            answer = pickle.dumps((traceback.format_exc(), None))
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)  # No clean-up that belongs to the parent: pytest's, for one.


def in_child(function: Callable[[], Any]) -> Any:
    """What the function returns in a forked child."""
    return Child(function).result()


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
