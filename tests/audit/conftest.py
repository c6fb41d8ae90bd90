"""A workspace with runs in it, and a key that signs for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.audit.audited import AuditedLog
from runlore.audit.keys import new_key
from runlore.workspace import session_of


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab") as workspace:
        yield workspace


@pytest.fixture
def audited(ws: Workspace) -> AuditedLog:
    start(ws, "early").complete()
    return AuditedLog.of(session_of(ws))


@pytest.fixture
def key(audited: AuditedLog, tmp_path: Path) -> Path:
    path = tmp_path / "lab.key"
    new_key(path, audited.origin)
    return path


def start(ws: Workspace, run_id: str) -> Run:
    """A run that keeps neither files nor a snapshot."""
    return Experiment(ws, "proof").start_logging(
        run_id=run_id, outputs=False, snapshot_directory=None
    )
