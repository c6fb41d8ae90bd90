"""Only `make test-slurm` collects these tests: they need its cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.domain.status import TERMINAL
from runlore.testing.submitted import Project
from tests.slurm.cluster import Cluster

collect_ignore_glob = [] if os.environ.get("RUNLORE_TEST_SLURM") else ["test_*.py"]


@pytest.fixture
def slurm() -> Cluster:
    """The cluster of `make test-slurm`."""
    return Cluster.current()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A workspace in a folder, whose runs are canceled at the end."""
    project = Project(tmp_path)
    yield project
    for run in project.exp.get_runs(include_children=True):
        if run.get_status() not in TERMINAL:
            run.cancel()
    project.ws.close()
