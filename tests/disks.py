"""Disks that fill up, for real."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Final

_MOST_AT_ONCE: Final = 64 * 2**20
_LEAST_AT_ONCE: Final = 4096


class Disk:
    """A small file system: a tmpfs where mounting is allowed, else a limit on file sizes."""

    def __init__(self, folder: Path, *, size_mib: int = 16) -> None:
        self.folder = folder
        mount = shutil.which("mount") or "mount"
        options = ["-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)]
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
        fd = os.open(self.folder / "filling", os.O_WRONLY | os.O_CREAT)
        end, more = os.fstat(fd).st_size, _MOST_AT_ONCE
        while more >= _LEAST_AT_ONCE:
            try:
                os.posix_fallocate(fd, end, more)
                end += more
            except OSError:
                more //= 2
        os.ftruncate(fd, max(0, end - leaving))
        os.close(fd)

    def free(self) -> None:
        """There is room again."""
        if self.mounted:
            (self.folder / "filling").unlink()
        else:
            self._limit(resource.RLIM_INFINITY)

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        else:
            self._limit(resource.RLIM_INFINITY)

    def _limit(self, nbytes: int) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
