"""Copies of the checkout in which mutants are tried: the checkout itself is never changed."""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

ROOT: Final = Path(__file__).parents[2]
AREAS: Final = ("domain", "storage", "projections", "src/runlore/audit", "src/runlore/execution")
"""Where mutants are made; a sample has as many of each."""
_SOURCES: Final = ("src", "domain", "storage", "projections")


def modules_in(root: Path, folder: str) -> list[str]:
    """The paths of the Python files below a folder of the tree, sorted."""
    return sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*.py"))


def copied_tree(folder: Path) -> Path:
    """A copy of what git knows and does not ignore, compiled."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, names.split("\0")):
        if not os.path.lexists(ROOT / name):
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    compiled(folder)
    return folder


def compiled(tree: Path) -> None:
    """Compile the tree. A changed file is noticed by its content, not by its time."""
    for name in (*_SOURCES, "tests"):
        compileall.compile_dir(
            tree / name, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH
        )


def environment_of(tree: Path, scratch: Path) -> dict[str, str]:
    """The environment of a process, and of its children, that imports from the copy."""
    return {
        "PYTHONPATH": os.pathsep.join((str(tree / "src"), str(tree))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(scratch),
    }


def digest_of_sources() -> str:
    """What a map of tests to blocks holds for."""
    digest = hashlib.sha256()
    for name in (path for source in _SOURCES for path in modules_in(ROOT, source)):
        digest.update(name.encode() + (ROOT / name).read_bytes())
    return digest.hexdigest()


def digests_of_tests(folders: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each file of tests in the folders, and its digest."""
    for folder in folders:
        for name in modules_in(ROOT, folder):
            if Path(name).name.startswith("test_"):
                yield name, hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
