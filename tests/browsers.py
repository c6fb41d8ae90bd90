"""A real browser for tests: the first one that this machine has, or Debian's.

RUNLORE_BROWSER names another one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

_NAMES: Final = ("chromium-headless-shell", "chromium", "google-chrome")
_PACKAGE: Final = "chromium-headless-shell"
ARGUMENTS: Final = (
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    *(("--no-sandbox",) if os.geteuid() == 0 else ()),
)


@cache
def browser_path() -> str:
    """The path of a browser. Installs Debian's where that is possible, else fails with a way."""
    given = os.environ.get("RUNLORE_BROWSER")
    found = given or _found()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install()
        found = _found()
    assert found is not None, (
        "these tests need a browser: install Chromium, as with `apt-get install "
        f"{_PACKAGE}`, or name one with RUNLORE_BROWSER"
    )
    return found


def _found() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def _install() -> None:
    """Install Debian's browser; one process at a time, as several run tests."""
    with (Path(tempfile.gettempdir()) / "runlore-tests-browser.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _found() is None:
            subprocess.run(["apt-get", "update", "-q"], check=True, capture_output=True)
            install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", _PACKAGE]
            subprocess.run(install, check=True, capture_output=True)
