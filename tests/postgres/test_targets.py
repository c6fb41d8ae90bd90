"""Compute targets of a workspace on a server, which teammates may attach and change."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore import ComputeTarget, Workspace
from runlore.execution.targets.kinds import TargetNotTrusted, target_of
from runlore.workspace import session_of
from tests.postgres.teams import Team


def attach(team: Team, partition: str) -> None:
    """Attach a cluster as another user does, on another machine."""
    with pytest.MonkeyPatch.context() as patch, Workspace.open(team.uri(team.writer)) as theirs:
        patch.setattr("runlore.execution.targets.kinds.trusted.trust", lambda *_: None)
        ComputeTarget.attach(theirs, "cluster", type="slurm", partition=partition)


def partition_used(uri: str) -> object:
    """What a new process of this user would submit to."""
    with Workspace.open(uri) as ws:
        return target_of(session_of(ws).writable(), "cluster").settings["partition"]


def test_a_teammates_cluster_is_used_as_it_was_when_it_was_trusted(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = team.uri(team.owner)
    attach(team, "gpu")
    with pytest.raises(TargetNotTrusted, match='"partition": "gpu"'):
        partition_used(own)

    with Workspace.open(own) as ws:
        ws.compute_targets["cluster"].trust()
    assert partition_used(own) == "gpu"
    monkeypatch.setenv("RUNLORE_SPOOL_DIR", str(tmp_path / "another folder"))
    assert partition_used(own) == "gpu"

    attach(team, "evil")
    with pytest.raises(TargetNotTrusted, match='"partition": "evil"'):
        partition_used(own)
    attach(team, "gpu")
    assert partition_used(own) == "gpu"
