"""A WAL that a killed process left beside a log, which is then replaced by another file."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from runlore.storage.left_wal import ForeignWal
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows, new_event
from tests.processes import in_child

pytestmark = pytest.mark.processes

WAL = "log.sqlite-wal"


def written(folder: Path, stream: str, numbers: Sequence[int], *, killed: bool = False) -> None:
    """Append events to the log in a folder, in a process that closes it or is killed."""

    def write() -> None:
        folder.mkdir(exist_ok=True)
        log = open_sqlite(folder / "log.sqlite")
        for number in numbers:
            log.append([new_event(stream, number)])
        if not killed:  # Else the child ends without closing it.
            log.close()

    in_child(write)
    assert (folder / WAL).exists() is killed


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of all files but the index of the WAL, which is made from it."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if "-shm" not in file.name}


def events(folder: Path) -> list[tuple[str, int]]:
    with closing(open_sqlite(folder / "log.sqlite")) as log:
        assert verify_log(log).holds
        return [(row.stream, row.version) for row in all_rows(log)]


def of(stream: str, n: int) -> list[tuple[str, int]]:
    return [(stream, number) for number in range(1, n + 1)]


def test_the_wal_of_a_killed_process_is_read(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    written(lab, "run/a", [1, 2], killed=True)  # All of it is in the WAL.
    assert events(lab) == of("run/a", 2)
    written(lab, "run/a", range(3, 600), killed=True)  # Parts of it are in the file by now.
    assert events(lab) == of("run/a", 599)


@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize("moves", [True, False])
def test_a_log_beside_the_wal_of_another_one_is_refused(
    tmp_path: Path, moves: bool, n: int
) -> None:
    lab, other = tmp_path / "lab", tmp_path / "other"
    written(lab, "run/a", [1, 2])
    written(lab, "run/a", [3, 4], killed=True)
    written(other, "run/b", range(1, n + 1))
    copied = shutil.copy(other / "log.sqlite", tmp_path / "copy")
    if moves:
        Path(copied).rename(lab / "log.sqlite")
    else:  # Into the same file.
        (lab / "log.sqlite").write_bytes(Path(copied).read_bytes())
    (lab / "log.sqlite-shm").unlink()
    before = files_of(lab)

    for _ in range(2):
        with pytest.raises(ForeignWal, match=f"the log that you want, up to position {n}, move"):
            open_sqlite(lab / "log.sqlite")
    assert files_of(lab) == before
    for suffix in ("-wal", "-shm"):
        (lab / f"log.sqlite{suffix}").unlink(missing_ok=True)
    assert events(lab) == of("run/b", n)


@pytest.mark.parametrize("missing", [1, 400])
def test_an_older_copy_beside_a_newer_wal_is_read_if_that_has_all_and_else_refused(
    tmp_path: Path, missing: int
) -> None:
    lab = tmp_path / "lab"
    written(lab, "run/a", range(1, 31))
    shutil.copy(lab / "log.sqlite", tmp_path / "backup")
    written(lab, "run/a", range(31, 31 + missing))  # In the file, and not in the WAL.
    written(lab, "run/b", [1, 2, 3], killed=True)
    shutil.copy(tmp_path / "backup", lab / "log.sqlite")

    if missing == 1:  # It is on a page that was written to later, too.
        assert events(lab) == [*of("run/a", 31), *of("run/b", 3)]
        return
    with pytest.raises(ForeignWal, match="up to position 30"):
        open_sqlite(lab / "log.sqlite")
    (lab / WAL).unlink()
    (lab / "log.sqlite-shm").unlink()
    assert events(lab) == of("run/a", 30)


def test_a_newer_log_beside_an_older_wal_is_refused(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    written(lab, "run/a", [1, 2])
    written(lab, "run/a", [3], killed=True)
    shutil.copy(lab / WAL, tmp_path / "wal")
    written(lab, "run/a", range(4, 40))
    shutil.copy(tmp_path / "wal", lab / WAL)

    with pytest.raises(ForeignWal, match="up to position 39"):
        open_sqlite(lab / "log.sqlite")
    (lab / WAL).unlink()
    (lab / "log.sqlite-shm").unlink()
    assert events(lab) == of("run/a", 39)


def test_a_copy_has_what_is_only_in_the_wal(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    written(lab, "run/a", [1, 2])
    written(lab, "run/a", [3, 4], killed=True)
    shutil.copytree(lab, tmp_path / "copy")
    assert events(tmp_path / "copy") == of("run/a", 4)


def test_a_file_that_was_written_back_in_part_is_mended_by_its_wal(tmp_path: Path) -> None:
    """As a machine leaves it that stops while SQLite copies pages from the WAL."""
    lab = tmp_path / "lab"
    written(lab, "run/a", [1, 2])
    written(lab, "run/a", range(3, 200), killed=True)
    old = (lab / "log.sqlite").read_bytes()
    wal = (lab / WAL).read_bytes()
    shutil.copytree(lab, tmp_path / "done")
    with closing(sqlite3.connect(tmp_path / "done" / "log.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint")
    new = (tmp_path / "done" / "log.sqlite").read_bytes()
    assert len(new) > len(old)
    for pages in range(0, len(new) // 8192 + 1):
        part = tmp_path / f"part {pages}"
        part.mkdir()
        done = pages * 8192
        (part / "log.sqlite").write_bytes(new[:done] + old[done:])
        (part / WAL).write_bytes(wal)
        assert events(part) == of("run/a", 199)
