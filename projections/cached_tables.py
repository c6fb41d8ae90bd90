"""What the user's cache keeps of tables: what there is, and giving back what nobody needs.

Everything here can be made again from a log. Nothing is removed that a living process has locked.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.domain.sizes import nbytes_of
from runlore.projections import generations, slots
from runlore.storage.file_lock import locked
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.held_trees import remove_tree, walk
from runlore.storage.log_opener import file_of_log
from runlore.storage.user_cache import (
    FolderOfLog,
    Origin,
    folders_of_logs,
    forget_log,
    key_of_log,
    known_caches,
)

GENERATIONS: Final = "generations"
LIMIT_VARIABLE: Final = "RUNLORE_CACHE_LIMIT"
LIMIT_NBYTES: Final = 5_000_000_000
TIDY_INTERVAL_S: Final = 3_600
OLD_AFTER_S: Final = 7 * 24 * 3_600
"""After this time without use, tables are given back if newer ones of the log are in use."""

_STAMP: Final = "tidied"
_IN_WORKSPACE: Final = "projections"
# Compiled at its first use: every opening imports this module, and few need it.
_VERSION: Final = r"\d+-[0-9a-f]{8}-duckdb[0-9A-Za-z.+-]+"


class CachedTables(NamedTuple):
    """The tables of one version that were made from one log: slots and generations.

    `last_use_ns` is 0 if no process has used them; `processes` are those that have a slot.
    """

    path: Path
    nbytes: int
    last_use_ns: int
    processes: tuple[int, ...]


class CachedLog(NamedTuple):
    """All tables that were made from one log, those used last first."""

    path: Path
    origin: Origin | None
    versions: tuple[CachedTables, ...]

    @property
    def nbytes(self) -> int:
        """The space on the disk, in the cache."""
        return sum(tables.nbytes for tables in self.versions)

    @property
    def in_workspace(self) -> list[HeldPath]:
        """The tables that earlier versions of runlore left in the workspace's own folder."""
        try:
            return [] if self.origin is None else _tables_in_workspace(hold(self.origin.folder))
        except OSError:
            return []

    @property
    def last_use_ns(self) -> int:
        """When a process last used one of the versions; 0 if none did."""
        return max((tables.last_use_ns for tables in self.versions), default=0)

    @property
    def processes(self) -> tuple[int, ...]:
        """The processes that use one of the versions."""
        return tuple(pid for tables in self.versions for pid in tables.processes)


def cached_logs(cache: Path) -> list[CachedLog]:
    """What the cache holds, by log; those used last first."""
    found = [_cached_log(one) for one in folders_of_logs(cache)]
    return sorted(found, key=lambda log: log.last_use_ns, reverse=True)


def _cached_log(one: FolderOfLog) -> CachedLog:
    versions = [_cached_tables(folder) for folder in tables_in(one.path)]
    versions.sort(key=lambda tables: tables.last_use_ns, reverse=True)
    return CachedLog(one.path, one.origin, tuple(versions))


def tables_in(folder: Path) -> list[Path]:
    """The folders of tables below a log's folder, one for each version; links are none."""
    if folder.is_symlink():
        return []
    try:
        found = [path for path in folder.iterdir() if re.fullmatch(_VERSION, path.name)]
    except OSError:
        return []
    return [path for path in found if stat.S_ISDIR(path.lstat().st_mode)]


def _tables_in_workspace(workspace: HeldPath) -> list[HeldPath]:
    """As `tables_in`, in a folder where anybody may have put anything."""
    try:
        found = (workspace / _IN_WORKSPACE).entries()
    except OSError:
        return []
    return [one.path for one in found if one.is_folder and re.fullmatch(_VERSION, one.path.name)]


def _cached_tables(folder: Path) -> CachedTables:
    in_it = slots.slots_in(folder)
    published = generations.finished(folder / GENERATIONS)
    uses = [slots.last_use_ns(slot) for slot in in_it]
    uses += [_changed_ns(generation.folder) for generation in published]
    pids = [pid for slot in in_it if (pid := slots.process_in(slot)) is not None]
    return CachedTables(folder, nbytes_in(folder), max(uses, default=0), tuple(pids))


def nbytes_in(folder: Path) -> int:
    """The space on the disk of the files below a folder; linked ones count once."""
    inodes: dict[tuple[int, int], int] = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # It was removed in the meantime.
                found = os.lstat(os.path.join(path, name))
                inodes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(inodes.values())


def nbytes_in_workspace(folder: HeldPath) -> int:
    """As `nbytes_in`, of a folder in a workspace, without following a link."""
    nbytes = 0
    with suppress(OSError):  # Something was removed in the meantime, or is not ours to see.
        for _, entry in walk(folder):
            nbytes += entry.path.stat().st_blocks * 512
    return nbytes


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


# --- giving back ----------------------------------------------------------------------------


def give_back(tables: Path) -> bool:
    """Remove a version's tables, but those that processes have; say whether all are gone."""
    gone = True
    for slot in slots.slots_in(tables):
        try:
            gone &= slots.give_back(slot)
        except OSError:
            gone = False
    if not gone:
        return False
    if not generations.give_back(tables / GENERATIONS):
        return False
    _remove_leftovers(tables)
    try:
        tables.rmdir()
    except OSError:  # A process has begun to use it, or somebody has put a file there.
        return False
    return True


def clean(log: CachedLog, *, only_old: bool = False) -> int:
    """Remove a log's tables, or those of all versions but the one used last; return the bytes.

    Also those that earlier versions of runlore left in the workspace's own folder. They are never
    read, because anybody may have written them.
    """
    freed = 0
    for tables in log.versions[1 if only_old else 0 :]:
        before = nbytes_in(tables.path)
        give_back(tables.path)
        freed += before - nbytes_in(tables.path)
    for left in log.in_workspace:
        freed += _removed_in_workspace(left)
    forget_log(log.path)
    return freed


def _removed_in_workspace(tables: HeldPath) -> int:
    """Remove tables in a workspace's own folder, as far as possible; return the freed bytes."""
    nbytes = nbytes_in_workspace(tables)
    with suppress(OSError):
        remove_tree(tables)
        tables.parent.remove_folder()
    return nbytes if not tables.exists() else nbytes - nbytes_in_workspace(tables)


def tidy_at_times(cache: Path) -> None:
    """Tidy, unless a process did within the last hour or is doing so. Never raises."""
    stamp = cache / _STAMP
    with suppress(OSError):
        if time.time_ns() - _changed_ns(stamp) < TIDY_INTERVAL_S * 10**9:
            return
        with locked(stamp, flags=os.O_CREAT | os.O_NOFOLLOW) as lock:
            if lock is not None:
                os.utime(lock)
                try:
                    limit = limit_nbytes()
                except InvalidInput:  # `runlore cache show` tells it.
                    limit = LIMIT_NBYTES
                tidy(cache, limit)


def tidy(cache: Path, limit: int) -> None:
    """Remove what nobody needs any more: surplus slots, tables of versions that are out of use.

    Then, while there are more than `limit` bytes, the tables that were used least recently; but
    never those used last.
    """
    for one in folders_of_logs(cache):
        for tables in tables_in(one.path):
            _remove_leftovers(tables)
            for slot in slots.slots_in(tables)[slots.KEPT :]:
                with suppress(OSError):
                    slots.give_back(slot)
    long_ago = time.time_ns() - OLD_AFTER_S * 10**9
    for log in cached_logs(cache):
        for old in log.versions[1:]:
            if old.last_use_ns < long_ago:
                give_back(old.path)
        if not log.versions:
            forget_log(log.path)
    _keep_within(cache, limit)


def _keep_within(cache: Path, limit: int) -> None:
    logs = cached_logs(cache)
    held = sorted(
        (tables for log in logs for tables in log.versions), key=lambda tables: tables.last_use_ns
    )
    excess = sum(tables.nbytes for tables in held) - limit
    for tables in held[:-1]:
        if excess <= 0:
            return
        if give_back(tables.path):
            forget_log(tables.path.parent)
        excess -= tables.nbytes - nbytes_in(tables.path)


def _remove_leftovers(tables: Path) -> None:
    for path in tables.glob(f"{slots.GIVEN_BACK}*"):
        shutil.rmtree(path, ignore_errors=True)


# --- erasures -------------------------------------------------------------------------------


class Erased(NamedTuple):
    """What an erasure has to wait for.

    Slots of processes, and folders of generations that a process is publishing.
    """

    in_use: list[slots.InUse]
    publishing: list[Path]


def remove_erased(workspace: HeldPath, workspace_id: str, erasure: int) -> Erased:
    """Remove the tables of a workspace from before an erasure, all that this user can see.

    They are in this user's caches, or were left in the workspace by earlier versions of runlore:
    then all go, because nothing reads them any more. Tables of copies of the workspace, or of its
    earlier places, go as well, but nobody waits for processes that read those. Raises OSError.
    """
    for tables in _tables_in_workspace(workspace):
        remove_tree(tables)
    left = Erased([], [])
    key = key_of_log(file_of_log(workspace), workspace_id)
    for cache in known_caches():
        for one in folders_of_logs(cache):
            if one.path.name == key:
                here = remove_from_before(one.path, erasure)
                left.in_use.extend(here.in_use)
                left.publishing.extend(here.publishing)
            elif one.origin is not None and one.origin.workspace_id == workspace_id:
                with suppress(OSError):
                    remove_from_before(one.path, erasure)
    return left


def remove_from_before(folder: Path, erasure: int) -> Erased:
    """Remove the tables below a log's folder from before an erasure at this position.

    Also those that processes have open: these drop them before their next answer. Raises OSError.
    """
    left = Erased([], [])
    for tables in tables_in(folder):
        left.in_use.extend(slots.remove_from_before(tables, erasure))
        if not generations.remove_from_before(tables / GENERATIONS, erasure):
            left.publishing.append(tables / GENERATIONS)
        _remove_leftovers(tables)
    return left


# --- settings -------------------------------------------------------------------------------


def limit_nbytes() -> int:
    """How much the cache may hold. Raises InvalidInput if RUNLORE_CACHE_LIMIT is not a size."""
    given = os.environ.get(LIMIT_VARIABLE)
    if not given:
        return LIMIT_NBYTES
    nbytes = nbytes_of(given)
    if nbytes is None:
        raise InvalidInput(
            f"{LIMIT_VARIABLE} is {given!r}: give a number of bytes, or a size such as 5GB"
        )
    return nbytes
