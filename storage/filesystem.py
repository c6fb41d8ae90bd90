"""The check that a folder's file system can hold a log: network mounts are refused, FUSE probed.

SQLite's WAL mode needs shared memory and working locks, which NFS, SMB and Lustre do not provide
across hosts. Containers mount local folders by FUSE as well, so a probe decides there.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runlore.domain.errors import UserError
from runlore.storage.errors import from_os
from runlore.storage.held_folder import DESCRIPTORS
from runlore.storage.held_path import AnyPath, HeldPath

_NETWORK: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb",
        "smb2",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "afs",
        "ceph",
        "glusterfs",
        "pvfs2",
        "orangefs",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.gcsfuse",
        "fuse.juicefs",
        "fuse.rclone",
        "fuse.ceph",
    }
)

_COPY_ON_WRITE: Final = frozenset({"btrfs", "zfs", "bcachefs", "apfs"})


class UnsafeFileSystem(UserError):
    """The folder lies where concurrent writers can damage a log."""

    def __init__(self, folder: AnyPath, kind: str, found: str) -> None:
        super().__init__(
            f"{folder} is on a file system of type {kind}: {found}. Several processes could "
            "damage a log there; use a folder on a local disk, or, if only one process at a "
            "time will ever use it, open it with allow_network_file_system=True"
        )
        self.folder = folder.plain if isinstance(folder, HeldPath) else folder
        self.kind = kind


def check_file_system(folder: AnyPath, mounts: str | None = None) -> None:
    """Raise UnsafeFileSystem if a log must not live in the folder; TooManyOpenFiles.

    `mounts` is the text of /proc/self/mountinfo, which is read by default; on other systems than
    Linux only the probe decides.
    """
    try:
        kind = _mount_type(folder, mounts)
    except OSError as error:
        raise from_os(error, str(folder)) from error
    if kind in _NETWORK:
        raise UnsafeFileSystem(folder, kind, "a network mount")
    if kind.startswith("fuse") or kind == "":
        failure = probe(folder)
        if failure is not None:
            raise UnsafeFileSystem(folder, kind or "unknown", failure)


def copies_on_write(folder: AnyPath) -> bool:
    """Whether overwriting a page may need new space on the disk."""
    try:
        return _mount_type(folder, None) in _COPY_ON_WRITE
    except OSError:  # No file can be opened any more: then the careful way.
        return True


def shows_locks_of(folder: AnyPath, *, same_kernel: bool, mounts: str | None = None) -> bool:
    """Whether a lock in the folder is seen here if a process of this or another kernel holds it.

    On network file systems it may not be, nor on other FUSE mounts if the kernel is another one.
    `mounts` as in `check_file_system`.
    """
    kind = _mount_type(folder, mounts)
    return kind not in _NETWORK and (same_kernel or not kind.startswith("fuse"))


def probe(folder: AnyPath) -> str | None:
    """Why locks or shared mappings fail; None if both work, or if the folder is read-only."""
    with _as_path(folder) as path:
        if not os.access(path, os.W_OK):
            return None
        try:
            return _tried(path)
        except OSError as error:
            return f"locks or shared mappings do not work ({error})"


def _tried(folder: str) -> str | None:
    import tempfile

    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0" * mmap.PAGESIZE)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with mmap.mmap(file.fileno(), mmap.PAGESIZE) as mapping:
            mapping[:1] = b"\1"
            mapping.flush()
        reached = os.pread(file.fileno(), 1, 0) == b"\1"
    return None if reached else "a shared mapping does not reach the file"


def _mount_type(folder: AnyPath, mounts: str | None) -> str:
    """The type of the file system that holds the folder; "" if unknown."""
    if mounts is None:
        if not sys.platform.startswith("linux"):
            return ""
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    best, kind = "", ""
    resolved = _resolved(folder)
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].encode().decode("unicode_escape")
        # Later mounts hide earlier ones on the same point.
        if len(point) >= len(best) and (resolved + "/").startswith(point.rstrip("/") + "/"):
            best, kind = point, rest.split()[0]
    return kind


def _resolved(folder: AnyPath) -> str:
    """Where the folder is, without links; a held one may have been moved."""
    if isinstance(folder, HeldPath):
        top = folder.folder.now_at() or folder.folder.path.resolve()
        return str(top.joinpath(*folder.parts))
    return str(folder.resolve())


@contextmanager
def _as_path(folder: AnyPath) -> Iterator[str]:
    """A path of the folder for a library, valid within the block."""
    if not isinstance(folder, HeldPath):
        yield str(folder)
        return
    with folder.descriptor() as fd:
        path = f"{DESCRIPTORS}/{fd}"
        yield path if os.path.exists(path) else str(folder)
