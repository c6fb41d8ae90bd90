"""Programs of other users: real ones, with homes, caches and settings of their own."""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import runlore
from tests.processes import LIMIT_S

GROUP: Final = 3_000
FIRST_USER: Final = 2_001

PREAMBLE: Final = """
import os, sys
from runlore import *
from runlore.workspace import session_of
shared = sys.argv[1]
def opened():
    return Workspace.open(os.path.join(shared, "lab"))
def started(ws, name="e", **options):
    return Experiment(ws, name).start_logging(
        outputs=False, snapshot_directory=None, **options
    )
"""
"""What each program begins with."""


@dataclass(frozen=True)
class User:
    """A user of the group, with a home of its own."""

    uid: int
    home: Path
    shared: Path

    def start(self, code: str, *arguments: object, umask: int = 0o002) -> subprocess.Popen[str]:
        """A program of this user; `shared` is its first argument."""
        return subprocess.Popen(
            [_interpreter(), "-c", PREAMBLE + code, str(self.shared), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=self.uid,
            group=GROUP,
            extra_groups=[GROUP],
            umask=umask,
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": _code(),
                "PYTHONDONTWRITEBYTECODE": "1",
                "USER": f"user{self.uid}",
                "WHO": str(self.uid),
            },
        )

    def runs(self, code: str, *arguments: object, umask: int = 0o002) -> str:
        """What the program printed; it must end well."""
        return output_of(self.start(code, *arguments, umask=umask))


@cache
def _interpreter() -> str:
    """A Python of this version that users other than root can start."""
    for path in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        try:
            subprocess.run([path, "-c", "import json"], user=FIRST_USER, group=GROUP, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    raise AssertionError(f"{sys.executable} cannot be started by other users, and no other Python")


@cache
def _code() -> str:
    """The folders from which other users' programs import; copies, where they may not look."""
    own = [str(Path(runlore.__file__).parents[1])]
    own += [path for path in sys.path if path and not path.startswith(sys.base_prefix)]
    return os.pathsep.join(
        path if _may_be_entered(Path(path)) else _linked(Path(path))
        for path in dict.fromkeys(own)
        if Path(path).is_dir()
    )


def _may_be_entered(folder: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def _linked(folder: Path) -> str:
    """A copy of a folder in which all may read; of hard links, where these are possible."""
    top = Path(tempfile.mkdtemp(prefix="runlore-code-", dir="/tmp"))
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    top.chmod(0o755)
    ignored = shutil.ignore_patterns("__pycache__", ".venv", ".git", "node_modules")
    shutil.copytree(folder, top / "code", copy_function=_link_or_copy, ignore=ignored)
    return str(top / "code")


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def output_of(process: subprocess.Popen[str]) -> str:
    """What the program printed; it must end well."""
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, f"exit status {process.returncode}:\n{out}\n{err}"
    return out


def all_outputs_of(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """What programs that run side by side printed."""
    return [output_of(process) for process in processes]


@contextmanager
def group_of(count: int) -> Iterator[list[User]]:
    """Users of one group, and a folder that they share as the docs say: setgid, group-writable."""
    # Not pytest's folder: only root may enter that.
    top = Path(tempfile.mkdtemp(prefix="runlore-users-", dir="/tmp"))
    try:
        top.chmod(0o755)
        shared = top / "shared"
        shared.mkdir()
        os.chown(shared, 0, GROUP)
        shared.chmod(0o2775)
        users = []
        for uid in range(FIRST_USER, FIRST_USER + count):
            home = top / f"home-{uid}"
            home.mkdir(mode=0o700)
            os.chown(home, uid, GROUP)
            users.append(User(uid, home, shared))
        yield users
    finally:
        shutil.rmtree(top, ignore_errors=True)
