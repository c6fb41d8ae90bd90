"""Tells which files this process has open.

Their number alone would also tell of other tests: a file that one of them left open may close at
any time.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def open_below(folder: Path) -> list[str]:
    """The paths below `folder` that this process has open, once per descriptor, sorted."""
    top = os.path.realpath(folder)
    paths = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # The descriptor of this listing.
            paths.append(os.readlink(f"/proc/self/fd/{fd}"))
    return sorted(path for path in paths if path.startswith(f"{top}/"))
