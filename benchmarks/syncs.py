"""Counts the sync calls of a process with strace: what is durable is what was synced."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

CALLS: Final = "fsync,fdatasync,msync,sync_file_range,sync,syncfs"
_CALL = re.compile(rf"\b({CALLS.replace(',', '|')})\(")


def why_not() -> str:
    """Why sync calls cannot be counted here; empty if they can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed"
    tried = subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, text=True)
    return "" if tried.returncode == 0 else f"strace may not trace: {tried.stderr.strip()}"


def prefix(trace: Path) -> list[str]:
    """The command that runs another one and writes its sync calls to a file."""
    return ["strace", "-f", "-e", f"trace={CALLS}", "-o", str(trace)]


def counted(trace: Path) -> int:
    """How many sync calls were begun; a call that was interrupted is resumed, not begun again."""
    return sum(1 for line in trace.read_text(encoding="utf-8").splitlines() if _CALL.search(line))
