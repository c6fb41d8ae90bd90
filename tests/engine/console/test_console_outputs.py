"""What a program and its subprocesses print on real terminals and pipes: all of it, in order.

With a console and without one the reader of the output sees the same bytes.
"""

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.engine.console.consoles import CONSOLES
from runlore.engine.runs.logs import CONSOLE_LOG, read_log
from runlore.run.run import handle_of
from tests.workspaces import start

pytestmark = pytest.mark.processes

SCRIPT = """
import os, subprocess, sys, threading
import runlore
run = runlore.init("x", workspace=sys.argv[1], quiet=True)
print("terminal", sys.stdout.isatty(), flush=True)
subprocess.run(["sh", "-c", "test -t 1 && echo same terminal || echo no terminal"])
subprocess.run([sys.executable, "-c", "import sys; print('of a subprocess', file=sys.stderr)"])
print("problem", file=sys.stderr, flush=True)
"""
ENDS = "print('the last line')\n"

# The thread gets an exception that nothing in it catches, as a mistake of ours would be.
THREAD_DIES = """
import ctypes, time
console, = [each for each in threading.enumerate() if each.name == "runlore-console"]
ident, error = ctypes.c_ulong(console.ident), ctypes.py_object(SystemExit)
ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)
console.join(30)
assert not console.is_alive()
for number in range(2_000):
    print("line", number)
"""
LINES = "".join(f"line {number}\n" for number in range(2_000))

# Whatever the console writes to is closed, the descriptors of its file included.
FILE_BREAKS = """
folder = os.path.join(os.path.realpath(sys.argv[1]), "consoles")
held = [fd for fd in map(int, os.listdir("/proc/self/fd"))
        if os.path.exists(f"/proc/self/fd/{fd}")
        and os.readlink(f"/proc/self/fd/{fd}").startswith(folder)]
assert held
for fd in held:
    os.close(fd)
for number in range(2_000):
    print("line", number)
"""

Shown = Callable[[list[str], Mapping[str, str]], str]


def on_a_terminal(command: list[str], variables: Mapping[str, str]) -> str:
    """What a terminal shows of the command, which must end well."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=variables, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # All have closed it.
            break
    os.close(ours)
    assert process.wait(60) == 0
    return shown.decode().replace("\r\n", "\n")


def on_a_pipe(command: list[str], variables: Mapping[str, str]) -> str:
    """What comes out of a pipe that both outputs go to."""
    ran = subprocess.run(
        command,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout.decode()


OUTPUTS = pytest.mark.parametrize(
    ("shown_on", "first"),
    [
        (on_a_terminal, "terminal True\nsame terminal\n"),
        (on_a_pipe, "terminal False\nno terminal\n"),
    ],
    ids=["terminal", "pipe"],
)
REST = "of a subprocess\nproblem\n"


def run_of(folder: Path, script: str, shown_on: Shown, **more: str) -> str:
    variables = {**os.environ, "RUNLORE_CAPTURE": "console", **more}
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    return shown_on([sys.executable, "-c", script, str(folder)], variables)


def console_of(run: Run) -> str:
    return read_log(handle_of(run), CONSOLE_LOG).decode()


def only_run(ws: Workspace) -> Run:
    [(run_id,)] = ws.sql("SELECT run_id FROM runs").fetchall()
    return ws.get_run(run_id)


@OUTPUTS
def test_subprocesses_print_where_the_program_does(
    tmp_path: Path, shown_on: Shown, first: str
) -> None:
    shown = run_of(tmp_path / "ws", SCRIPT + ENDS, shown_on)

    assert shown == f"{first}{REST}the last line\n"
    with Workspace.open(tmp_path / "ws") as ws:
        console = console_of(only_run(ws))
    if shown_on is on_a_pipe:
        assert console == shown
    else:
        assert console == "terminal True\nproblem\nthe last line\n"


def test_the_terminal_of_a_program_is_the_one_of_its_user(tmp_path: Path) -> None:
    """What another terminal in between would break: curses sets it through its output."""
    ours, theirs = pty.openpty()
    script = """
import os, sys, termios
import runlore
run = runlore.init("x", workspace=sys.argv[1], quiet=True)
of_output = termios.tcgetattr(1)
of_output[3] &= ~(termios.ECHO | termios.ICANON)
termios.tcsetattr(1, termios.TCSANOW, of_output)
print(termios.tcgetattr(0)[3] & termios.ECHO, os.ttyname(1) == os.ttyname(0))
termios.tcsetwinsize(0, (24, 57))
print(os.get_terminal_size(1).columns, os.tcgetpgrp(1) == os.getpgrp())
"""
    variables = {**os.environ, "RUNLORE_CAPTURE": "console", "PYTHONPATH": ":".join(sys.path)}
    command = ["setsid", "--ctty", "--wait", sys.executable, "-c", script, str(tmp_path / "ws")]
    process = subprocess.Popen(command, env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
    assert process.wait(60) == 0
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert shown == "0 True\r\n57 True\r\n"


@OUTPUTS
def test_an_erasable_workspace_leaves_the_output_alone(
    tmp_path: Path, shown_on: Shown, first: str
) -> None:
    Workspace.create("lab", path=tmp_path / "ws", erasable=True).close()

    shown = run_of(tmp_path / "ws", SCRIPT + ENDS, shown_on)

    assert shown == f"{first}{REST}the last line\n"
    with Workspace.open(tmp_path / "ws") as ws:
        assert only_run(ws).get_file_names() == []
    assert not (tmp_path / "ws" / CONSOLES).exists()


@OUTPUTS
def test_a_rank_that_joins_a_run_prints_as_it_would_without(
    tmp_path: Path, shown_on: Shown, first: str
) -> None:
    with Workspace.create("lab", path=tmp_path / "ws") as ws:
        run = start(Experiment(ws, "x"))
        joins = {"RUNLORE_WORKSPACE_URI": ws.uri, "RUNLORE_RUN_ID": run.id}
        shown = [run_of(tmp_path / "ws", SCRIPT + ENDS, shown_on, **joins) for _ in range(2)]

        assert shown == 2 * [f"{first}{REST}the last line\n"]
        run.complete()
        assert CONSOLE_LOG not in run.get_file_names()


@OUTPUTS
@pytest.mark.parametrize("breaks", [THREAD_DIES, FILE_BREAKS], ids=["thread", "file"])
def test_the_program_prints_on_if_its_console_loses_its_thread_or_file(
    breaks: str, tmp_path: Path, shown_on: Shown, first: str
) -> None:
    shown = run_of(tmp_path / "ws", SCRIPT + breaks + ENDS, shown_on)

    assert shown == f"{first}{REST}{LINES}the last line\n"
    with Workspace.open(tmp_path / "ws") as ws:
        run = only_run(ws)
        assert run.get_status() == "Completed"
        if breaks == THREAD_DIES:
            assert console_of(run).endswith(f"problem\n{LINES}the last line\n")
