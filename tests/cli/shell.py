"""The command line: in this process, in a new one, and on a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fresh_python import without_settings

LIMIT_S = 60
COMMAND = (sys.executable, "-m", "runlore.cli")


@dataclass(frozen=True)
class Ran:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its output on stdout, parsed as JSON."""
        return json.loads(self.out)


def runlore(*arguments: str, cwd: Path, code: int = 0, **variables: str) -> Ran:
    """Runs a command in a folder, in this process; checks its exit code."""
    ran = in_this_process(*arguments, cwd=cwd, **variables)
    assert ran.code == code, f"{arguments}: {ran.code}\n{ran.out}\n{ran.err}"
    assert "Traceback" not in ran.err
    return ran


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def in_this_process(*arguments: str, cwd: Path, **variables: str) -> Ran:
    """The same for any exit code."""
    return with_streams(io.StringIO(), io.StringIO(), *arguments, cwd=cwd, **variables)


def as_if_on_terminal(*arguments: str, cwd: Path, **variables: str) -> Ran:
    """The same with streams that say they are a terminal."""
    variables = {"TERM": "xterm-256color", "COLUMNS": "200", **variables}
    return with_streams(Terminal(), Terminal(), *arguments, cwd=cwd, **variables)


def with_streams(
    out: io.StringIO, err: io.StringIO, *arguments: str, cwd: Path, **variables: str
) -> Ran:
    """The same with these streams as stdout and stderr."""
    from runlore.cli import main

    show_warning, inherited = warnings.showwarning, dict(os.environ)
    stdin = sys.stdin
    try:
        sys.stdin = io.StringIO()
        _set(environment(**variables))
        with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
    finally:
        sys.stdin = stdin
        _set(inherited)
        warnings.showwarning = show_warning
    return Ran(code, out.getvalue(), err.getvalue())


def in_new_process(*arguments: str, cwd: Path, code: int = 0, **variables: str) -> Ran:
    """The same where a process of its own is the point: its output is a pipe."""
    ran = subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    assert "Traceback" not in ran.stderr
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def on_terminal(
    *arguments: str,
    cwd: Path,
    when_shown: str | None = None,
    then: Callable[[], object] = lambda: None,
    **variables: str,
) -> Ran:
    """Runs a command whose stdout is a terminal; does something once it has shown a text."""
    leader, follower = pty.openpty()
    try:
        with subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=environment(**{"COLUMNS": "200", "TERM": "xterm-256color", **variables}),
            stdout=follower,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.close(follower)
            written = b""
            while piece := _read(leader):
                written += piece
                if when_shown is not None and when_shown.encode() in written:
                    when_shown = None
                    then()
            assert process.stderr is not None
            err = process.stderr.read()
        return Ran(process.returncode, written.decode().replace("\r\n", "\n"), err)
    finally:
        os.close(leader)


def environment(**variables: str) -> dict[str, str]:
    """This process's variables, without those that runlore reads."""
    mine = ("NO_COLOR", "FORCE_COLOR", "COLUMNS")
    inherited = without_settings(os.environ)
    return {k: v for k, v in inherited.items() if not k.startswith(mine)} | variables


def _set(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # How Linux says that nobody holds the other side any more.
        return b""
