"""What `with run:` blocks print, and what they leave alone."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runlore import Experiment, Run
from runlore.azure.user_log import UserLog
from tests.processes import start_python

LOG = "logs/user_log.txt"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def begin(exp: Experiment) -> Callable[[], Run]:
    return lambda: exp.start_logging(snapshot_directory=None)


def printed_by(run: Run, name: str = LOG) -> str:
    with tempfile.TemporaryDirectory() as folder:
        run.download_file(name, f"{folder}/log")
        return Path(folder, "log").read_text()


# --- whose lines ------------------------------------------------------------------------------


def test_blocks_that_overlap_keep_their_own_lines(begin: Callable[[], Run]) -> None:
    streams = sys.stdout, sys.stderr
    first, second = begin(), begin()

    first.__enter__()
    second.__enter__()
    print("in both")
    first.__exit__(None, None, None)
    print("only the second")
    second.__exit__(None, None, None)
    print("in none")

    assert (sys.stdout, sys.stderr) == streams
    assert printed_by(first) == "in both\n"
    assert printed_by(second) == "in both\nonly the second\n"


def test_blocks_inside_each_other(begin: Callable[[], Run]) -> None:
    with begin() as outer:
        print("outer")
        with begin() as inner:
            print("inner")
        print("outer again")

    assert printed_by(inner) == "inner\n"
    assert printed_by(outer) == "outer\ninner\nouter again\n"


def test_threads_keep_their_own_lines_and_leave_nothing_behind(begin: Callable[[], Run]) -> None:
    stream = sys.stdout

    def train(number: int) -> tuple[int, Run]:
        with begin() as run:
            for step in range(5):
                print(f"run {number} step {step}")
        return number, run

    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(train, range(30)))

    assert sys.stdout is stream
    for number, run in runs:
        assert printed_by(run) == "".join(f"run {number} step {step}\n" for step in range(5))


def test_tasks_keep_their_own_lines(begin: Callable[[], Run]) -> None:
    async def train(number: int) -> Run:
        with begin() as run:
            for _ in range(3):
                print(f"task {number}")
                await asyncio.sleep(0)
        return run

    async def all_tasks() -> list[Run]:
        return await asyncio.gather(*map(train, range(5)))

    for number, run in enumerate(asyncio.run(all_tasks())):
        assert printed_by(run) == f"task {number}\n" * 3


def test_a_thread_that_is_in_no_block_prints_into_all(begin: Callable[[], Run]) -> None:
    with begin() as run:
        worker = threading.Thread(target=print, args=["from a worker"])
        worker.start()
        worker.join()

    assert printed_by(run) == "from a worker\n"


def test_blocks_that_overlap_very_often_do_not_pile_up() -> None:
    stream = sys.stdout
    log = UserLog(tee=True)
    for _ in range(1_500):  # Each puts a stream of its own around the one before, or none does.
        following = UserLog(tee=True)
        closed = log.close()
        assert closed is not None
        closed.close()
        log = following

    print("still printed")
    printed = log.close()

    assert sys.stdout is stream
    assert printed is not None
    with printed:
        assert printed.read() == b"still printed\n"


def test_two_blocks_of_one_run_have_two_logs(begin: Callable[[], Run]) -> None:
    run = begin()
    with run:
        print("one")
    run.resume(reason="one more block")
    with run:
        print("two")

    assert printed_by(run) == "one\n"
    assert printed_by(run, "logs/user_log_2.txt") == "two\n"


# --- what is left alone -----------------------------------------------------------------------


def test_files_of_the_users_are_not_touched(begin: Callable[[], Run], project: Path) -> None:
    (project / "logs").mkdir()
    (project / "logs/user_log.txt").write_text("notes of mine")
    (project / "logs/other.txt").write_text("kept beside it")

    with pytest.warns(UserWarning, match="already kept with other content"), begin() as run:
        print("hello")

    assert (project / "logs/user_log.txt").read_text() == "notes of mine"
    assert printed_by(run) == "hello\n"
    assert printed_by(run, "logs/other.txt") == "kept beside it"


def test_no_file_is_left_in_the_working_folder(begin: Callable[[], Run], project: Path) -> None:
    with begin():
        print("hello")

    assert list(project.rglob("*")) == [project / "outputs"]


@pytest.mark.processes
def test_processes_in_one_folder_keep_their_own_lines(tmp_path: Path) -> None:
    program = """
import sys
from runlore import *
ws = Workspace.create("lab", path=sys.argv[1], exist_ok=True)
with Experiment(ws, "e").start_logging(snapshot_directory=None, run_id=sys.argv[2]) as run:
    print("ready", file=sys.__stdout__, flush=True)
    sys.stdin.readline()
    for _ in range(20):
        print("line of", sys.argv[2])
"""
    processes = [start_python(program, tmp_path / "lab", name) for name in ("a", "b")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n")

    from runlore import Workspace

    with Workspace.open(tmp_path / "lab") as ws:
        for name in ("a", "b"):
            assert printed_by(Run.get(ws, name)) == f"line of {name}\n" * 20


def test_the_end_of_a_block_in_a_thread_leaves_the_working_folder(
    begin: Callable[[], Run], tmp_path: Path
) -> None:
    entered, moved = threading.Event(), threading.Event()

    def train() -> None:
        with begin():
            entered.set()
            moved.wait()

    thread = threading.Thread(target=train)
    thread.start()
    entered.wait()
    os.chdir(tmp_path)
    moved.set()
    thread.join()

    assert Path.cwd() == tmp_path


def test_the_end_of_a_block_goes_back_to_the_working_folder(
    begin: Callable[[], Run], project: Path, tmp_path: Path
) -> None:
    with begin():
        os.chdir(tmp_path)

    assert Path.cwd() == project


# --- streams ----------------------------------------------------------------------------------


def test_writelines_is_kept(begin: Callable[[], Run]) -> None:
    with begin() as run:
        sys.stdout.writelines(["one\n", "two\n"])

    assert printed_by(run) == "one\ntwo\n"


def test_a_stream_around_ours_does_not_copy_twice(
    begin: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Around(io.StringIO):
        def __init__(self, inner: object) -> None:
            super().__init__()
            self.inner: object = inner

        def write(self, text: str) -> int:
            return self.inner.write(text)  # type: ignore[attr-defined,no-any-return]

    monkeypatch.setattr("sys.stdout", sys.stdout)
    with begin() as first:
        print("first")
        sys.stdout = Around(sys.stdout)
    with begin() as second:
        print("second")

    assert printed_by(first) == "first\n"
    assert printed_by(second) == "second\n"


@pytest.mark.processes
def test_a_forked_child_repeats_nothing(tmp_path: Path) -> None:
    program = """
import os, sys
from runlore import *
ws = Workspace.create("lab", path=sys.argv[1])
with Experiment(ws, "e").start_logging(snapshot_directory=None, run_id="r") as run:
    print("before")
    if (pid := os.fork()) == 0:
        print("in the child")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
"""
    start_python(program, tmp_path / "lab").communicate()

    from runlore import Workspace

    with Workspace.open(tmp_path / "lab") as ws:
        assert printed_by(Run.get(ws, "r")) == "before\nin the child\n"


# --- bad luck ---------------------------------------------------------------------------------


def test_a_program_without_an_output_prints_as_before(
    begin: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", None)
    with begin() as run:
        print("only kept", flush=True)
    assert sys.stdout is None

    assert run.get_status() == "Completed"
    assert printed_by(run) == "only kept\n"


def test_a_full_disk_ends_the_log_and_not_the_training(
    begin: Callable[[], Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object, /) -> int:
            if self.tell():
                raise OSError(28, "No space left on device")
            return super().write(data)  # type: ignore[arg-type]

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *_, **__: Full())
    told = pytest.warns(UserWarning, match="is not kept from here on: .*No space left")
    with told as caught, begin() as run:
        sys.stdout.write("one\n")
        print("two")
        print("three")

    assert len(caught) == 1
    assert run.get_status() == "Completed"
    assert capsys.readouterr().out == "one\ntwo\nthree\n"
    assert printed_by(run) == "one\n"


def test_no_room_for_the_log_is_told_and_the_training_goes_on(
    begin: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    told = pytest.warns(UserWarning, match="the output of the block is not kept: .*No space")
    with told, begin() as run:
        print("still printed")

    assert run.get_status() == "Completed"


def test_a_working_folder_that_is_gone_does_not_end_the_training(
    begin: Callable[[], Run], project: Path
) -> None:
    run = begin()
    shutil.rmtree(project)

    with run:
        print("nowhere to be")

    assert run.get_status() == "Completed"
    assert printed_by(run) == "nowhere to be\n"


def test_texts_that_are_not_unicode_are_kept_as_far_as_possible(begin: Callable[[], Run]) -> None:
    with begin() as run:
        sys.stderr.write("a\ud800b\n")

    assert printed_by(run) == "a?b\n"


def test_an_exception_leaves_the_block_although_its_log_cannot_be_kept(
    begin: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("runlore.engine.runs.files.keep_files", fails)
    with (
        warnings.catch_warnings(record=True) as caught,
        pytest.raises(ZeroDivisionError),
        begin() as run,
    ):
        warnings.simplefilter("always")
        print(1 / 0)

    assert run.get_status() == "Failed"
    assert any("not all of it was recorded" in str(one.message) for one in caught)
