"""The surroundings of a process that fuzzes: nobody's settings, and an empty working folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FOLDERS: Final = {"RUNLORE_CACHE_DIR": "cache", "XDG_CONFIG_HOME": "config", "HOME": "home"}


@contextmanager
def alone() -> Iterator[None]:
    """In the block, user's folders, temporary files and the working folder are new and empty."""
    with tempfile.TemporaryDirectory(prefix="runlore-fuzz-", ignore_cleanup_errors=True) as top:
        environment, temporary = dict(os.environ), tempfile.tempdir
        for variable, name in _FOLDERS.items():
            (Path(top) / name).mkdir()
            os.environ[variable] = str(Path(top) / name)
        for name in ("tmp", "work"):
            (Path(top) / name).mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(Path(top) / "tmp")
        os.environ["RUNLORE_CEILING_DIRECTORIES"] = top
        before = os.getcwd()
        os.chdir(Path(top) / "work")
        try:
            yield
        finally:
            os.chdir(before)
            tempfile.tempdir = temporary
            os.environ.clear()
            os.environ.update(environment)
