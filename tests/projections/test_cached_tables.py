"""Giving back what the cache keeps: surplus slots, old versions, and what passes the limit."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from runlore.domain.errors import InvalidInput
from runlore.projections.cached_tables import (
    OLD_AFTER_S,
    cached_logs,
    clean,
    limit_nbytes,
    nbytes_in,
    tables_in,
    tidy,
    tidy_at_times,
)
from runlore.projections.generations import Publishing
from runlore.projections.own_projection import OwnProjection
from runlore.projections.segment_files import BOUNDS
from runlore.projections.slots import KEPT, ReaderSlot, claim, process_in, slots_in
from runlore.storage.file_lock import locked
from runlore.storage.held_path import hold
from runlore.storage.user_cache import Origin, folder_of_log
from tests.projections.histories import History

NO_LIMIT = 10**18
DAY_S = 24 * 3_600


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def log_folder(cache: Path, name: str) -> Path:
    """The folder of a log; its workspace is empty."""
    workspace = cache.parent / name
    workspace.mkdir(exist_ok=True)
    (workspace / "log.sqlite").touch()
    return folder_of_log(cache, hold(workspace) / "log.sqlite", Origin(name, name, str(workspace)))


def tables(cache: Path, name: str, *, number: int = 2, nbytes: int = 0, idle_s: int = 0) -> Path:
    """A version's tables with a slot and a generation, unused for some time."""
    folder = log_folder(cache, name) / f"{number}-0123abcd-duckdb2.0.0"
    slot = claim(folder)
    (slot.folder / "projection.duckdb").write_bytes(b"x" * nbytes)
    (folder / "generations/7").mkdir(parents=True)
    slot.release()
    ago = time.time() - idle_s
    for path in (slot.folder / "lock", folder / "generations/7"):
        os.utime(path, (ago, ago))
    return folder


def names_in(cache: Path) -> set[str]:
    return {log.origin.name for log in cached_logs(cache) if log.origin is not None}


# --- slots ------------------------------------------------------------------------------------


def test_of_many_readers_at_once_a_few_slots_stay(cache: Path) -> None:
    history = History()
    history.experiment()
    history.run("r")
    readers = [OwnProjection(history.log, cache / "log") for _ in range(12)]
    for reader in readers:
        reader.refresh()
    [folder] = tables_in(cache / "log")
    assert len(slots_in(folder)) == 12

    for reader in readers:
        reader.close()

    assert [slot.name for slot in slots_in(folder)] == [f"reader-{k}" for k in range(KEPT)]
    assert not list(folder.glob("gone-*"))
    again = OwnProjection(history.log, cache / "log")
    again.refresh()
    assert again.events_read == 0
    again.close()


def test_slots_of_killed_processes_are_given_back_later(cache: Path) -> None:
    folder = tables(cache, "lab")
    held = [claim(folder) for _ in range(8)]
    for slot in held[:7]:
        slot.forget()  # As the kernel does for a killed process.
    (folder / "gone-half").mkdir()
    (folder / "gone-half/file").touch()

    tidy(cache, NO_LIMIT)

    assert [slot.name for slot in slots_in(folder)] == [
        *(f"reader-{k}" for k in range(KEPT)),
        held[7].folder.name,
    ], "one of them is in use"
    assert not list(folder.glob("gone-*"))
    held[7].release()


def test_a_slot_that_is_given_back_while_another_process_claims_it_is_nobodys(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tables(cache, "lab")
    holder = claim(folder)
    claimed: list[ReaderSlot] = []
    opened = os.open

    def opened_then_removed(path: str, flags: int, mode: int = 0o777, **options: int) -> int:
        fd = opened(path, flags, mode, **options)
        if str(path).endswith("reader-0/lock") and not claimed:
            monkeypatch.undo()
            shutil.rmtree(holder.folder)  # As `give_back` does, between opening and locking.
            holder.forget()
            claimed.append(claim(folder))
        return fd

    monkeypatch.setattr(os, "open", opened_then_removed)
    second = claim(folder)

    assert [claimed[0].folder.name, second.folder.name] == ["reader-0", "reader-1"]
    assert [process_in(slot) for slot in slots_in(folder)] == [os.getpid()] * 2


# --- versions ---------------------------------------------------------------------------------


def test_versions_that_are_out_of_use_are_given_back(cache: Path) -> None:
    current = tables(cache, "lab", number=3, idle_s=30 * DAY_S)
    tables(cache, "lab", number=2, idle_s=31 * DAY_S)
    other = tables(cache, "other", number=2)
    still_used = tables(cache, "other", number=1, idle_s=OLD_AFTER_S - DAY_S)

    tidy(cache, NO_LIMIT)

    assert tables_in(current.parent) == [current], "the one used last stays, however old"
    assert set(tables_in(other.parent)) == {other, still_used}


def test_old_versions_can_be_cleaned_at_once(cache: Path) -> None:
    current = tables(cache, "lab", number=3)
    tables(cache, "lab", number=2, nbytes=100_000, idle_s=60)
    [log] = cached_logs(cache)

    assert clean(log, only_old=True) >= 100_000

    assert tables_in(current.parent) == [current]
    [log] = cached_logs(cache)
    assert clean(log) > 0
    assert cached_logs(cache) == []
    assert list((cache / "logs").iterdir()) == []


# --- the limit --------------------------------------------------------------------------------


def test_above_the_limit_the_least_recently_used_tables_go(cache: Path) -> None:
    for name, idle_s in (("a", 30), ("b", 10), ("c", 20), ("d", 0)):
        tables(cache, name, nbytes=100_000, idle_s=idle_s)
    total = sum(log.nbytes for log in cached_logs(cache))

    tidy(cache, total)
    assert names_in(cache) == {"a", "b", "c", "d"}
    tidy(cache, total - 1)
    assert names_in(cache) == {"b", "c", "d"}
    tidy(cache, total // 2)
    assert names_in(cache) == {"b", "d"}
    tidy(cache, 0)
    assert names_in(cache) == {"d"}, "those used last stay, however large"


def test_what_a_living_process_has_open_stays(cache: Path) -> None:
    used = tables(cache, "used", nbytes=100_000)
    slot = claim(used)
    ago = time.time() - 60
    os.utime(used / "reader-0/lock", (ago, ago))
    tables(cache, "free", nbytes=100_000)

    tidy(cache, 0)
    assert names_in(cache) == {"used", "free"}
    for log in cached_logs(cache):
        clean(log)
    [log] = cached_logs(cache)
    assert log.processes == (os.getpid(),)
    assert (used / "reader-0/projection.duckdb").exists()

    slot.release()
    clean(log)
    assert cached_logs(cache) == []


def test_a_generation_that_is_being_published_stays(cache: Path) -> None:
    folder = tables(cache, "lab")
    with locked(folder / "generations/lock") as lock:
        assert lock is not None
        [log] = cached_logs(cache)
        clean(log)
        assert (folder / "generations/7").exists()
    clean(log)
    assert cached_logs(cache) == []


def test_linked_segments_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    alone = nbytes_in(tmp_path)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert 100_000 <= nbytes_in(tmp_path) == alone


@pytest.mark.parametrize(
    ("given", "nbytes"),
    [
        ("", 5_000_000_000),
        ("0", 0),
        ("123456", 123_456),
        ("20GB", 20 * 10**9),
        ("1.5 kB", 1_500),
        ("512MiB", 512 * 2**20),
        ("2t", 2 * 10**12),
        ("7 B", 7),
    ],
)
def test_the_limit_has_units(given: str, nbytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLORE_CACHE_LIMIT", given)
    assert limit_nbytes() == nbytes


@pytest.mark.parametrize("given", ["much", "-1", "5 gallons", "1e9", "GB"])
def test_a_meaningless_limit_is_told_and_does_not_keep_from_tidying(
    given: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNLORE_CACHE_LIMIT", given)
    with pytest.raises(InvalidInput, match="RUNLORE_CACHE_LIMIT is .* a size such as 5GB"):
        limit_nbytes()
    (tables(cache, "lab") / "gone-half").mkdir()

    tidy_at_times(cache)

    assert not list(cache.rglob("gone-*"))


# --- when -------------------------------------------------------------------------------------


def leftovers_after(act: Callable[[], None], cache: Path) -> list[Path]:
    leftover = tables(cache, "lab") / "gone-half"
    leftover.mkdir()
    act()
    return list(cache.rglob("gone-*"))


def test_tidying_is_done_at_most_once_an_hour(cache: Path) -> None:
    shutil.rmtree(cache)
    tidy_at_times(cache)  # There is nothing yet, not even a place for the stamp.
    cache.mkdir()
    act = partial(tidy_at_times, cache)
    assert leftovers_after(act, cache) == []
    shutil.rmtree(cache / "logs")
    assert len(leftovers_after(act, cache)) == 1
    ago = time.time() - 3_601
    os.utime(cache / "tidied", (ago, ago))
    tidy_at_times(cache)
    assert not list(cache.rglob("gone-*"))


def test_two_processes_do_not_tidy_at_once(cache: Path) -> None:
    with locked(cache / "tidied") as lock:
        assert lock is not None
        os.utime(lock, (0, 0))
        assert len(leftovers_after(partial(tidy_at_times, cache), cache)) == 1


def test_it_is_done_after_publishing_and_when_tables_are_closed(tmp_path: Path) -> None:
    history = History()
    history.experiment()
    tidied: list[bool] = []
    always = Publishing(after_s=-1.0, pause_s=0.0, worth_positions=1)
    projection = OwnProjection(
        history.log,
        tmp_path / "log",
        BOUNDS,
        always,
        tidy=lambda: tidied.append(any(map(process_in, tmp_path.glob("log/*/reader-0")))),
    )
    projection.refresh()
    projection.finish_publishing()
    assert tidied == [True]
    projection.close()
    assert tidied == [True, False]
    projection.close()
    assert tidied == [True, False]
