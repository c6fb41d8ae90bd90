"""A workspace in PostgreSQL with roles of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import psycopg

from runlore import Experiment, Workspace
from runlore.storage import open_log
from runlore.storage.log_opener import Rights
from runlore.storage.open_log import locate
from tests.postgres.server import Server
from tests.workspaces import start


@dataclass(frozen=True)
class Team:
    """A schema with a workspace, and the names of roles that have rights there."""

    server: Server
    schema: str
    owner: str
    writer: str
    reader: str
    auditor: str

    def uri(self, role: str) -> str:
        """The workspace's URI for one of the roles."""
        return self.server.uri(self.schema, role)

    def connect(self, role: str) -> psycopg.Connection[Any]:
        """A plain connection of a role, as anybody makes one with psql."""
        return psycopg.connect(self.server.uri(user=role), autocommit=True)

    def sql(self, text: str) -> bytes:
        """The text with its schema and roles named."""
        named = {"s": self.schema, "owner": self.owner, "writer": self.writer}
        for name, value in named.items():
            text = text.replace(f"@{name}@", value)
        return text.encode()


def new_role(server: Server, kind: str) -> str:
    """A role that nobody uses yet."""
    name = f"{kind}_{os.urandom(6).hex()}"
    server.execute(f"CREATE ROLE {name} LOGIN")
    return name


def make_team(server: Server, schema: str, *, erasable: bool = False) -> Team:
    """A workspace with a run, whose owner is no superuser."""
    team = Team(
        server, schema, *(new_role(server, kind) for kind in ("owner", "writer", "reader", "audit"))
    )
    server.execute(f"GRANT CREATE ON DATABASE postgres TO {team.owner}")
    uri = team.uri(team.owner)
    with Workspace.create("team", path=uri, show_output=False, erasable=erasable) as ws:
        run = start(Experiment(ws, "e"), run_id="first")
        run.log("loss", 1.0)
        run.tag("by", "owner")
        run.complete()
    place = locate(team.uri(team.owner))
    for role in (Rights.WRITER, Rights.READER, Rights.AUDITOR):
        open_log.grant(place, getattr(team, role), role)
    return team
