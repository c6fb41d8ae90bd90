"""The projection of runs, tags, properties, values and events: `schema.sql`, filled from facts.

What fills the tables is imported when there is something to fill in: it needs pyarrow, which
takes longer to import than a warm projection to answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import duckdb

from runlore.domain.events import REGISTRY
from runlore.domain.fact import Fact
from runlore.projections.projection import Projection

SCHEMA_VERSION: Final = 1
"""Goes up when the same events give other rows, so that tables of before are not used again."""


class RunsProjection(Projection):
    """All tables of `schema.sql`."""

    name = "runs"

    def init(self, connection: duckdb.DuckDBPyConnection) -> None:
        made = connection.execute(
            "SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'store'"
        ).fetchall()
        if made == [(0,)]:
            connection.execute(_definitions())

    def apply(self, facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> None:
        from runlore.projections.runs_tables import write_batch

        write_batch(facts, connection)


@cache
def tables_version() -> str:
    """What tables of the same name hold alike: our number, their SQL, the events that we know.

    A runlore that knows more events must not go on in tables that passed over them.
    """
    known = sorted((topic, event.schema_version) for topic, event in REGISTRY.items())
    digest = hashlib.sha256(f"{_definitions()}{known}".encode()).hexdigest()
    return f"{SCHEMA_VERSION}-{digest[:8]}"


def _definitions() -> str:
    return files(__package__).joinpath("schema.sql").read_text()
