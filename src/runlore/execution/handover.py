"""The order to start a queued run, from the process that submits it to the one that starts it.

A workspace may come from anybody, so what its log says is queued is not reason enough to execute
it. A run is started only if there is an *order* for it: a file outside of the workspace that its
submitter wrote, which this user alone can write and read. It names the workspace's folder (by
device and inode, so a copy is another one), the run, the boot of this machine, and a digest of what
is to be executed, so a log that was changed afterwards starts nothing.

There are two places for it. The one in memory (XDG_RUNTIME_DIR or /dev/shm) holds the environment
as well: that may hold secrets, so it must not touch a disk. The one in the user's cache does not,
and is there where the other is missing or was removed. The run gets the environment of the process
that starts it then, and fails with a clear error if a secret is missing there.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from runlore.storage.held_path import HeldPath
from runlore.storage.this_process import boot_id
from runlore.storage.user_cache import find_cache

IN_CACHE: Final = "submitted"
"""The folder of orders in the user's cache."""
_NBYTES_MAX: Final = 1 << 26
_WRITTEN_AFTER_S: Final = 60.0
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Order(NamedTuple):
    """This user's order to execute a run; `environment` is None if it was not kept."""

    run_id: str
    digest: str
    environment: dict[str, str] | None


def digest_of(
    run_id: str,
    target: str | None,
    definition: Mapping[str, Any] | None,
    manifest_sha256: str | None,
) -> str:
    """A digest of all that decides what a submitted run executes."""
    work = json.dumps([run_id, target, definition, manifest_sha256], sort_keys=True, default=repr)
    return sha256(work.encode()).hexdigest()


class Orders:
    """This user's orders for the runs of one workspace. Made for each use; keeps nothing open."""

    def __init__(self, workspace: HeldPath) -> None:
        self._workspace = list(workspace.folder.identity)
        identity = sha256(repr(self._workspace).encode()).hexdigest()
        # How the names of the files begin.
        self.beginning = f"runlore-{os.geteuid()}-{identity[:16]}-"
        self._in_memory = list(_in_memory())
        self._in_cache = list(_in_cache())

    def keep(self, run_id: str, digest: str, environment: Mapping[str, str]) -> bool:
        """Keep an order until it is dropped. Returns False if there is no place for one."""
        self.drop(run_id)  # One left by a killed submitter of the same id.
        order = {
            "folder": self._workspace,
            "run_id": run_id,
            "boot_id": boot_id(),
            "digest": digest,
        }
        name = self._name(run_id)
        kept = [_write(place / name, order) for place in self._in_cache]
        whole = {**order, "environment": dict(environment)}
        return any(_write(place / name, whole) for place in self._in_memory) or any(kept)

    def of(self, run_id: str) -> Order | None:
        """The order for a run; None if this user gave none on this machine in this boot."""
        for place in self._places:
            with suppress(OSError):
                order = self._read(place / self._name(run_id))
                if order is not None and order.run_id == run_id:
                    return order
        return None

    def drop(self, run_id: str) -> None:
        """Remove the order for a run that was started, or will not be."""
        for path in self.files(run_id):
            with suppress(OSError):
                path.unlink()

    def files(self, run_id: str) -> Iterator[Path]:
        """The files in which an order for the run is kept, valid or not."""
        paths = (place / self._name(run_id) for place in self._places)
        return (path for path in paths if os.path.lexists(path))

    def drop_all(self, unless: Callable[[str], bool]) -> None:
        """Remove all orders, except those that are still wanted by their runs' ids.

        Whoever ends a run of another user cannot remove that user's order.
        """
        for path in self._kept():
            with suppress(OSError):
                order = self._read(path)
                if order is None:  # Of an earlier boot, or half written.
                    gone = time.time() - os.lstat(path).st_mtime > _WRITTEN_AFTER_S
                else:
                    gone = not unless(order.run_id)
                if gone:
                    path.unlink()

    def _kept(self) -> Iterator[Path]:
        for place in self._places:
            with suppress(OSError):
                yield from (place / name for name in os.listdir(place) if self._is_name(name))

    def _is_name(self, name: str) -> bool:
        return name.startswith(self.beginning)

    @property
    def _places(self) -> list[Path]:
        return [*self._in_memory, *self._in_cache]

    def _name(self, run_id: str) -> str:
        return self.beginning + sha256(run_id.encode()).hexdigest()[:32]

    def _read(self, path: Path) -> Order | None:
        """The order in a file; None if it is no order of ours, of this boot. Raises OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not _is_private(os.fstat(fd)):  # Anyone may write to /dev/shm.
                return None
            content = file.read(_NBYTES_MAX)
        try:
            found = json.loads(content)
            order = Order(found["run_id"], found["digest"], found.get("environment"))
            here = (found["folder"], found["boot_id"]) == (self._workspace, boot_id())
        except (ValueError, TypeError, KeyError):  # Its writer was killed halfway.
            return None
        return order if here else None


# --- the files ------------------------------------------------------------------------------


def _in_memory() -> Iterator[Path]:
    for place in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):
        if place and os.path.isabs(place) and _is_memory(place):
            yield Path(place)


def _in_cache() -> Iterator[Path]:
    cache = find_cache().folder
    if cache is not None:
        place = cache / IN_CACHE
        with suppress(OSError):
            place.mkdir(mode=0o700, exist_ok=True)
            yield place


def _write(path: Path, order: Mapping[str, Any]) -> bool:
    text = json.dumps(order)  # ASCII: surrogates of odd bytes are escaped.
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode())
    except OSError:  # Containers often have little room in memory; a part is worse than nothing.
        with suppress(OSError):
            path.unlink()
        return False
    return True


def _is_private(found: os.stat_result) -> bool:
    """Whether a file is this user's own, under one name, and closed to all others."""
    plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return plain and found.st_uid == os.geteuid() and not found.st_mode & _OTHERS


def _is_memory(place: str) -> bool:
    try:
        mode = os.stat(place).st_mode
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            kinds = {fields[1]: fields[2] for line in mounts if len(fields := line.split()) > 2}
    except OSError:
        return False
    above = [place, *map(str, Path(place).parents)]
    kind = next((kinds[folder] for folder in above if folder in kinds), "")
    return stat.S_ISDIR(mode) and kind in ("tmpfs", "ramfs")
