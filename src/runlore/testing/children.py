"""Forked children of a test that run a function and send its result back."""

from __future__ import annotations

import os
import pickle
import select
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NoReturn


class Child:
    """A forked child that runs a function; `result()` returns the function's result."""

    def __init__(self, function: Callable[[], Any]) -> None:
        read_end, write_end = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns of forks beside threads, which is exactly the case under test.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            os.close(read_end)
            _run(function, write_end)
        os.close(write_end)
        self._read_end = read_end

    def result(self) -> Any:
        """Waits until the child ends; fails if it raised or was killed."""
        with os.fdopen(self._read_end, "rb") as pipe:
            answer = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert answer, f"the child gave no answer and ended with {status}"
        failure, value = pickle.loads(answer)
        assert failure is None, failure
        return value

    def has_ended(self, limit_s: float) -> bool:
        """Whether the child has sent its result within this time, or has died."""
        return bool(select.select([self._read_end], [], [], limit_s)[0])

    def let_go(self) -> None:
        """Expect no result of a child that was killed and waited for."""
        os.close(self._read_end)


def _run(function: Callable[[], Any], write_end: int) -> NoReturn:
    try:
        try:
            answer = pickle.dumps((None, function()))
        except BaseException:
            answer = pickle.dumps((traceback.format_exc(), None))
        with os.fdopen(write_end, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)  # Skips the clean-up that belongs to the parent, such as that of pytest.


def in_child(function: Callable[[], Any]) -> Any:
    """The function's result, computed in a forked child."""
    return Child(function).result()
