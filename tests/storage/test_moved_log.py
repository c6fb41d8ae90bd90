"""A log whose folder or file is moved, removed or replaced while it is open."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from runlore.storage.held_folder import FolderMoved
from runlore.storage.log_file import LogReplaced
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows, new_event
from tests.processes import in_child, start_python

MAKE = """
import sys
from runlore.storage.open_sqlite import open_sqlite
from runlore.testing.logs import new_event
log = open_sqlite(sys.argv[1])
log.append([new_event("run/other", 1)])
print("made", flush=True)
sys.stdin.readline()
log.append([new_event("run/other", 2)])
log.close()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    return folder


@pytest.fixture
def path(folder: Path) -> Path:
    return folder / "log.sqlite"


@pytest.fixture
def log(path: Path) -> Iterator[SqliteLog]:
    log = open_sqlite(path)
    log.append([new_event("run/a", 1)])
    yield log
    log.close()


def fork() -> None:
    """As a data loader does it: the log is closed before, and opened again after it."""
    in_child(lambda: None)


def versions(path: Path) -> list[int]:
    with closing(open_sqlite(path)) as log:
        assert verify_log(log).holds
        return [row.version for row in all_rows(log)]


def content_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.processes
@pytest.mark.parametrize("forks", [False, True])
def test_a_moved_log_is_neither_read_nor_written_until_it_is_put_back(
    log: SqliteLog, folder: Path, tmp_path: Path, forks: bool
) -> None:
    folder.rename(tmp_path / "moved")
    if forks:
        fork()
    for use in (lambda: log.append([new_event("run/a", 2)]), log.head, log.synced_head):
        with pytest.raises(FolderMoved, match=f"{tmp_path}/moved"):
            use()
    assert not folder.exists()
    (tmp_path / "moved").rename(folder)
    log.append([new_event("run/a", 2)])
    assert [row.version for row in all_rows(log)] == [1, 2]


@pytest.mark.processes
@pytest.mark.parametrize("forks", [False, True])
def test_another_log_in_the_place_of_a_moved_one_stays_as_it_is(
    log: SqliteLog, path: Path, folder: Path, tmp_path: Path, forks: bool
) -> None:
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    with start_python(MAKE, path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "made\n"
        before = content_of(folder)
        assert "log.sqlite-wal" in before
        if forks:
            fork()
        with pytest.raises(FolderMoved):
            log.append([new_event("run/a", 2)])
        log.close()  # SQLite would remove -wal and -shm of the other one, by their paths.
        assert content_of(folder) == before
        other.communicate("go on\n")
    assert versions(path) == [1, 2]
    assert versions(tmp_path / "moved" / "log.sqlite") == [1]


@pytest.mark.processes
@pytest.mark.parametrize("forks", [False, True])
def test_a_removed_log_is_not_made_again(
    log: SqliteLog, path: Path, folder: Path, forks: bool
) -> None:
    shutil.rmtree(folder)
    if forks:
        fork()
    with pytest.raises(FolderMoved, match="removed"):
        log.append([new_event("run/a", 2)])
    folder.mkdir()
    with pytest.raises(FolderMoved):
        log.append([new_event("run/a", 2)])
    assert list(folder.iterdir()) == []


@pytest.mark.processes
@pytest.mark.parametrize("forks", [False, True])
def test_a_backup_in_the_place_of_a_log_is_another_log(
    log: SqliteLog, folder: Path, tmp_path: Path, forks: bool
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(folder, backup)
    log.append([new_event("run/a", 2)])
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)
    before = content_of(folder)
    if forks:
        fork()
    with pytest.raises(FolderMoved):
        log.append([new_event("run/a", 3)])
    assert content_of(folder) == before


@pytest.mark.processes
def test_a_file_that_is_put_into_the_place_of_the_log_is_another_log(
    log: SqliteLog, path: Path, folder: Path
) -> None:
    with start_python(MAKE, folder / "other.sqlite") as other:
        other.communicate("go on\n")
    before = (folder / "other.sqlite").read_bytes()
    path.rename(folder / "mine.sqlite")
    (folder / "other.sqlite").rename(path)
    with pytest.raises(LogReplaced, match="was replaced or removed"):
        log.append([new_event("run/a", 2)])
    with pytest.raises(LogReplaced):
        log.head()
    assert path.read_bytes() == before


def test_a_removed_file_is_not_made_again(log: SqliteLog, path: Path, folder: Path) -> None:
    path.unlink()
    with pytest.raises(LogReplaced):
        log.append([new_event("run/a", 2)])
    assert not path.exists()


@pytest.mark.processes
def test_an_earlier_state_of_the_log_in_its_own_file_is_another_log(
    log: SqliteLog, path: Path
) -> None:
    """A backup that is copied over the file keeps its inode; so may a file made after it."""
    log.close()
    backup = path.read_bytes()
    log.append([new_event("run/a", 2)])

    def replaced() -> str:
        # In a child, where the log is not open.
        path.write_bytes(backup)
        with pytest.raises(LogReplaced):
            log.append([new_event("run/a", 3)])
        return "refused"

    assert in_child(replaced) == "refused"
    assert path.read_bytes() == backup
    with pytest.raises(LogReplaced):
        log.append([new_event("run/a", 3)])
    assert versions(path) == [1]


@pytest.mark.processes
def test_a_moved_log_that_is_opened_again_here_leaves_the_one_in_its_place_alone(
    log: SqliteLog, path: Path, folder: Path, tmp_path: Path
) -> None:
    """SQLite shares -shm between connections of a process, and knows one path of it only."""
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    with start_python(MAKE, path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "made\n"
        before = content_of(folder)
        again = open_sqlite(tmp_path / "moved" / "log.sqlite")
        again.append([new_event("run/a", 2)])
        log.close()
        again.close()
        assert content_of(folder).keys() == before.keys()
        other.communicate("go on\n")
    assert versions(path) == [1, 2]
    assert versions(tmp_path / "moved" / "log.sqlite") == [1, 2]


@pytest.mark.processes
def test_a_new_log_takes_its_rights_from_the_umask(tmp_path: Path) -> None:
    def modes(umask: int, name: str, erasable: bool = False) -> dict[str, str]:
        os.umask(umask)
        folder = tmp_path / name
        folder.mkdir()
        log = open_sqlite(folder / "log.sqlite", erasable=erasable)
        log.append([new_event("run/a", 1)])
        found = {file.name: f"{file.stat().st_mode & 0o777:04o}" for file in folder.iterdir()}
        log.close()
        return found

    everything = ["log.sqlite", "log.sqlite-queue", "log.sqlite-shm", "log.sqlite-wal"]
    for umask, mode in ((0o002, "0664"), (0o022, "0644"), (0o077, "0600"), (0, "0666")):
        found = in_child(partial(modes, umask, mode))
        assert found == dict.fromkeys(everything, mode)
    found = in_child(lambda: modes(0o002, "erasable", erasable=True))
    assert {found[name] for name in everything if "queue" not in name} == {"0600"}


@pytest.mark.processes
def test_a_new_log_comes_without_a_journal_that_others_could_find(path: Path) -> None:
    found: set[str] = set()
    log = open_sqlite(path)
    log.append([new_event("run/a", 1)])
    log.close()
    found.update(file.name for file in path.parent.iterdir())
    assert found == {"log.sqlite", "log.sqlite-queue"}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_log_whose_file_has_another_name_at_the_old_place_was_moved(
    folder: Path, path: Path, log: SqliteLog
) -> None:
    moved = folder.rename(folder.with_name("moved"))
    folder.mkdir()
    os.link(moved / path.name, path)

    with pytest.raises(FolderMoved):
        all_rows(log)
    with pytest.raises(FolderMoved):
        log.append([new_event("run/a", 2)])
