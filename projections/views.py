"""The views of `views.sql`, which users query, as of now or of a position."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from runlore.domain import ids
from runlore.domain.status import WORST_FIRST
from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.metric_summaries_as_of import LATEST, latest_as_of
from runlore.projections.rewinds import VALID_POINTS, points_then
from runlore.projections.trees import RUNS, runs_then

EVENTS: Final = "events"
"""The view whose functions read payloads from the log: see `event_payloads.py`."""

ACTORS: Final = "(SELECT position, actor FROM store.events WHERE actor IS NOT NULL)"
"""Who made changes, where it was not the user of their writer. As a rule there is none, which the
statistics of the column tell."""

_WORST: Final = "['" + "', '".join(WORST_FIRST) + "']"

# A path says which runs are above a run. To look for the paths that begin with another one would
# take the square of a tree's runs.
_SUBTREES: Final = """(
    SELECT x.run_id, x.run_no, x.depth,
           unnest([('0x' || substr(x.path, 8 * i + 1, 8))::BIGINT for i in range(x.depth + 1)])
               AS top_no
    FROM RUNS x WHERE KNOWN(x)
)"""

_MARK: Final = re.compile(r"\b(HOLDS|KNOWN|BEGAN|UNTIL|RUN_OF)\(([\w.]+)\)")


class Sources(NamedTuple):
    """What stands in the views for the marks of `views.sql` that name tables."""

    runs: str
    points: str
    latest: str


_NOW: Final = Sources(RUNS, VALID_POINTS, LATEST)


def view_names() -> tuple[str, ...]:
    """The names of the views that users can query."""
    return tuple(_templates())


def views() -> list[str]:
    """The statements that create the views of now in the database: all except `events`."""
    return [
        f"CREATE VIEW {name} AS {_then(text, None, _NOW)}"
        for name, text in _templates().items()
        if name != EVENTS
    ]


def run_id_in(stream: str) -> str:
    """The SQL for the id of the run that a stream, named by an expression, belongs to, or NULL."""
    return f"CASE WHEN starts_with({stream}, '{ids.RUNS}') THEN split_part({stream}, '/', 2) END"


def events_view() -> str:
    """The statement that creates the view `events` of now; the connection needs its functions."""
    return f"CREATE TEMP VIEW {EVENTS} AS {_then(_templates()[EVENTS], None, _NOW)}"


def reads_points(names: Collection[str], as_of: int | None) -> bool:
    """Whether these views read sealed points; as of a position, summaries of metrics do, too."""
    texts = [text for name, text in _templates().items() if name in names]
    return any("POINTS" in text or (as_of is not None and "LATEST" in text) for text in texts)


def view_over(name: str, as_of: int | None, sources: Sources) -> str:
    """The query of a view, over other sources than the whole tables."""
    return _then(_templates()[name], as_of, sources)


@contextmanager
def shown_as_of(
    connection: duckdb.DuckDBPyConnection, as_of: int, names: Collection[str]
) -> Iterator[None]:
    """Inside the block these views show the state at a position.

    They are temporary and so hide those of now. No one else may use the connection in the
    meantime.
    """
    wanted = {name: text for name, text in _templates().items() if name in names}
    latest = as_of if any("LATEST" in text for text in wanted.values()) else None
    runs, points = runs_then(connection, as_of), points_then(connection, as_of)
    with latest_as_of(connection, latest) as source:
        sources = Sources(runs, points, source)
        try:
            for name, text in wanted.items():
                shown = _then(text, as_of, sources)
                connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {shown}")
            yield
        finally:
            for name in wanted:
                connection.execute(f"DROP VIEW IF EXISTS temp.{name}")
            if EVENTS in wanted:
                connection.execute(events_view())


def _then(text: str, as_of: int | None, sources: Sources) -> str:
    conditions = Conditions(as_of)

    def condition(mark: re.Match[str]) -> str:
        what, of = mark.groups()
        if what == "RUN_OF":
            return run_id_in(of)
        if what == "HOLDS":
            return conditions.current(of)
        if what == "KNOWN":
            return conditions.known(of)
        if as_of is None:
            return of if what == "UNTIL" else "true"
        if what == "UNTIL":
            return f"CASE WHEN {of} <= {as_of:d} THEN {of} END"
        return f"{of}.from_position <= {as_of:d}"

    shown = _MARK.sub(condition, text.replace("SUBTREES", _SUBTREES))
    for mark, source in (
        ("RUNS", sources.runs),
        ("POINTS", sources.points),
        ("LATEST", sources.latest),
        ("ACTORS", ACTORS),
        ("WORST", _WORST),
    ):
        shown = shown.replace(mark, source)
    return shown


@cache
def _templates() -> dict[str, str]:
    """The queries that the views are, by name, with their marks."""
    script = Path(__file__).with_name("views.sql").read_text(encoding="utf-8")
    statements = script.partition("CREATE VIEW ")[2].split("CREATE VIEW ")
    return {
        name: text.strip().removesuffix(";")
        for name, _, text in (statement.partition(" AS\n") for statement in statements)
    }
