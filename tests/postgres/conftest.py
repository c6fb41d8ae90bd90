"""A schema for each test, on the server of tests/conftest.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.postgres.server import Server
from tests.postgres.teams import Team, make_team
from tests.workspaces import ON_POSTGRES

# `make test-postgres` runs them: they need programs that the project's packages do not bring.
collect_ignore = [] if ON_POSTGRES else ["services"]


@pytest.fixture
def schema() -> str:
    """The name of a schema that nobody uses yet."""
    return f"test_{os.urandom(8).hex()}"


@pytest.fixture(scope="module")
def team(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A workspace with roles, of one module's tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNLORE_SPOOL_DIR", str(tmp_path_factory.mktemp("owner")))
        return make_team(server, f"team_{os.urandom(8).hex()}")


@pytest.fixture(autouse=True)
def _own_spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLORE_SPOOL_DIR", str(tmp_path / "spools"))
