"""Several processes on one log: each has its slot, each sees what the others committed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore.domain.events import RunCompleted
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from tests.processes import LIMIT_S, Child, in_child, start_python, wait_until
from tests.projections.histories import History, asked, opened, reader_of, rebuilt, tables_of

pytestmark = pytest.mark.long

READER = """
import os, sys
from pathlib import Path
from runlore.domain.events import RunCreated
from runlore.domain.status import Status
from runlore.projections.generations import Publishing
from runlore.projections.own_projection import OwnProjection
from runlore.projections.reader import RunsReader
from runlore.storage.codec import encode_event
from runlore.storage.event_log import NewEvent
from runlore.storage.open_sqlite import open_sqlite

folder = Path(sys.argv[1])
log = open_sqlite(folder / "log.sqlite")
# On a slow machine, a thread that publishes would outlive this process's tables.
publishing = Publishing(after_s=float("inf"))
reader = RunsReader(OwnProjection(log, folder / "projections", publishing=publishing))

def write(run_id):
    lab = {"experiment_id": "e1", "experiment_name": "lab", "status": Status.RUNNING}
    state = encode_event(RunCreated(run_id=run_id, root_id=run_id, **lab))
    log.append([NewEvent(f"run/{run_id}", 1, "run.created", state, os.urandom(16), {})])

for line in sys.stdin:
    print(repr(eval(line)), flush=True)
"""


FORK = """
import signal
reader.projection.refresh()
if os.fork() == 0:
    {asked} and reader.projection.refresh()
    print(os.getpid(), flush=True)
    signal.pause()
for line in sys.stdin:
"""


EXIT = """
reader.projection.refresh()
pid = os.fork()
if pid == 0:
    {asked} and reader.projection.refresh()
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class Asked:
    """A reader in a fresh interpreter that answers one expression after the other."""

    def __init__(self, folder: Path) -> None:
        self._process = start_python(READER, folder)

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # Closes the pipes; a reader that still lives ends by itself.
            pass

    def ask(self, expression: str) -> Any:
        """The value of an expression over `reader`, `log` and `write(run_id)`."""
        self.tell(expression)
        assert self._process.stdout
        return eval(self._process.stdout.readline())

    def tell(self, expression: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(expression + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    log = open_sqlite(tmp_path / "log.sqlite")
    yield log
    log.close()


@pytest.fixture
def history(log: SqliteLog) -> History:
    history = History(log)
    history.experiment()
    history.run("r0")
    return history


def slots(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.rglob("reader-*/projection.duckdb"))


def is_free(lock: Path) -> bool:
    fd = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def test_two_processes_each_see_what_the_other_just_committed(
    tmp_path: Path, history: History
) -> None:
    with (
        Asked(tmp_path) as other,
        reader_of(history.log, tmp_path / "projections") as reader,
    ):
        for number in range(1, 6):
            history.run(f"mine-{number}")
            assert other.ask("next(reader.runs()).run_id") == f"mine-{number}"
            other.ask(f"write('theirs-{number}')")
            assert next(reader.runs()).run_id == f"theirs-{number}"
            history.say(f"run/mine-{number}", RunCompleted())
            counts = other.ask("reader.sql('SELECT count(ended_at) FROM runs').fetchall()")
            assert counts == [(number,)]
        assert slots(tmp_path) == ["reader-0", "reader-1"]
        assert tables_of(reader) == rebuilt(history.log)


def test_the_slot_of_a_killed_process_is_taken_over_and_only_the_tail_is_read(
    tmp_path: Path, history: History
) -> None:
    for number in range(1, 50):
        history.run(f"r{number}")
    with Asked(tmp_path) as killed:
        assert killed.ask("len(list(reader.runs()))") == 50
        history.run("seen")
        assert killed.ask("reader.run_number('seen')") == 51
        killed.kill()
    history.run("new")

    with reader_of(history.log, tmp_path / "projections") as reader:
        assert [row.run_id for row in reader.runs()][:2] == ["new", "seen"]
        assert reader.projection.events_read == 1
        assert slots(tmp_path) == ["reader-0"]
        assert tables_of(reader) == rebuilt(history.log)


def test_a_process_that_is_killed_while_it_catches_up_leaves_a_sound_slot(
    tmp_path: Path, history: History
) -> None:
    for round_ in range(5):
        with Asked(tmp_path) as killed:
            assert killed.ask("reader.projection.refresh()") == history.log.head().position
            killed.tell("[reader.projection.refresh() for _ in iter(int, 1)]")
            for number in range(20 + round_ * 7):
                history.run(f"r{round_}-{number}")
            killed.kill()

        with reader_of(history.log, tmp_path / "projections") as reader:
            assert tables_of(reader) == rebuilt(history.log)
            assert reader.projection.events_read < 60, "the slot was sound: nothing was rebuilt"
    assert slots(tmp_path) == ["reader-0"]


# --- forks --------------------------------------------------------------------------------


def test_after_a_fork_parent_and_child_both_answer(tmp_path: Path, history: History) -> None:
    with reader_of(history.log, tmp_path / "projections") as reader:
        assert reader.projection.refresh() == 2

        def ask() -> tuple[list[str], Any]:
            history.run("the child's")
            ids = [row.run_id for row in reader.runs()]
            return ids, reader.sql("SELECT count(*) FROM runs").fetchall()

        assert in_child(ask) == (["the child's", "r0"], [(2,)])
        assert [row.run_id for row in reader.runs()] == ["the child's", "r0"]
        assert in_child(lambda: reader.projection.refresh()) == reader.projection.refresh()
        assert slots(tmp_path) == ["reader-0", "reader-1"]


def test_a_list_goes_on_in_a_forked_child_from_where_it_was(
    tmp_path: Path, history: History
) -> None:
    for number in range(1, 501):
        history.run(f"r{number}")
    with reader_of(history.log, tmp_path / "projections") as reader:
        pages = reader.runs()
        first = next(pages)
        history.run("late")

        rest = in_child(lambda: [row.run_id for row in pages])

        assert [first.run_id, *rest] == [f"r{number}" for number in range(500, -1, -1)]
        assert [row.run_id for row in pages] == rest


def test_a_child_in_memory_leaves_the_parents_files_alone(history: History) -> None:
    with reader_of(history.log) as reader:
        reader.projection.refresh()
        spill = asked(reader, "SELECT current_setting('temp_directory')")[0][0]

        def ask() -> Any:
            found = asked(reader, "SELECT current_setting('temp_directory')")[0][0]
            reader.projection.close()
            return found

        assert in_child(ask) != spill
        assert Path(spill).is_dir()
        assert reader.sql("SELECT count(*) FROM runs").fetchall() == [(1,)]


def test_a_child_that_takes_over_its_parents_slot_gets_what_the_parent_left(
    tmp_path: Path, history: History
) -> None:
    reader = opened(history.log, tmp_path / "projections")
    reader.projection.refresh()
    go, tell = os.pipe()

    def ask() -> tuple[int, int, Any]:
        os.read(go, 1)
        projection = reader.projection
        before = projection.events_read
        return projection.refresh(), projection.events_read - before, tables_of(reader)

    child = Child(ask)
    history.run("later")
    reader.projection.refresh()
    reader.projection.close()
    history.run("last")
    os.write(tell, b".")

    # Had the file been open at the fork, the child's DuckDB would have given it the old state.
    head, read, found = child.result()
    assert (head, read) == (history.log.head().position, 1)
    assert found == rebuilt(history.log)
    with reader_of(history.log, tmp_path / "projections") as again:
        assert tables_of(again) == found
        assert again.projection.events_read == 0
    assert slots(tmp_path) == ["reader-0"]
    os.close(go)
    os.close(tell)


@pytest.mark.parametrize("asked", [False, True], ids=["idle child", "asking child"])
def test_a_forked_child_ends_in_silence(asked: bool, tmp_path: Path, history: History) -> None:
    code = READER.partition("for line")[0] + EXIT.format(asked=asked)
    path = os.pathsep.join(filter(None, sys.path))
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("7\n", "")


@pytest.mark.parametrize("asked", [False, True], ids=["idle child", "asking child"])
def test_a_dead_parents_slot_is_free_although_its_child_lives(
    asked: bool, tmp_path: Path, history: History
) -> None:
    # As a data loader's worker outlives a killed trainer.
    code = READER.replace("for line in sys.stdin:", FORK.format(asked=asked))
    parent = start_python(code, tmp_path)
    assert parent.stdout
    child_pid = int(parent.stdout.readline())
    try:
        lock = next(tmp_path.rglob("reader-0/lock"))
        assert not is_free(lock)
        parent.kill()
        parent.wait()
        wait_until(lambda: is_free(lock), "the dead parent's slot")
        os.kill(child_pid, 0)

        history.run("new")
        with reader_of(history.log, tmp_path / "projections") as reader:
            assert [row.run_id for row in reader.runs()] == ["new", "r0"]
            assert reader.projection.events_read == 1
    finally:
        os.kill(child_pid, signal.SIGKILL)
        with parent:
            parent.kill()
