"""Repositories for tests: git as it is on a machine without settings."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.storage.git_info import forget_git_answers


@pytest.fixture(autouse=True)
def fresh_git_answers() -> Iterator[None]:
    forget_git_answers()
    yield
    forget_git_answers()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which git sees nothing of this machine, not even a repository around."""
    (tmp_path / "home").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
    }


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=T", "-c", "user.email=t@example.org"]
    done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()
