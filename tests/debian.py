"""Programs of Debian that tests need and the project's packages do not bring."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path


def program(package: str, find: Callable[[], str | None], instead: str = "") -> str:
    """The path that `find` finds; installs Debian's package where that is possible.

    Fails with the way to install it, or what to do `instead`.
    """
    found = find()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(package, find)
        found = find()
    assert found is not None, (
        f"these tests need a program: install it, as with `apt-get install {package}`{instead}"
    )
    return found


def _install(package: str, find: Callable[[], str | None]) -> None:
    """Install a package; one process at a time, as several run tests."""
    with (Path(tempfile.gettempdir()) / "runlore-tests-debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if find() is None:
            subprocess.run(["apt-get", "update", "-q"], check=True, capture_output=True)
            install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", package]
            subprocess.run(install, check=True, capture_output=True)
