"""Disks that fill up, for real."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Final

_MS_REMOUNT: Final = 32


class Disk:
    """A small file system: a tmpfs where mounting is allowed, else a limit on file sizes."""

    def __init__(self, folder: Path, *, size_mib: int = 16) -> None:
        self.folder = folder
        self._nbytes = size_mib * 2**20
        mount = shutil.which("mount") or "mount"
        options = ["-t", "tmpfs", "-o", f"size={self._nbytes}", "tmpfs", str(folder)]
        try:
            done = subprocess.run([mount, *options], capture_output=True)
            self.mounted = done.returncode == 0
        except OSError:
            self.mounted = False

    def fill(self, *, leaving: int = 0, even_for_small_files: bool = False) -> None:
        """From here on nothing fits but so many bytes; without a mount, no file larger than all."""
        if not self.mounted:
            sizes = [f.stat().st_size for f in self.folder.rglob("*") if f.is_file()]
            self._limit(leaving if even_for_small_files else max(sizes) + leaving)
            return
        if not self._used_nbytes():  # A disk of no bytes would be one without a limit.
            (self.folder / "filling").write_bytes(b"x")
        while not self._resize(self._used_nbytes() + leaving):
            pass  # Somebody has just used more.

    def free(self) -> None:
        """There is room again."""
        if self.mounted:
            self._resize(self._nbytes)
            (self.folder / "filling").unlink(missing_ok=True)
        else:
            self._limit(resource.RLIM_INFINITY)

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        else:
            self._limit(resource.RLIM_INFINITY)

    def _used_nbytes(self) -> int:
        disk = os.statvfs(self.folder)
        return (disk.f_blocks - disk.f_bfree) * disk.f_frsize

    def _resize(self, nbytes: int) -> bool:
        """Let the mounted disk have this many bytes; False if more are used."""
        options = f"size={nbytes}".encode()
        libc = ctypes.CDLL(None, use_errno=True)
        done = libc.mount(b"tmpfs", os.fsencode(self.folder), b"tmpfs", _MS_REMOUNT, options)
        if done != 0 and (error := ctypes.get_errno()) != errno.EINVAL:
            raise OSError(error, os.strerror(error), self.folder)
        return bool(done == 0)

    def _limit(self, nbytes: int) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
