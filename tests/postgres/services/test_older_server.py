"""The log on an older server: the one that Debian installs, else any that this machine has.

RUNLORE_TEST_POSTGRES_PROGRAMS=/usr/lib/postgresql/15 runs any other test of PostgreSQL on it, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.audit.verify import verify_folder
from runlore.testing.erasable_recorders import ErasableLogContract
from runlore.testing.recorders import EventLogContract
from tests.debian import program
from tests.postgres.server import Server, running_server
from tests.postgres.test_contract import OnServer
from tests.workspaces import start

pytestmark = pytest.mark.processes


def oldest() -> str | None:
    """The oldest of Debian's servers on this machine."""
    found = Path("/usr/lib/postgresql").glob("[0-9]*/bin/postgres")
    return min(map(str, found), key=lambda path: int(Path(path).parts[4]), default=None)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of another version than the package's."""
    programs = Path(program("postgresql", oldest)).parents[1]
    with running_server(programs) as server:
        yield server


class TestPostgresLogOnOlderServer(OnServer, EventLogContract):
    pass


class TestErasablePostgresLogOnOlderServer(OnServer, ErasableLogContract):
    pass


def test_a_workspace_there_moves_to_a_newer_server_and_back(server: Server, schema: str) -> None:
    [(version,)] = server.execute("SHOW server_version_num")
    with (
        running_server() as newer,
        Workspace.create("team", path=server.uri(schema), erasable=True) as old,
    ):
        [(newest,)] = newer.execute("SHOW server_version_num")
        assert int(version) // 10_000 < int(newest) // 10_000
        run = start(Experiment(old, "e"))
        run.log("loss", 0.5)
        run.tag("a", "b")
        run.complete()
        root = old.copy_to(newer.uri(schema)).root

        with Workspace.open(newer.uri(schema)) as new:
            assert new.get_run(run.id).get_metrics() == {"loss": 0.5}
            assert new.copy_to(server.uri(schema)).root == root
        with Workspace.open(server.uri(schema)) as back:
            assert back.get_run(run.id).get_tags() == {"a": "b"}
            back.erase_run(run.id, reason="consent withdrawn")
            assert verify_folder(server.uri(schema)).holds
