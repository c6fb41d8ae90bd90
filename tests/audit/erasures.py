"""What the tests of erasure share: a run full of secrets, and a search through every byte."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from runlore import Experiment, Run, Workspace

MARKER: Final = "PLANTED"
VALUE: Final = 8_765.4321

SECRETS: Final = (MARKER.encode(), struct.pack("<d", VALUE), struct.pack(">d", VALUE))
"""Texts as they are; a number as it stands in memory, in either order."""


def fill(ws: Workspace, marker: str = MARKER) -> Run:
    """A run that has ended, with a secret wherever one fits."""
    number = VALUE if marker == MARKER else 0.5
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        (source / "train.py").write_text(f"# {marker} snapshot\n" * 1_000)
        run = Experiment(ws, "lab").start_logging(
            outputs=False,
            snapshot_directory=source,
            display_name=f"{marker} display name",
            description=f"{marker} description",
        )
    run.tag("note", f"{marker} tag")
    run.add_properties({"who": f"{marker} property"})
    run.correct_property("who", f"{marker} correction", reason="a typo")
    run.log("text", f"{marker} value")
    for _ in range(100):
        run.log("number", number)
    run.log_row("row", cell=f"{marker} cell", value=number)
    run.upload_file("secret.txt", io.BytesIO(f"{marker} file\n".encode() * 200_000))
    run.upload_file("logs/log.txt", io.BytesIO(f"{marker} log line\n".encode()))
    run.fail(error_details=f"{marker} error", error_code=f"{marker} code")
    return run


_SEARCH: Final = """
import sys
from pathlib import Path
folder, *secrets = sys.argv[1:]
for path in Path(folder).rglob("*"):
    for secret in map(bytes.fromhex, secrets):
        if secret in str(path).encode() or (path.is_file() and secret in path.read_bytes()):
            print(path, secret)
"""


def found_in(folder: Path) -> list[str]:
    """Where in the files below a folder, and in their names, one of the secrets is.

    Another process searches: one that has the log open would drop its locks by reading the file.
    """
    search = [sys.executable, "-I", "-c", _SEARCH, str(folder), *(one.hex() for one in SECRETS)]
    return subprocess.check_output(search, text=True).splitlines()
