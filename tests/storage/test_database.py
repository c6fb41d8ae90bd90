"""One file, many processes: the right to write, refused files, and a disk that fills up."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from runlore.storage.database import Database
from runlore.storage.driver_errors import OperationalError
from runlore.storage.errors import DiskFull, LogBusy, LogCorrupt, LogReadOnly, NotALog
from runlore.storage.event_log import Drained, DrainedMark, NewEvent, ReadStream
from runlore.storage.interruptions import Interrupting
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_guard import APPLICATION_ID
from runlore.storage.sqlite_log import SqliteLog
from runlore.testing.logs import all_rows, check_head, new_event, new_events
from tests.descriptors import open_below
from tests.disks import Disk
from tests.processes import LIMIT_S, Child, in_child, start_python

NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    log = open_sqlite(path)
    yield log
    log.close()


@contextmanager
def held_by_another_process(code: str, path: Path) -> Iterator[None]:
    """Another process runs the code, says that it holds something, and lets go at the end."""
    with start_python(code + "\nprint('held', flush=True); sys.stdin.readline()", path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.communicate("let go\n", timeout=LIMIT_S)


HOLD_QUEUE = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1] + "-queue", os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)
"""
HOLD_SQLITE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
"""


# --- the file -----------------------------------------------------------------------------


def test_a_new_file_says_whose_it_is_and_every_commit_is_synced(log: SqliteLog) -> None:
    with log.database.read() as connection:

        def pragma(name: str) -> object:
            return connection.execute(f"PRAGMA {name}").fetchone()[0]

        assert pragma("application_id") == APPLICATION_ID
        assert pragma("user_version") == 1  # Until an event asks for more.
        assert pragma("journal_mode") == "wal"
        assert pragma("synchronous") == 2  # FULL
        assert pragma("trusted_schema") == 0


@pytest.mark.parametrize("name", ["log.db", "with space.db", "100%.db", "schön?.db", "a#b.db"])
def test_a_file_can_be_named_by_path_or_by_uri(tmp_path: Path, name: str) -> None:
    by_path = open_sqlite(tmp_path / name)
    by_path.append([new_event("run/a", 1)])
    by_uri = open_sqlite((tmp_path / name).as_uri())
    by_uri.append([new_event("run/a", 2)])

    assert len(all_rows(by_path)) == 2
    by_path.close()
    by_uri.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, f"{name}-queue"])


def test_a_folder_that_happens_to_be_called_like_memory_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mode=memory"
    folder.mkdir()
    log = open_sqlite(folder / ":memory:")
    log.append([new_event()])
    log.close()
    assert len(all_rows(log)) == 1
    log.close()


def test_a_position_is_never_used_twice(log: SqliteLog, path: Path) -> None:
    log.append(new_events("run/a", [1, 2, 3]))
    log.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        vandal.execute("DELETE FROM stored_events WHERE notification_id = 3")
        vandal.execute("VACUUM")

    [row] = log.append(new_events("run/b", [1]))

    assert row.position == 4
    assert [row.position for row in all_rows(log)] == [1, 2, 4]


def test_events_behind_the_head_are_corruption_and_nothing_is_stored(
    log: SqliteLog, path: Path
) -> None:
    log.append(new_events("run/a", [1, 2, 3]))
    with closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        vandal.execute("UPDATE log_head SET position = 2")
    with pytest.raises(LogCorrupt, match="after its head 3, so another program wrote"):
        log.append(new_events("run/b", [1]))
    assert len(all_rows(log)) == 3


def test_a_lost_head_is_corruption(log: SqliteLog, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        vandal.execute("DELETE FROM log_head")
    with pytest.raises(LogCorrupt, match="lost its head"):
        log.append([new_event()])


def test_a_head_that_contradicts_itself_is_corruption(log: SqliteLog, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        vandal.execute("UPDATE log_head SET frontier = x'00'")
    with pytest.raises(LogCorrupt, match="1 bytes cannot be the frontier of 0"):
        log.append([new_event()])


def test_a_file_with_damaged_pages_is_corruption(log: SqliteLog, path: Path) -> None:
    for n in range(1, 200):
        log.append([new_event("run/a", n, state=b"x" * 500)])
    log.close()
    content = bytearray(path.read_bytes())
    content[4096 * 2 :] = os.urandom(len(content) - 4096 * 2)
    path.write_bytes(content)
    with pytest.raises(LogCorrupt, match="is damaged: .* restore it from a copy"):
        all_rows(log)


# --- files that are not ours --------------------------------------------------------------


def text_file(path: Path) -> None:
    path.write_text("my thesis\n" * 200)


def short_file(path: Path) -> None:
    path.write_bytes(b"\x00\x01")


def other_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")


def other_application_with_an_id(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id=252006673")  # Fossil's
        connection.execute("CREATE TABLE blob (rid INTEGER)")


@pytest.mark.parametrize(
    ("make", "way_out"),
    [
        (text_file, "is not a runlore log.*choose another folder or name"),
        (short_file, "is not a runlore log.*choose another folder or name"),
        (other_application, "of another application.*choose another folder or name"),
        (other_application_with_an_id, "of another application .*0xf055111"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_is_not_ours_is_refused_with_the_way_out_and_not_touched(
    tmp_path: Path, make: Callable[[Path], None], way_out: str
) -> None:
    if "0xf055111" in way_out:
        way_out = way_out.replace("0xf055111", f"{252006673:#x}")
    path = tmp_path / "log.db"
    make(path)
    files = sorted(file.name for file in tmp_path.iterdir())
    content = path.read_bytes()

    with pytest.raises(NotALog, match=way_out):
        open_sqlite(path)
    with pytest.raises(NotALog):
        SqliteLog(Database(path)).append([new_event()])

    assert path.read_bytes() == content
    assert sorted(file.name for file in tmp_path.iterdir()) == files
    assert open_below(tmp_path) == []


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogReadOnly, match="no folder .*missing"):
        open_sqlite(tmp_path / "missing" / "log.db")


# --- several processes --------------------------------------------------------------------

APPENDER = """
import sys
from runlore.storage.open_sqlite import open_sqlite
from runlore.testing.logs import new_events
name, path = sys.argv[1:]
log = open_sqlite(path)
print("ready", flush=True)
sys.stdin.readline()
for call in range(30):
    log.append(new_events(f"run/{name}", range(call * 3 + 1, call * 3 + 4)))
log.close()
"""


@pytest.mark.processes
def test_processes_that_create_and_write_one_log_at_once_lose_nothing(path: Path) -> None:
    writers = [start_python(APPENDER, name, path) for name in ("a", "b", "c")]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=LIMIT_S)
    assert [writer.returncode for writer in writers] == [0, 0, 0]

    log = open_sqlite(path)
    rows = all_rows(log)
    check_head(log)
    log.close()
    assert [row.position for row in rows] == list(range(1, 271))
    for call in (rows[i : i + 3] for i in range(0, len(rows), 3)):
        assert len({row.stream for row in call}) == 1


@pytest.mark.processes
def test_a_log_that_many_make_at_once_is_refused_to_nobody(tmp_path: Path) -> None:
    for attempt in range(10):
        path = tmp_path / f"{attempt}.db"
        start = os.pipe()

        def make(name: int, path: Path = path, start: tuple[int, int] = start) -> int:
            os.close(start[1])
            os.read(start[0], 1)  # Ends for all at once, when the parent closes its end.
            log = open_sqlite(path)
            rows = log.append(new_events(f"run/{name}", [1]))
            log.close()
            return len(rows)

        children = [Child(partial(make, name)) for name in range(6)]
        os.close(start[0])
        os.close(start[1])
        assert [child.result() for child in children] == [1] * 6


@pytest.mark.processes
def test_a_read_that_begins_after_a_commit_sees_it_in_any_process(
    log: SqliteLog, path: Path
) -> None:
    reader = in_child
    for version in range(1, 6):
        log.append(new_events("run/a", [version]))
        assert reader(lambda: [row.version for row in all_rows(log)]) == [*range(1, version + 1)]


@pytest.mark.processes
def test_a_queue_that_does_not_move_is_busy_and_nothing_is_stored(path: Path) -> None:
    log = open_sqlite(path, lock_timeout_s=0.2)
    with held_by_another_process(HOLD_QUEUE, path):
        with pytest.raises(LogBusy, match="its turn did not come for 0.2 s, so nothing was stored"):
            log.append([new_event("run/a", 1)])
        assert all_rows(log) == []
    log.append([new_event("run/a", 1)])
    assert len(all_rows(log)) == 1
    log.close()


@pytest.mark.processes
def test_readers_do_not_stand_in_the_writers_queue(path: Path) -> None:
    open_sqlite(path).append([new_event("run/a", 1)])
    with held_by_another_process(HOLD_QUEUE, path):
        late = open_sqlite(path, lock_timeout_s=0.2)
        assert len(all_rows(late)) == 1
        late.close()


@pytest.mark.processes
def test_a_writer_beside_the_queue_makes_us_wait_and_then_busy(path: Path) -> None:
    """A program that does not use the queue, such as the sqlite3 shell or a backup."""
    log = open_sqlite(path, lock_timeout_s=0.2)
    with held_by_another_process(HOLD_SQLITE, path):
        with pytest.raises(LogBusy, match="other writers held it"):
            log.append([new_event("run/a", 1)])
        assert all_rows(log) == []
    log.append([new_event("run/a", 1)])
    log.close()


@pytest.mark.processes
def test_a_fork_after_a_lost_wait_keeps_no_writer_out(path: Path) -> None:
    """The wait that was given up goes on in the kernel; its turn must not end up in a child."""
    log = open_sqlite(path, lock_timeout_s=0.1)
    release = os.pipe()
    with held_by_another_process(HOLD_QUEUE, path), pytest.raises(LogBusy):
        log.append([new_event("run/a", 1)])
    with held_by_another_process(HOLD_QUEUE, path):
        with pytest.raises(LogBusy):
            log.append([new_event("run/a", 1)])
        child = os.fork()
        if child == 0:
            os.close(release[1])
            os.read(release[0], 1)  # Lives on, like a worker of a data loader.
            os._exit(0)
    os.close(release[0])
    try:
        patient = open_sqlite(path, lock_timeout_s=LIMIT_S / 2)
        patient.append([new_event("run/a", 1)])
        patient.close()
    finally:
        os.close(release[1])
        os.waitpid(child, 0)
        log.close()


# --- interrupts ---------------------------------------------------------------------------


class Interrupted(Exception):
    pass


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """As Ctrl-C does it: an exception in the main thread, wherever it is."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.processes
def test_an_interrupt_while_waiting_for_the_queue_holds_no_turn_afterwards(path: Path) -> None:
    log = open_sqlite(path)
    held = held_by_another_process(HOLD_QUEUE, path)
    with held, pytest.raises(Interrupted), interrupted_after(0.1):
        log.append([new_event("run/a", 1)])

    other = open_sqlite(path, lock_timeout_s=LIMIT_S / 2)
    other.append([new_event("run/a", 1)])
    log.append([new_event("run/a", 2)])
    assert len(all_rows(log)) == 2
    other.close()
    log.close()


def test_an_interrupt_while_waiting_for_sqlite_leaves_no_transaction_open(path: Path) -> None:
    log = open_sqlite(path)
    rival = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    rival.execute("BEGIN IMMEDIATE")
    # The driver waits in C; the interrupt comes while it waits and is raised once it has begun.
    letting_go = threading.Timer(0.4, rival.execute, ["ROLLBACK"])
    letting_go.start()
    with pytest.raises(Interrupted), interrupted_after(0.1):
        log.append([new_event("run/a", 1)])
    letting_go.join()
    rival.close()

    other = open_sqlite(path, lock_timeout_s=1)
    other.append([new_event("run/b", 1)])
    log.append([new_event("run/a", 1)])
    assert [row.stream for row in all_rows(log)] == ["run/b", "run/a"]
    other.close()
    log.close()


# --- forks --------------------------------------------------------------------------------


@pytest.mark.processes
def test_a_forked_child_inherits_no_file_of_the_log(log: SqliteLog, path: Path) -> None:
    log.append([new_event()])

    assert in_child(lambda: open_below(path.parent)) == []
    all_rows(log)
    listing = [sys.executable, "-c", "import os; print(os.listdir('/proc/self/fd'))"]
    opened = subprocess.run(listing, capture_output=True, text=True, close_fds=False, check=True)
    inherited = subprocess.run(
        [*listing[:2], "import os; print(*map(os.path.realpath, os.scandir('/proc/self/fd')))"],
        capture_output=True,
        text=True,
        close_fds=False,
        check=True,
    )
    assert f"{path.parent}/" not in inherited.stdout + opened.stdout


FORK_PAST_PYTHON = """
import ctypes, os, sys
from runlore.storage.open_sqlite import open_sqlite
from runlore.testing.logs import all_rows, check_head, new_events
log = open_sqlite(sys.argv[1])
log.append(new_events("run/parent", [1]))
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    log.append(new_events("run/child", [1, 2]))
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
log.append(new_events("run/parent", [2]))
check_head(log)
print(len(all_rows(log)))
"""


@pytest.mark.processes
def test_a_fork_that_python_does_not_see_leaves_both_sides_working(path: Path) -> None:
    with start_python(FORK_PAST_PYTHON, path) as process:
        assert process.communicate(timeout=LIMIT_S)[0] == "4\n"


# --- transactions -------------------------------------------------------------------------


def test_the_first_exception_survives_and_nothing_is_stored(log: SqliteLog) -> None:
    class Mine(Exception):
        pass

    error = Mine()
    with pytest.raises(Mine) as caught, log.database.write() as connection:
        connection.execute("DELETE FROM log_head")
        raise error
    assert caught.value is error
    log.append([new_event()])


def test_an_error_of_the_driver_comes_in_our_words_with_its_cause(log: SqliteLog) -> None:
    failing = pytest.raises(OperationalError, match="no such table")
    with failing as caught, log.database.read() as connection:
        connection.execute("SELECT * FROM missing")
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_a_transaction_within_a_transaction_leaves_the_log_usable(log: SqliteLog) -> None:
    def decide(read_stream: ReadStream) -> list[NewEvent]:
        log.append([new_event("run/inner", 1)])
        return [new_event("run/outer", 1)]

    with pytest.raises(Interrupting, match="interrupts another one"):
        log.append_decided(decide)
    assert all_rows(log) == []
    log.append([new_event()])
    check_head(log)


# --- no permission to write ---------------------------------------------------------------


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)
        os.chmod(name, 0o755)


def as_nobody(function: Callable[[], Any]) -> Any:
    """What the function returns in a child whose user owns nothing."""

    def child() -> Any:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return function()

    return in_child(child)


def refused(log: SqliteLog) -> str:
    with pytest.raises(LogReadOnly) as caught:
        log.append([new_event("run/b", 1)])
    return str(caught.value)


@pytest.mark.processes
def test_a_log_in_a_read_only_folder_can_be_read_and_says_that_it_cannot_be_written(
    public_folder: Path,
) -> None:
    path = public_folder / "log.db"
    log = open_sqlite(path)
    log.append(new_events("run/a", [1, 2]))
    log.close()
    public_folder.chmod(0o555)

    def child() -> tuple[int, str, list[str]]:
        opened = open_sqlite(path)
        rows = len(all_rows(opened))
        message = refused(opened)
        opened.close()
        return rows, message, os.listdir(public_folder)

    rows, message, files = as_nobody(child)

    assert rows == 2
    assert "opened for reading only" in message
    assert "check the permissions, or copy the workspace" in message
    assert sorted(files) == ["log.db", "log.db-queue"]


@pytest.mark.processes
def test_a_reader_without_permissions_sees_what_a_live_writer_commits(
    public_folder: Path,
) -> None:
    path = public_folder / "log.db"
    log = open_sqlite(path)
    log.append(new_events("run/a", [1, 2]))
    public_folder.chmod(0o555)

    def child() -> list[int]:
        opened = open_sqlite(path)
        return [row.version for row in all_rows(opened)]

    assert as_nobody(child) == [1, 2]
    public_folder.chmod(0o755)
    log.append(new_events("run/a", [3]))
    public_folder.chmod(0o555)
    assert as_nobody(child) == [1, 2, 3]
    public_folder.chmod(0o755)
    log.close()


@pytest.mark.processes
def test_a_reader_without_permissions_sees_commits_that_come_while_it_has_the_log_open(
    public_folder: Path,
) -> None:
    path = public_folder / "log.db"
    log = open_sqlite(path)
    log.append(new_events("run/a", [1, 2]))
    log.close()  # Nobody has the file open now, so the reader must take it as it lies there.
    public_folder.chmod(0o555)
    seen, sees = os.pipe()
    written, writes = os.pipe()

    def child() -> list[list[int]]:
        opened = open_sqlite(path)
        shown = [[row.version for row in all_rows(opened)]]
        for _ in range(2):
            os.write(sees, b"x")
            os.read(written, 1)
            shown.append([row.version for row in all_rows(opened)])
        opened.close()
        return shown

    def nobody() -> list[list[int]]:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return child()

    reader = Child(nobody if os.getuid() == 0 else child)
    for end in (sees, written):  # Or else a reader that has died would be waited for.
        os.close(end)
    for version in (3, 4):
        os.read(seen, 1)
        public_folder.chmod(0o755)
        log.append(new_events("run/a", [version]))
        public_folder.chmod(0o555)
        os.write(writes, b"x")

    assert reader.result() == [[1, 2], [1, 2, 3], [1, 2, 3, 4]]
    public_folder.chmod(0o755)
    log.close()
    for end in (seen, writes):
        os.close(end)


@pytest.mark.processes
def test_a_new_log_in_a_read_only_folder_is_refused(public_folder: Path) -> None:
    public_folder.chmod(0o555)

    def child() -> str:
        with pytest.raises(LogReadOnly) as caught:
            open_sqlite(public_folder / "log.db")
        return str(caught.value)

    assert "the folder cannot be written by user " in str(as_nobody(child))


@pytest.mark.processes
def test_a_read_only_file_in_a_writable_folder_is_read(public_folder: Path) -> None:
    path = public_folder / "log.db"
    log = open_sqlite(path)
    log.append([new_event()])
    log.close()
    path.chmod(0o444)
    public_folder.chmod(0o777)

    def child() -> tuple[str, int]:
        opened = open_sqlite(path)
        return refused(opened), len(all_rows(opened))

    message, rows = as_nobody(child)
    assert rows == 1
    assert "because its file cannot be written by user " in message
    assert f"{path} belongs to user " in message and "has the mode 0444; check" in message


@pytest.mark.processes
@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_an_erasable_log_of_another_user_cannot_be_read(public_folder: Path) -> None:
    path = public_folder / "log.db"
    open_sqlite(path, erasable=True).close()

    def child() -> str:
        with pytest.raises(LogReadOnly) as caught:
            open_sqlite(path)
        return str(caught.value)

    assert "the log cannot be read by user nobody" in as_nobody(child)


@pytest.mark.processes
def test_a_log_is_written_as_soon_as_its_folder_may_be_written_again(public_folder: Path) -> None:
    public_folder.chmod(0o777)

    def child() -> int:
        folder = public_folder / "own"
        folder.mkdir()
        open_sqlite(folder / "log.db").close()
        folder.chmod(0o555)
        opened = open_sqlite(folder / "log.db")
        refused(opened)
        folder.chmod(0o755)
        opened.append([new_event()])
        return len(all_rows(opened))

    assert as_nobody(child) == 1


@pytest.mark.processes
def test_another_users_queue_that_cannot_be_opened_is_named(public_folder: Path) -> None:
    path = public_folder / "log.db"
    log = open_sqlite(path)
    log.append([new_event()])
    log.close()
    for file in public_folder.iterdir():
        file.chmod(0o666)
    Path(f"{path}-queue").chmod(0o600)
    public_folder.chmod(0o777)

    def child() -> tuple[int, str]:
        opened = open_sqlite(path)
        return len(all_rows(opened)), refused(opened)

    rows, message = as_nobody(child)
    assert rows == 1
    assert "log.db-queue" in message


# --- no room ------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path)
    yield disk
    disk.close()


def limited(tmp_path: Path) -> Disk:
    disk = Disk.__new__(Disk)
    disk.folder, disk.mounted = tmp_path, False
    return disk


def fill_up_and_recover(disk: Disk) -> None:
    log = open_sqlite(disk.folder / "log.db")
    for version in range(1, 51):
        log.append([new_event("run/a", version, state=b"x" * 10_000)])
    disk.fill()
    with pytest.raises(DiskFull, match="nothing was stored, (free some space|raise the limit)"):
        for version in range(51, 3_000):
            log.append([new_event("run/a", version, state=b"x" * 10_000)])
    stored = check_head(log)
    assert stored.size >= 50

    for _ in range(3):
        with pytest.raises(DiskFull):
            log.append([new_event("run/b", 1, state=b"x" * 1_000_000)])
    assert check_head(log) == stored
    reader = open_sqlite(disk.folder / "log.db")
    assert check_head(reader) == stored
    reader.close()

    disk.free()
    log.append([new_event("run/b", 1, state=b"x" * 1_000_000)])
    log.close()
    assert check_head(log).size == stored.size + 1
    log.close()


@pytest.mark.processes
def test_a_full_disk_loses_nothing_and_works_again_when_there_is_room(disk: Disk) -> None:
    in_child(lambda: fill_up_and_recover(disk))


@pytest.mark.processes
def test_a_limit_on_file_sizes_loses_nothing_and_can_be_raised(tmp_path: Path) -> None:
    in_child(lambda: fill_up_and_recover(limited(tmp_path)))


@pytest.mark.processes
def test_a_log_that_does_not_fit_can_be_made_when_there_is_room(disk: Disk) -> None:
    def child() -> None:
        (disk.folder / "other").touch()
        disk.fill()
        with pytest.raises(DiskFull):
            open_sqlite(disk.folder / "log.db")
        disk.free()
        log = open_sqlite(disk.folder / "log.db")
        log.append([new_event()])
        check_head(log)
        log.close()

    in_child(child)


# --- logs of before --------------------------------------------------------------------------


def test_a_log_of_before_the_spools_gets_its_table_and_keeps_its_events(path: Path) -> None:
    with closing(open_sqlite(path)) as log:
        log.append([new_event("run/a", 1)])
        with log.database.write() as connection:
            connection.execute("DROP TABLE drained")

    with closing(open_sqlite(path)) as log:
        assert log.drained_marks() == {}
        log.append([new_event("run/a/values/w", 1)], drained=Drained("w", 1, 2))
        assert log.drained_marks() == {"w": DrainedMark(1, 2, 2)}
        check_head(log)


@pytest.mark.processes
def test_a_log_of_before_the_spools_can_be_read_where_it_cannot_be_written(
    public_folder: Path,
) -> None:
    path = public_folder / "log.db"
    with closing(open_sqlite(path)) as log:
        log.append([new_event("run/a", 1)])
        with log.database.write() as connection:
            connection.execute("DROP TABLE drained")
    public_folder.chmod(0o555)

    def read() -> tuple[int, object]:
        if os.getuid() == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with closing(open_sqlite(path)) as log:
            return log.head().size, log.drained_marks()

    assert in_child(read) == (1, {})
    public_folder.chmod(0o755)
