"""The console of a run: what is kept of the output, and that the output is as it was."""

import io
import os
import pty
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from runlore import Run, Workspace, init
from runlore.engine.console.console import Console
from runlore.engine.console.consoles import console_path
from runlore.engine.runs.logs import CONSOLE_LOG, read_log
from runlore.run.run import handle_of
from runlore.storage.held_path import hold
from runlore.testing.waiting import wait_until
from tests.processes import in_child

NOBODY = 65_534
SCRIPT = """
import os, subprocess, sys, time
import runlore
run = runlore.init("x", workspace=sys.argv[1])
print("terminal:", sys.stdout.isatty(), sys.stdout.fileno())
print("loss 0.5 --token abc")
for percent in (0, 50, 100):
    print(f"\\r{percent}%", end="", flush=True)
print()
print("problem", file=sys.stderr)
subprocess.run(["sh", "-c", "echo from a subprocess"])
print("the last line")
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def run_script(workspace: Path, more: str = "", **options: object) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "RUNLORE_CAPTURE": "all", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SCRIPT + more, str(workspace)]
    return subprocess.Popen(command, env=environ, **options)  # type: ignore[call-overload, no-any-return]


def only_run(workspace: Path) -> tuple[Workspace, Run]:
    ws = Workspace.open(workspace)
    [(run_id,)] = ws.sql("SELECT run_id FROM runs").fetchall()
    return ws, ws.get_run(run_id)


def console_of(run: Run) -> str:
    return read_log(handle_of(run), CONSOLE_LOG).decode()


@pytest.mark.processes
def test_a_terminal_stays_one(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    script = run_script(tmp_path / "ws", stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # All have closed it.
            break
        if not chunk:
            break
        shown += chunk
    assert script.wait(60) == 0

    lines = shown.decode().replace("\r\n", "\n")
    assert "terminal: True 1\nloss 0.5 --token abc\n\r0%\r50%\r100%\nproblem\n" in lines
    ws, run = only_run(tmp_path / "ws")
    with ws:
        assert (
            console_of(run)
            == "terminal: True 1\nloss 0.5 --token ***\n100%\nproblem\nthe last line\n"
        )
        assert CONSOLE_LOG in run.get_file_names()


@pytest.mark.processes
def test_an_output_that_is_a_file_is_read_with_subprocesses(tmp_path: Path) -> None:
    with (tmp_path / "job.out").open("wb") as output:
        output.write(b"of an earlier job\n")
        output.flush()
        assert run_script(tmp_path / "ws", stdout=output, stderr=output).wait(60) == 0

    ws, run = only_run(tmp_path / "ws")
    with ws:
        kept = console_of(run)
    assert (
        "the last line\n" in kept
        and "from a subprocess\n" in kept
        and "problem\n" in kept
        and "100%\n" in kept
    )
    assert "earlier job" not in kept and "abc" not in kept


@pytest.mark.processes
@pytest.mark.parametrize("end", ["kill", "exit"])
def test_what_was_printed_before_a_sudden_end_is_kept(tmp_path: Path, end: str) -> None:
    more = (
        "time.sleep(1)\nos.kill(os.getpid(), 9)" if end == "kill" else "time.sleep(1)\nos._exit(3)"
    )
    script = run_script(tmp_path / "ws", more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    script.communicate(timeout=60)
    assert script.returncode == (-signal.SIGKILL if end == "kill" else 3)

    ws, run = only_run(tmp_path / "ws")
    with ws:
        wait_until(lambda: run.get_status() == "Failed", "the run is found lost")
        assert "loss 0.5 --token ***\n100%\n" in console_of(run)
        assert CONSOLE_LOG in run.get_file_names()
    assert list((tmp_path / "ws" / "consoles").iterdir()) == []


@pytest.mark.processes
def test_a_closed_output_is_as_it_was(tmp_path: Path) -> None:
    script = run_script(tmp_path / "ws", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert script.stdout is not None and script.stderr is not None
    script.stdout.close()
    with script.stderr as errors:
        assert b"BrokenPipeError" in errors.read()
    assert script.wait(60) != 0


# --- in this process --------------------------------------------------------------------------


def opened(folder: Path) -> Console:
    """A console; not by a fixture, as pytest changes the streams before each test."""
    return Console(console_path(hold(folder), "run"))


def kept_in(folder: Path) -> str:
    return (folder / "consoles" / "run.txt").read_text()


def test_the_streams_are_put_back(tmp_path: Path) -> None:
    console = opened(tmp_path)
    ours = sys.stdout
    assert type(ours).__name__ == "_Copying"
    print("kept")
    console.close()
    print("not kept")

    assert sys.stdout is not ours
    assert kept_in(tmp_path) == "kept\n"
    assert "runlore-console" not in {thread.name for thread in threading.enumerate()}


def test_the_file_grows_while_the_run_goes_on(tmp_path: Path) -> None:
    console = opened(tmp_path)
    print("live")
    wait_until(lambda: kept_in(tmp_path) == "live\n", "the line is written")
    console.close()


def test_a_stream_that_other_code_put_there_stays(tmp_path: Path) -> None:
    console = opened(tmp_path)
    ours = sys.stdout
    other = io.StringIO()
    sys.stdout = other
    try:
        console.close()
        assert sys.stdout is other
    finally:
        sys.stdout = cast(Any, ours).original


def test_long_output_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    console = opened(tmp_path)
    line = "x" * 999 + "\n"
    for number in range(9_000):
        console.take(f"{number:06d}{line}")
        if number % 1_000 == 0:
            wait_until(lambda: not console.waiting, "the lines are taken")
    console.take("Traceback: the end\n")
    console.close()

    kept = kept_in(tmp_path)
    assert kept.startswith("000000x") and kept.endswith("x\nTraceback: the end\n")
    assert "characters left out ...\n" in kept
    assert len(kept) < (4 << 20) + (1 << 20) + 100_000


def test_a_file_that_cannot_be_written_changes_nothing_for_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console = opened(tmp_path)
    os.close(console.descriptor)
    print("printed all the same")
    console.close()
    assert "printed all the same\n" in capsys.readouterr().out


@pytest.mark.processes
def test_a_forked_child_prints_once(tmp_path: Path) -> None:
    console = opened(tmp_path)
    print("before")
    pid = os.fork()
    if pid == 0:
        print("child", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    print("after")
    console.close()
    assert kept_in(tmp_path) == "before\nchild\nafter\n"


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o077, 0o600)])
def test_who_may_read_the_file_follows_from_the_umask(
    tmp_path: Path, umask: int, mode: int
) -> None:
    """As it does for the log: somebody who may read a run sees what it prints while it goes on."""
    before = os.umask(umask)
    try:
        console = opened(tmp_path)
    finally:
        os.umask(before)
    console.close()
    assert stat.S_IMODE((tmp_path / "consoles" / "run.txt").stat().st_mode) == mode


@pytest.mark.processes
def test_another_user_sees_what_a_run_prints(public_folder: Path) -> None:
    script = run_script(public_folder / "ws", "time.sleep(600)", stdout=subprocess.PIPE)
    try:
        console = public_folder / "ws" / "consoles"
        wait_until(lambda: b"terminal" in b"".join(map(Path.read_bytes, console.glob("*"))), "live")
        ws, run = only_run(public_folder / "ws")
        ws.close()

        def read() -> str:
            if os.getuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            with Workspace.open(public_folder / "ws") as theirs:
                return console_of(theirs.get_run(run.id))

        assert "terminal: False 1\n" in in_child(read)
    finally:
        script.kill()
        script.communicate()


def test_init_keeps_the_console_and_start_logging_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNLORE_CAPTURE", "console")
    with init("x", workspace=tmp_path / "ws") as run:
        print("kept")
        wait_until(lambda: console_of(run) == "kept\n", "the line can be read")
    with run.experiment.start_logging(outputs=False, snapshot_directory=None) as silent:
        print("not kept")
    with init("x", workspace=tmp_path / "ws", capture={"console": False}) as off:
        print("not kept")

    assert run.get_file_names() == [CONSOLE_LOG]
    assert console_of(run) == "kept\n"
    assert silent.get_file_names() == off.get_file_names() == []


def test_a_run_that_is_resumed_keeps_what_is_printed_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNLORE_CAPTURE", "console")
    with init("x", workspace=tmp_path / "ws", run_id="r"):
        print("first")
    print("between")
    with init("x", workspace=tmp_path / "ws", run_id="r", resume="must") as run:
        print("second")
        live = "user_logs/std_log_2.txt"
        wait_until(lambda: b"second" in read_log(handle_of(run), live), "the line can be read")
    capture = {"console": False}
    with init("x", workspace=tmp_path / "ws", run_id="r", resume="must", capture=capture):
        print("not kept")

    names = sorted(run.get_file_names())
    assert [read_log(handle_of(run), name) for name in names] == [
        b"first\n",
        b"second\n",
    ]


def test_a_folder_in_the_way_keeps_nothing_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.create("lab", path=tmp_path / "ws").close()
    (tmp_path / "ws" / "consoles").symlink_to(tmp_path)
    monkeypatch.setenv("RUNLORE_CAPTURE", "console")
    with init("x", workspace=tmp_path / "ws") as run:
        print("shown")
    assert run.get_file_names() == []
    assert not list(tmp_path.glob("*.txt"))


def test_an_erasable_workspace_keeps_no_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Workspace.create("lab", path=tmp_path / "ws", erasable=True).close()
    monkeypatch.setenv("RUNLORE_CAPTURE", "console")
    with init("x", workspace=tmp_path / "ws") as run:
        print("shown")
    assert run.get_file_names() == []
