"""Replay: compares the tables that a process answers from with tables rebuilt from the log."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from runlore.projections import generations
from runlore.projections.driver import duckdb
from runlore.projections.duckdb_view import Tracking
from runlore.projections.open_tables import OpenTables
from runlore.projections.own_projection import OwnProjection
from runlore.projections.projection_of_runs import RunsProjection
from runlore.projections.runner import APPLICATION, BATCH, catch_up
from runlore.projections.slots import claim
from runlore.projections.table_mismatch import (
    RowMismatch,
    TableById,
    choose,
    mismatches,
    tables,
    view_mismatches,
)
from runlore.storage.codec import facts_of
from runlore.storage.damage import DamagedEvent
from runlore.storage.event_log import EventLog, StoredRow

LIVE: Final = "live"


@dataclass
class Compared:
    """The result of a comparison; `of` is `live` or `generation <position>`.

    `rows` counts the rows that the log gives, by table; `left_out` are the tables that know only
    the present, if an earlier position was asked for. If `complete` is False there may be more
    differences than are listed. `damaged` are the log's events that could not be decoded.
    """

    of: str
    position: int
    rows: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    differences: list[RowMismatch] = field(default_factory=list)
    complete: bool = True
    damaged: list[DamagedEvent] = field(default_factory=list)


def replay(
    projection: OwnProjection,
    log: EventLog,
    *,
    upto_position: int | None = None,
    with_generations: bool = False,
    max_differences: int,
) -> Iterator[Compared]:
    """Compares the projection with a rebuild, up to a position or to the head.

    With `with_generations` also the copies that the next processes would start from. Lists at most
    `max_differences` of each. Other questions to the reader wait while its tables are compared, but
    not while the others are made.
    """
    with _temporary() as rebuilt:
        if with_generations and upto_position is None:
            for generation in reversed(projection.published()):
                if generation.belongs_to(log):
                    catch_up(rebuilt, log, upto_position=generation.position)
                    with _copied(generation) as copy:
                        of = f"generation {generation.position}"
                        yield compared(
                            of, copy, rebuilt, generation.position, None, max_differences
                        )
        catch_up(rebuilt, log, upto_position=upto_position)

        def live(tables: OpenTables) -> Compared:
            connection, position = tables.connection, tables.position
            if upto_position is not None and upto_position < position:
                found = compared(
                    LIVE, connection, rebuilt, upto_position, upto_position, max_differences
                )
            else:
                catch_up(rebuilt, log, upto_position=position)  # Events appended in the meantime.
                found = compared(LIVE, connection, rebuilt, position, None, max_differences)
            found.damaged = rebuilt.damaged()
            return found

        yield projection.ask(live)


def replay_part(
    projection: OwnProjection, rows: Iterable[StoredRow], head: int, *, max_differences: int
) -> Compared:
    """Compares the projection with the tables that some events of its log give by themselves.

    The events are all of their runs, experiments and writers up to the position `head`; rows of
    others are ignored, and so are numbers and trees, which need the whole log.
    """
    with _temporary() as rebuilt:
        source = iter(rows)
        while part := list(islice(source, BATCH)):
            facts = facts_of(row[:-1] for row in part)
            rebuilt.commit(facts, Tracking(APPLICATION, part[-1].position), part[-1].leaf)

        def live(tables: OpenTables) -> Compared:
            connection, logged = tables.connection, rebuilt.view.connection
            choose(connection, logged)
            result = Compared(LIVE, head)
            found = _mismatches_by_id(connection, logged, head, result)
            result.differences = list(islice(found, max_differences))
            result.complete = next(found, None) is None
            return result

        return projection.ask(live)


def _mismatches_by_id(
    shown: duckdb.DuckDBPyConnection,
    logged: duckdb.DuckDBPyConnection,
    head: int,
    result: Compared,
) -> Iterator[RowMismatch]:
    for numbered in tables(logged):
        if numbered.begins is None or numbered.of_workspace:
            result.left_out.append(numbered.name)
            continue
        table = TableById(numbered)
        [(count,)] = logged.execute(f"SELECT count(*) FROM ({table.rows(None)})").fetchall()
        result.rows[table.name] = count
        yield from mismatches(shown, logged, table, head)


def compared(
    of: str,
    shown: duckdb.DuckDBPyConnection,
    rebuilt: RunsProjection,
    position: int,
    upto_position: int | None,
    max_differences: int,
) -> Compared:
    """All tables of `shown`, at a position or as of an earlier one, beside the rebuilt ones."""
    logged = rebuilt.view.connection
    result = Compared(of, position)
    found = _all_mismatches(shown, logged, upto_position, result)
    result.differences = list(islice(found, max_differences))
    result.complete = next(found, None) is None
    result.differences = [_with_position(mismatch, logged) for mismatch in result.differences]
    return result


def _all_mismatches(
    shown: duckdb.DuckDBPyConnection,
    logged: duckdb.DuckDBPyConnection,
    upto_position: int | None,
    result: Compared,
) -> Iterator[RowMismatch]:
    for table in tables(logged):
        if table.current_only and upto_position is not None:
            result.left_out.append(table.name)
            continue
        [(count,)] = logged.execute(f"SELECT count(*) FROM ({table.rows(None)})").fetchall()
        result.rows[table.name] = count
        yield from mismatches(shown, logged, table, upto_position)
    yield from view_mismatches(shown, logged)


def _with_position(mismatch: RowMismatch, logged: duckdb.DuckDBPyConnection) -> RowMismatch:
    """A series says no position: it comes from the first event, its summary from the last."""
    if mismatch.position is not None or "series_no" not in mismatch.key:
        return mismatch
    which = "max" if "run_no" in mismatch.key else "min"
    conditions = " AND ".join(f"{column} = {number:d}" for column, number in mismatch.key.items())
    [(position,)] = logged.execute(
        f"SELECT {which}(position) FROM store.metric_points WHERE {conditions}"
    ).fetchall()
    return RowMismatch(
        mismatch.table, mismatch.key, mismatch.column, mismatch.shown, mismatch.logged, position
    )


@contextmanager
def _temporary() -> Iterator[RunsProjection]:
    with tempfile.TemporaryDirectory(prefix="runlore-replay-") as folder, _slot(folder) as slot:
        yield slot


@contextmanager
def _copied(generation: generations.Generation) -> Iterator[duckdb.DuckDBPyConnection]:
    with (
        tempfile.TemporaryDirectory(prefix="runlore-replay-") as folder,
        _slot(folder, generation) as slot,
    ):
        yield slot.view.connection


@contextmanager
def _slot(
    folder: str, generation: generations.Generation | None = None
) -> Iterator[RunsProjection]:
    slot = claim(Path(folder))
    try:
        if generation is not None:
            generation.copy_to(slot.folder)
        projection = RunsProjection.open(slot)
        try:
            yield projection
        finally:
            projection.view.close()
    finally:
        slot.release()
