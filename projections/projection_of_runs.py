"""The projection of runs, tags, properties, values and events: `schema.sql`, filled from facts.

The modules that write points are imported when there are points: they need NumPy, which takes
longer to import than a warm projection takes to answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from runlore.domain.errors import RunloreError
from runlore.domain.events import REGISTRY, Event
from runlore.domain.fact import Fact
from runlore.projections.batch_context import KNOWN_MAX, BatchContext
from runlore.projections.connection import MEMORY_NBYTES, connect
from runlore.projections.driver import duckdb
from runlore.projections.duckdb_view import DuckDBView, Tracked
from runlore.projections.fold import FOLDED
from runlore.projections.projection import DataErased, Projection
from runlore.projections.segment_files import (
    BOUNDS,
    Bounds,
    Checked,
    check_contents,
    check_sizes,
    listed_segments,
    remove_unlisted,
    show,
    usable,
)
from runlore.projections.slots import DatabasePlace
from runlore.projections.table_writes import add_batches, prepared_batch
from runlore.projections.views import views
from runlore.storage.codec import without_misfits
from runlore.storage.damage import DamagedEvent

SCHEMA_VERSION: Final = 3
"""Increase it when the same events give other rows, so that older tables are not used again."""


class RunsProjection(Projection):
    """All tables of `schema.sql`; sealed points are in the folder `segments`, unless it is None.

    Raises duckdb.Error if a segment is missing.
    """

    name = "runs"

    @classmethod
    def open(
        cls, place: DatabasePlace, bounds: Bounds = BOUNDS, memory_nbytes: int = MEMORY_NBYTES
    ) -> RunsProjection:
        """The tables at a place, empty if it is. Raises duckdb.Error if they are damaged."""
        segments = usable(place.segments)
        connection = connect(place.database, place.spill, segments, memory_nbytes)
        try:
            return cls(DuckDBView(connection), segments, bounds)
        except BaseException:
            connection.close()
            raise

    def __init__(
        self, view: DuckDBView, segments: Path | None = None, bounds: Bounds = BOUNDS
    ) -> None:
        self.segments = segments
        self._bounds = bounds
        self._checked: Checked = {}
        self._sealed = False
        self._known: BatchContext | None = None
        super().__init__(view)

    def init(self, connection: duckdb.DuckDBPyConnection) -> None:
        made = connection.execute(
            "SELECT count(*) FROM duckdb_schemas() WHERE schema_name = 'store'"
        ).fetchall()
        if made == [(0,)]:
            connection.execute(_definitions())
            for view in views():
                connection.execute(view)
        segments = listed_segments(connection)
        check_sizes(segments, self.segments)
        show(connection, segments, self.segments)
        remove_unlisted(segments, self.segments)

    def prepare(
        self, facts: Sequence[Fact], wait: Callable[[], None]
    ) -> Callable[[duckdb.DuckDBPyConnection], None]:
        try:
            return self._prepared(facts, wait)
        except (DataErased, duckdb.Error, MemoryError, RunloreError):
            raise
        except Exception:
            # An event can be decoded, but has data that no event has: then it is damaged, too.
            wait()
            self._known = None
            facts = without_misfits(facts)
        try:
            return self._prepared(facts, wait)
        except (DataErased, duckdb.Error, MemoryError, RunloreError):
            raise
        except Exception:
            self._known = None
            return self._prepared(self._foldable(facts), wait)

    def _foldable(self, facts: Sequence[Fact]) -> list[Fact]:
        """The facts, where one that cannot be folded after those before it counts as damaged."""
        cursor = self.view.connection.cursor()
        try:
            known = BatchContext.of_tables(cursor)
            known.learn(facts, cursor)
        finally:
            cursor.close()
        found = []
        for fact in facts:
            try:
                prepared_batch((fact,), known, self._add_values)
            except DataErased:
                raise
            except Exception as error:
                fact = fact._replace(data=None, damage=f"it cannot be applied: {error!r:.200}")
            found.append(fact)
        return found

    def _prepared(
        self, facts: Sequence[Fact], wait: Callable[[], None]
    ) -> Callable[[duckdb.DuckDBPyConnection], None]:
        known = self._known
        if known is not None and len(known.runs) > KNOWN_MAX:
            wait()  # The tables do not yet hold all that is known.
            known = None
        elif known is not None and known.moved:
            wait()  # Runs below the moved ones may be asked for now.
            known.moved = False
        cursor = self.view.connection.cursor()
        try:
            if known is None:
                known = BatchContext.of_tables(cursor)
            known.learn(facts, cursor)
        finally:
            cursor.close()
        self._known = known
        writes = prepared_batch(facts, known, self._add_values)

        def write(connection: duckdb.DuckDBPyConnection) -> None:
            for write_rows in writes:
                write_rows(connection)

        return write

    def apply(self, facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> None:
        self.prepare(facts, _nothing_waits)(connection)

    def write(
        self,
        prepared: Callable[[duckdb.DuckDBPyConnection], None] | None,
        tracking: Tracked,
        leaf: bytes,
    ) -> None:
        self._sealed = False
        try:
            super().write(prepared, tracking, leaf)
        except BaseException:
            with suppress(duckdb.Error):  # The first error is the one to tell.
                self._settle()
            raise
        if self._sealed:
            self._settle()

    def forget(self) -> None:
        self._known = None

    def damaged(self) -> list[DamagedEvent]:
        """The events that could not be decoded so far, in the order of the log."""
        rows = self.view.connection.execute("FROM store.damaged ORDER BY position").fetchall()
        return [DamagedEvent(*row) for row in rows]

    def check_segments(self) -> None:
        """Raises duckdb.Error if a segment is damaged; looks at each once, and once written to."""
        self._checked = check_contents(self.view.connection, self.segments, self._checked)

    def _add_values(
        self, batches: Sequence[tuple[int, Fact]], connection: duckdb.DuckDBPyConnection
    ) -> None:
        self._sealed |= add_batches(connection, batches, self.segments, self._bounds)

    def _settle(self) -> None:
        """Shows the listed segments and removes the others, after a transaction may have sealed.

        Merged files go only now, when they cannot be needed again.
        """
        if self.segments is not None:
            with self.view.transaction() as connection:
                segments = listed_segments(connection)
                show(connection, segments, self.segments)
                remove_unlisted(segments, self.segments)


def _nothing_waits() -> None:
    pass


@cache
def tables_version() -> str:
    """The version of the tables: a number, their SQL and the events that add rows to them.

    A runlore that folds more events must not continue tables that skipped them; one that merely
    knows more events may.
    """
    return version_of_tables(REGISTRY)


def version_of_tables(registry: Mapping[str, type[Event]]) -> str:
    """The version that the tables have if these events are known."""
    known = sorted(
        (topic, event.schema_version) for topic, event in registry.items() if topic in FOLDED
    )
    digest = hashlib.sha256(f"{_definitions()}{views()}{known}".encode()).hexdigest()
    return f"{SCHEMA_VERSION}-{digest[:8]}"


@cache
def _definitions() -> str:
    return Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
