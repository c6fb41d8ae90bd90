"""Runs tests on a copy of the tree with one mutant in it, in a process of its own.

The processes come from a server that has imported the large libraries once, but nothing of
runlore. One that hangs is killed, with all that its tests have started.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import psutil
import pytest

from tests.mutants.operators import Mutant
from tests.mutants.trees import environment_of

_MARK: Final = "MUTANTS_TREE"
"""The variable by which the processes that tests have started are found again."""
_LIBRARIES: Final = (
    *("arro3.core", "click", "cryptography.hazmat.primitives.asymmetric.ed25519", "duckdb"),
    *("eventsourcing.persistence", "msgpack", "numpy", "psutil", "pyarrow", "pydantic"),
    *("pytest", "yaml", "zstandard"),
)
_START_S: Final = 40.0
_TIMES: Final = 6.0


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"
    UNDECIDED = "undecided"


class Judge:
    """Tries mutants, one at a time, in a copy of the tree."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._server = multiprocessing.get_context("forkserver")
        self._server.set_forkserver_preload(list(_LIBRARIES))

    def verdict(
        self, mutant: Mutant, parts: Sequence[tuple[Sequence[str], float]]
    ) -> tuple[Verdict, str]:
        """What the tests say of the mutant, and the output of the run that said it.

        `parts` are tests and how long they take without a mutant; a part is run if those before
        have noticed nothing.
        """
        output = ""
        with self._holding(mutant):
            for tests, seconds in parts:
                verdict, output = self._run(tests, _START_S + _TIMES * seconds)
                if verdict is not Verdict.SURVIVED:
                    return verdict, output
        return Verdict.SURVIVED, output

    @contextmanager
    def _holding(self, mutant: Mutant) -> Iterator[None]:
        path = self._tree / mutant.path
        source = path.read_bytes()
        path.write_bytes(mutant.applied_to(source))
        try:
            yield
        finally:
            path.write_bytes(source)

    def _run(self, tests: Sequence[str], limit_s: float) -> tuple[Verdict, str]:
        scratch = Path(tempfile.mkdtemp(prefix="mutant-"))
        output = scratch / "output"
        process = self._server.Process(target=_test, args=(self._tree, scratch, output, tests))
        try:
            process.start()
            process.join(limit_s)
            code = process.exitcode
            text = output.read_text(errors="replace") if output.exists() else ""
        finally:
            process.kill()
            process.join()
            self._kill_left()
            shutil.rmtree(scratch, ignore_errors=True)
        return _verdict(code), text

    def _kill_left(self) -> None:
        """Kill what the tests have started and not ended."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_MARK) == str(self._tree):
                    process.kill()


def _verdict(code: int | None) -> Verdict:
    if code is None:
        return Verdict.TIMED_OUT
    if code == pytest.ExitCode.OK:
        return Verdict.SURVIVED
    if code in (pytest.ExitCode.NO_TESTS_COLLECTED, -signal.SIGKILL):  # Perhaps no memory.
        return Verdict.UNDECIDED
    return Verdict.KILLED


def _test(tree: Path, scratch: Path, output: Path, tests: Sequence[str]) -> None:
    with output.open("wb") as file:
        for fd in (1, 2):
            os.dup2(file.fileno(), fd)
    os.setsid()
    os.chdir(tree)
    os.environ.update(environment_of(tree, scratch), **{_MARK: str(tree)})
    tempfile.tempdir = None
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "runlore")]:
        del sys.modules[name]  # What follows is imported from the copy.
    sys.path[:0] = [str(tree / "src"), str(tree)]
    sys.dont_write_bytecode = True
    options = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["--hypothesis-profile=check", "--hypothesis-seed=0", "--doctest-modules"]
    options += [f"--basetemp={scratch}/t"]
    code = pytest.main([*options, "--", *tests])
    sys.stdout.flush()
    os._exit(code)
