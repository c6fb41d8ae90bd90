"""Which file a file is: a copy has the same content, and is another file."""

from __future__ import annotations

import os
from typing import NamedTuple


class FileIdentity(NamedTuple):
    """A file's place on its device, which a copy does not have.

    `file_system` is the id of the file system, or 0. Some systems number their devices anew at
    each mount (btrfs, ZFS, the layers of containers) but keep that id; others (XFS) the reverse.
    """

    device: int
    inode: int
    file_system: int

    def is_of(self, other: FileIdentity) -> bool:
        """Whether both are of the same file.

        A whole disk that was cloned block by block, with the id of its file system, looks the same.
        """
        same_disk = self.device == other.device or self.file_system == other.file_system != 0
        return same_disk and self.inode == other.inode


def identity_of(fd: int) -> FileIdentity:
    """The identity of an open file."""
    found = os.fstat(fd)
    return FileIdentity(found.st_dev, found.st_ino, os.fstatvfs(fd).f_fsid)
