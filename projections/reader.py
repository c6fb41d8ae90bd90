"""What a reading process asks: its private projection, caught up to the log before each answer."""

from __future__ import annotations

import ctypes
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb

from runlore.domain.errors import RunNotFound
from runlore.projections.connection import connect
from runlore.projections.duckdb_recorder import DuckDBView
from runlore.projections.filters import Conditions, Filter
from runlore.projections.queries import (
    PAGE,
    below,
    experiment_rows,
    run_conditions,
    run_number,
    run_page,
)
from runlore.projections.rows import ExperimentRow, RunRow
from runlore.projections.runner import APPLICATION, catch_up
from runlore.projections.runs_projection import SCHEMA_VERSION, RunsProjection
from runlore.projections.slots import Slot, claim
from runlore.projections.user_sql import SqlResult, run_query
from runlore.storage import fork_guard
from runlore.storage.event_log import EventLog

T = TypeVar("T")

# What a damaged or full file shows: while it is opened, caught up, or only in a query.
_BROKEN: Final = (
    duckdb.IOException,
    duckdb.InternalException,
    duckdb.FatalException,
    duckdb.SerializationException,
    duckdb.ConnectionException,
    duckdb.CatalogException,
)


class RunsReader:
    """Queries over all runs of a log. Any thread may ask; a forked child gets its own projection.

    Every answer sees all events that were committed, by any process, before the question. The
    projection lives in a slot below `folder`, or in memory where that is None or cannot be
    written. A file that is damaged, or of another log or version, is rebuilt silently.
    """

    fork_order = 15

    def __init__(self, log: EventLog, folder: Path | None) -> None:
        self.events_read = 0
        self._log = log
        self._folder = folder and folder / f"{SCHEMA_VERSION}-duckdb{duckdb.__version__}"
        self._lock = threading.RLock()
        self._slot: Slot | None = None
        self._projection: RunsProjection | None = None
        self._spill: tempfile.TemporaryDirectory[str] | None = None
        fork_guard.guard(self)

    # --- questions ------------------------------------------------------------------------

    def runs(
        self,
        experiment_id: str | None = None,
        *,
        type: object = None,
        tags: Filter = None,
        properties: Filter = None,
        status: object = None,
        include_children: bool = False,
        as_of: int | None = None,
    ) -> Iterator[RunRow]:
        """The runs that fit, newest first; all pages show the log as the first one did.

        Raises InvalidInput for a filter of another type, at once and not at the first row.
        """

        def conditions(position: int | None) -> Conditions:
            return run_conditions(
                as_of=position,
                experiment_id=experiment_id,
                type=type,
                tags=tags,
                properties=properties,
                status=status,
                include_children=include_children,
            )

        conditions(as_of)
        return self._pages(conditions, as_of)

    def children(
        self,
        run_id: str,
        *,
        recursive: bool = False,
        type: object = None,
        tags: Filter = None,
        properties: Filter = None,
        status: object = None,
        as_of: int | None = None,
    ) -> Iterator[RunRow]:
        """The children of a run, or all its descendants, that fit, newest first.

        The filters apply to each run by itself: a run is found below one that does not fit.
        """

        def conditions(position: int | None) -> Conditions:
            made = run_conditions(
                as_of=position, type=type, tags=tags, properties=properties, status=status
            )
            if position is not None and not below(self._connection, made, run_id, recursive):
                made.add("false")
            return made

        conditions(None)
        return self._pages(conditions, as_of)

    def run_number(self, run_id: str) -> int:
        """A run's number in its experiment, from 1 on. Raises RunNotFound."""
        number = self._ask(lambda connection: run_number(connection, run_id))
        if number is None:
            raise RunNotFound(run_id, "this workspace")
        return number

    def experiments(
        self,
        *,
        view: str = "active",
        name: str | None = None,
        tags: Filter = None,
        as_of: int | None = None,
    ) -> list[ExperimentRow]:
        """The experiments that fit, in order of creation."""
        return self._ask(
            lambda connection: list(
                experiment_rows(connection, as_of=as_of, view=view, name=name, tags=tags)
            )
        )

    def sql(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> SqlResult:
        """The result of a user's SELECT. Raises QueryRefused or QueryFailed."""
        return self._ask(lambda connection: run_query(connection, query, params))

    def refresh(self) -> int:
        """Catches up to the log's head; returns the applied position."""
        return self._ask(lambda connection: self._applied())

    def close(self) -> None:
        """Closes the database and lets its slot go; twice is once."""
        with self._lock:
            if self._projection is not None:
                self._projection.view.close()
            self._let_go()

    # --- forks ----------------------------------------------------------------------------

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        if self._projection is not None:
            # DuckDB's threads did not come along: even its destructor would wait for them.
            connection = self._projection.view.connection
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        if self._spill is not None:
            self._spill._finalizer.detach()  # type: ignore[attr-defined]  # It is the parent's.
        self._let_go()

    # --- inside ---------------------------------------------------------------------------

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        assert self._projection is not None, "only asked for inside _ask"
        return self._projection.view.connection

    def _pages(
        self, conditions: Callable[[int | None], Conditions], as_of: int | None
    ) -> Iterator[RunRow]:
        offset = 0
        while True:
            position = as_of if as_of is not None else self.refresh()
            as_of = position
            first = offset

            def page(connection: duckdb.DuckDBPyConnection) -> list[RunRow]:
                return run_page(connection, conditions(position), first)  # noqa: B023

            rows = self._ask(page)
            yield from rows
            if len(rows) < PAGE:
                return
            offset += PAGE

    def _ask(self, question: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Catches up and answers; a broken file is rebuilt, the last time in memory."""
        with self._lock:
            for place in (self._folder, self._folder, None):
                try:
                    self._catch_up(place)
                    return question(self._connection)
                except _BROKEN:
                    if place is None:
                        raise
                    self._discard()
            raise AssertionError("the last place raises or answers")

    def _catch_up(self, folder: Path | None) -> None:
        if self._projection is None:
            self._projection = self._open(folder)
        self.events_read += catch_up(self._projection, self._log)

    def _open(self, folder: Path | None) -> RunsProjection:
        if folder is not None:
            with suppress(OSError):
                self._slot = claim(folder)
        if self._slot is None:
            self._spill = tempfile.TemporaryDirectory(prefix="runlore-")
            return _projection_at(":memory:", Path(self._spill.name))
        try:
            projection = _projection_at(self._slot.database, self._slot.folder / "spill")
            if self._belongs(projection):
                return projection
            projection.view.close()
        except _BROKEN:
            pass
        self._slot.clear()
        return _projection_at(self._slot.database, self._slot.folder / "spill")

    def _belongs(self, projection: RunsProjection) -> bool:
        """Whether what the projection has applied is a part of this very log."""
        position, leaf = projection.view.applied(APPLICATION)
        if position == 0:
            return True
        rows = self._log.read_log(after_position=position - 1, limit=1)
        return bool(rows) and (rows[0].position, rows[0].leaf) == (position, leaf)

    def _applied(self) -> int:
        assert self._projection is not None, "only asked for inside _ask"
        return self._projection.view.applied(APPLICATION)[0]

    def _discard(self) -> None:
        """Drops a projection that turned out to be broken, and its file."""
        if self._projection is not None:
            with suppress(duckdb.Error):
                self._projection.view.close()
        if self._slot is not None:
            with suppress(OSError):
                self._slot.clear()
        self._let_go()

    def _let_go(self) -> None:
        self._projection = None
        self._spill = None
        if self._slot is not None:
            self._slot.release()
            self._slot = None


def open_projection(log: EventLog, folder: Path | None) -> RunsReader:
    """The reader of a log; `folder` None keeps its projection in memory. Opens nothing yet."""
    return RunsReader(log, folder)


def _projection_at(path: str | Path, spill: Path) -> RunsProjection:
    connection = connect(path, spill)
    try:
        return RunsProjection(DuckDBView(connection))
    except BaseException:
        connection.close()
        raise
