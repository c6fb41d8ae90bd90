"""Writers' lock files: there before the first event, free at death, and worth nothing in copies."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import shutil
import signal
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from runlore.domain.events import ExperimentCreated, WriterOpened
from runlore.storage import writers
from runlore.storage.errors import DiskFull
from runlore.storage.event_log import Drained, NewEvent, StoredRow
from runlore.storage.file_identity import FileIdentity
from runlore.storage.held_folder import FolderMoved
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.journal import Journal, Pending
from runlore.storage.memory_log import MemoryLog
from runlore.storage.this_process import boot_id, this_process
from runlore.storage.writers import (
    Life,
    WriterLock,
    holds_copies,
    lock_path,
    remove_lock,
    state_of,
    writers_in,
)
from tests.processes import in_child, wait_until

ANN = "a" * 32
BOB = "b" * 32


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    folder.mkdir()
    return folder


@pytest.fixture
def lock(lab: Path) -> Iterator[WriterLock]:
    lock = WriterLock(hold(lab))
    yield lock
    lock.close()


def journal_of(log: MemoryLog, announce: Callable[[str], None]) -> Journal:
    opened = WriterOpened(
        actor="ann", host="node1", boot_id="b", pid=7, process="train.py", client_version="0"
    )
    return Journal(log, lambda: opened, announce=announce)


def an_event(version: int = 1) -> Pending:
    event = ExperimentCreated(experiment_id=str(version), name="e")
    return Pending("experiment/e", version, event)


def life_of(workspace: Path, writer_id: str) -> Life:
    return state_of(hold(workspace), writer_id).life


# --- in the life of a journal ---------------------------------------------------------------------


def test_lock_is_there_before_the_first_event(lab: Path, lock: WriterLock) -> None:
    found: list[list[str]] = []

    class Log(MemoryLog):
        def append(
            self, events: Sequence[NewEvent], *, drained: Drained | None = None
        ) -> tuple[StoredRow, ...]:
            found.append(writers_in(hold(lab)))
            return super().append(events, drained=drained)

    journal = journal_of(Log(), lock.make)
    journal.append([an_event()])
    journal.append([an_event(2)])
    assert found == [[journal.writer_id]] * 2


def test_reading_makes_no_lock(lab: Path, lock: WriterLock) -> None:
    journal = journal_of(MemoryLog(), lock.make)
    assert journal.facts("experiment/e") == []
    assert not (lab / "writers").exists()


def test_nothing_is_appended_if_the_lock_cannot_be_made(lab: Path, lock: WriterLock) -> None:
    log = MemoryLog()
    shutil.rmtree(lab)
    with pytest.raises(FolderMoved, match="was removed while it was open"):
        journal_of(log, lock.make).append([an_event()])
    assert not log.read_stream("experiment/e")
    assert not lab.exists()


def test_a_lock_that_finds_no_room_leaves_nothing_and_can_be_made_later(
    lab: Path, lock: WriterLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(fd: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        with pytest.raises(DiskFull, match=re.escape(str(lab / "writers"))):
            lock.make(ANN)
    assert os.listdir(lab / "writers") == []

    lock.make(ANN)
    assert life_of(lab, ANN) is Life.ALIVE


# --- who is alive ---------------------------------------------------------------------------------


def test_writer_is_alive_until_it_closes(lab: Path, lock: WriterLock) -> None:
    lock.make(ANN)
    state = state_of(hold(lab), ANN)
    assert state.life is Life.ALIVE and state.process is not None
    # Each asks for the time anew.
    assert state.process._replace(started_at=0) == this_process()._replace(started_at=0)
    assert abs(state.process.started_at - this_process().started_at) < 100_000
    assert writers_in(hold(lab)) == [ANN]
    lock.close()
    assert life_of(lab, ANN) is Life.LEFT
    assert writers_in(hold(lab)) == []


def test_making_a_lock_again_changes_nothing(lab: Path, lock: WriterLock) -> None:
    lock.make(ANN)
    before = lock_path(hold(lab), ANN).stat().st_ino
    lock.make(ANN)
    assert lock_path(hold(lab), ANN).stat().st_ino == before


def test_team_can_read_the_lock(lab: Path, lock: WriterLock) -> None:
    before = os.umask(0o002)
    try:
        lock.make(ANN)
    finally:
        os.umask(before)
    assert stat.S_IMODE(lock_path(hold(lab), ANN).stat().st_mode) == 0o664


@pytest.mark.processes
def test_killed_writer_is_dead_although_its_forked_child_lives(lab: Path) -> None:
    read_end, write_end = os.pipe()
    killed = os.fork()
    if killed == 0:
        lock = WriterLock(hold(lab))
        lock.make(ANN)
        child = os.fork()
        if child == 0:  # As a data loader: it waits for a parent that is no more.
            lock.make(BOB)
            os.write(write_end, str(os.getpid()).encode())
            signal.pause()
        signal.pause()
    child = int(os.read(read_end, 20))
    try:
        assert (life_of(lab, ANN), life_of(lab, BOB)) == (Life.ALIVE, Life.ALIVE)
        os.kill(killed, signal.SIGKILL)
        os.waitpid(killed, 0)
        dead = state_of(hold(lab), ANN)
        assert (dead.life, life_of(lab, BOB)) == (Life.DEAD, Life.ALIVE)
        assert dead.process is not None and dead.process.pid == killed
        assert f"pid {killed}" in dead.why and "without closing" in dead.why
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(read_end)
        os.close(write_end)
    wait_until(lambda: life_of(lab, BOB) is Life.DEAD, "the child's death")


@pytest.mark.processes
def test_forked_child_that_closes_leaves_the_lock_of_its_parent(
    lab: Path, lock: WriterLock
) -> None:
    lock.make(ANN)
    in_child(lock.close)
    assert life_of(lab, ANN) is Life.ALIVE


@pytest.mark.processes
def test_child_of_a_fork_without_hooks_lets_go_as_well(lab: Path, lock: WriterLock) -> None:
    lock.make(ANN)
    child = ctypes.PyDLL(None).fork()  # As a library does, behind Python's back.
    if child == 0:
        lock.make(BOB)
        os._exit(len(writers_in(hold(lab))))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    assert (life_of(lab, ANN), life_of(lab, BOB)) == (Life.ALIVE, Life.DEAD)


# --- where a free lock proves nothing -------------------------------------------------------------


def test_copied_lock_says_nothing(lab: Path, lock: WriterLock, tmp_path: Path) -> None:
    lock.make(ANN)
    copy = tmp_path / "copy"
    shutil.copytree(lab, copy)
    state = state_of(hold(copy), ANN)
    assert (state.life, state.in_copy) == (Life.UNKNOWN, True)
    assert state.why.startswith("copied workspace: ")
    assert holds_copies(hold(copy)) and not holds_copies(hold(lab))


def test_folder_put_back_from_a_backup_is_a_copy(lab: Path, lock: WriterLock) -> None:
    lock.make(ANN)
    backup = lab.with_name("backup")
    shutil.copytree(lab, backup)
    shutil.rmtree(lab)
    backup.rename(lab)
    lock.close()  # It is another file now: not this writer's to remove.
    assert state_of(hold(lab), ANN).in_copy


def test_moved_folder_is_no_copy(lab: Path, lock: WriterLock) -> None:
    lock.make(ANN)
    moved = lab.rename(lab.with_name("moved"))
    assert life_of(moved, ANN) is Life.ALIVE


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(FileIdentity(1, 2, 3), True, id="unchanged"),
        pytest.param(FileIdentity(9, 2, 3), True, id="device numbered anew at a mount"),
        pytest.param(FileIdentity(1, 2, 9), True, id="file system without a lasting id"),
        pytest.param(FileIdentity(1, 9, 3), False, id="another inode"),
        pytest.param(FileIdentity(9, 2, 9), False, id="the same inode on another disk"),
    ],
)
def test_same_file_has_the_same_inode_on_the_same_disk(other: FileIdentity, same: bool) -> None:
    assert FileIdentity(1, 2, 3).is_of(other) is same


def test_disks_without_an_id_are_told_apart_by_their_devices() -> None:
    assert not FileIdentity(1, 2, 0).is_of(FileIdentity(9, 2, 0))


@pytest.mark.processes
def test_where_locks_of_others_are_not_seen_nobody_is_dead(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_a_network(folder: HeldPath, *, same_kernel: bool) -> bool:
        assert (folder, same_kernel) == (hold(lab), True)
        return False

    in_child(lambda: WriterLock(hold(lab)).make(ANN))
    assert life_of(lab, ANN) is Life.DEAD
    monkeypatch.setattr(writers, "shows_locks_of", on_a_network)
    state = state_of(hold(lab), ANN)
    assert (state.life, state.in_copy) == (Life.UNKNOWN, False)
    assert "may be alive" in state.why


# --- what a stranger may put there ----------------------------------------------------------------


def good_line(lab: Path) -> dict[str, object]:
    lock = WriterLock(hold(lab))
    lock.make(ANN)
    found: dict[str, object] = json.loads(lock_path(hold(lab), ANN).read_bytes())
    lock.close()
    return found


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"writer": BOB}, id="another writer's"),
        pytest.param({"inode": "7"}, id="a text for a number"),
        pytest.param({"pid": True}, id="a bool for a number"),
        pytest.param({"host": None}, id="no text"),
    ],
)
def test_damaged_lock_says_nothing(lab: Path, change: dict[str, object]) -> None:
    line = json.dumps({**good_line(lab), **change})
    lock_path(hold(lab), ANN).plain.write_text(line)
    state = state_of(hold(lab), ANN)
    assert (state.life, state.why) == (Life.UNKNOWN, "its lock file is damaged")


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"[" * 60_000, b'{"format": 1}'])
def test_content_that_is_none_says_nothing(lab: Path, content: bytes) -> None:
    (lab / "writers").mkdir()
    lock_path(hold(lab), ANN).plain.write_bytes(content)
    assert life_of(lab, ANN) is Life.UNKNOWN


def test_links_and_pipes_are_not_followed(lab: Path, lock: WriterLock) -> None:
    lock.make(BOB)
    lock_path(hold(lab), ANN).plain.symlink_to(lock_path(hold(lab), BOB).plain)
    assert life_of(lab, ANN) is Life.UNKNOWN
    remove_lock(hold(lab), ANN)
    os.mkfifo(lock_path(hold(lab), ANN).plain)
    state = state_of(hold(lab), ANN)
    assert state.life is Life.UNKNOWN and "it is a pipe" in state.why


def test_only_files_of_writers_are_listed(lab: Path, lock: WriterLock) -> None:
    lock.make(ANN)
    for name in ("notes.txt", "UPPER.lock", f".{BOB}.new", f"{BOB}.lock.bak"):
        (lab / "writers" / name).touch()
    assert writers_in(hold(lab)) == [ANN]


def test_later_fields_are_ignored(lab: Path) -> None:
    line = json.dumps({**good_line(lab), "later": 1}) + "\nmore"
    lock_path(hold(lab), ANN).plain.write_text(line)
    process = state_of(hold(lab), ANN).process
    assert process is not None and process.boot_id == boot_id()
