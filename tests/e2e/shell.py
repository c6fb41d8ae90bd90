"""A real shell in a folder and a home of its own: what a person types, and what they see."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.fresh_python import without_settings

LIMIT_S = 120


class Shell:
    """A person's shell; `runlore` and `python` are those of this environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        home, programs = folder / "home", folder / "bin"
        home.mkdir()
        programs.mkdir()
        self._write(programs / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        self._write(
            programs / "runlore", f'#!/bin/sh\nexec "{sys.executable}" -m runlore.cli "$@"\n'
        )
        inherited = without_settings(os.environ)
        paths = os.pathsep.join(filter(None, sys.path))
        self.variables = {
            **inherited,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_STATE_HOME": str(home / ".local" / "state"),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": paths,
            "COLUMNS": "200",
        }

    def __call__(self, line: str, *, code: int = 0, cwd: str = ".") -> str:
        """What the line prints, stderr included; its exit code must be this one."""
        ran = subprocess.run(
            ["sh", "-c", line],
            cwd=self.folder / cwd,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ran.returncode == code, f"$ {line}\n{ran.stdout}\nexit code {ran.returncode}"
        assert code or not re.search("^Traceback", ran.stdout, re.MULTILINE), ran.stdout
        return ran.stdout

    def write(self, name: str, text: str) -> None:
        """A file of the person's, as an editor would write it."""
        (self.folder / name).write_text(text)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)
