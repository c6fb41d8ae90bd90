"""The end of the demo: an edit of the log is found, and a proof convinces a reader without the log.

The workspace must be closed before `tamper`, which copies the log's file.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from runlore import Workspace
from runlore.audit import offline
from runlore.audit.keys import read_key
from runlore.audit.verify import verify_folder


def prove(ws: Workspace, position: int, folder: Path, console: Console) -> None:
    """Sign the log, and prove one of its events to a process that does not import runlore."""
    console.rule("audit: a proof for a reader without the log")
    secret = folder / "audit.key"
    verifier_key = read_key(secret).verifier if secret.exists() else ws.audit.new_key(secret)[0]
    checkpoint, _ = ws.audit.checkpoint(key=secret, export=folder / "checkpoints")
    console.print(f"signed: {checkpoint.size:,} events, exported to {folder}/checkpoints")
    proof, verifier = folder / "proof.json", folder / "verify_proof.py"
    proof.write_text(json.dumps(ws.audit.prove(position), indent=2))
    shutil.copy(offline.__file__, verifier)
    command = [sys.executable, "-I", str(verifier), str(proof), "--key", str(verifier_key)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    console.print(printed, highlight=False, soft_wrap=True)


def tamper(workspace: Path, position: int, console: Console) -> None:
    """Change one tag in a copy of the log, as anyone with SQLite can, and verify both."""
    console.rule("audit: an edited copy")
    copy = workspace.with_name("tampered")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(workspace, copy)
    log = sqlite3.connect(copy / "log.sqlite")
    with log:
        ((state,),) = log.execute(
            "SELECT state FROM stored_events WHERE notification_id = ?", [position]
        )
        log.execute(
            "UPDATE stored_events SET state = ? WHERE notification_id = ?",
            [state.replace(b"fantastic run", b"excellent run"), position],
        )
    log.close()
    for folder in (workspace, copy):
        print_verdict(folder.name, folder, console)


def print_verdict(name: str, place: Path | str, console: Console) -> None:
    """Print whether the log at a place holds, or what does not."""
    found = verify_folder(place)
    verdict = "all holds" if found.holds else found.log.findings[0].message
    console.print(f"{name}: {found.log.size:,} events: {verdict}", soft_wrap=True)
