"""The questions over all runs of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import duckdb

from runlore.domain.errors import RunNotFound
from runlore.projections.filters import Conditions, Filter, check_position, check_text_filter
from runlore.projections.own_projection import OwnProjection
from runlore.projections.queries import (
    PAGE,
    PAGE_GROWTH,
    PAGE_MAX,
    TREE_PAGE,
    below,
    experiment_number,
    experiment_rows,
    read_all,
    run_conditions,
    run_no_of,
    run_number,
    run_page,
)
from runlore.projections.record_queries import (
    add_record_conditions,
    ids_that_start_with,
    run_records,
)
from runlore.projections.rows import ExperimentRow, RecordRow, RunRow
from runlore.projections.segment_files import BOUNDS, Bounds
from runlore.storage.codec import fact_of
from runlore.storage.event_log import EventLog
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.projections.curves import Curve, SeriesValues
    from runlore.projections.event_payloads import EventPayloads
    from runlore.projections.metric_columns import MetricColumn, MetricFilter, TableRow
    from runlore.projections.net_changes import DifferenceRow
    from runlore.projections.user_sql import SqlResult


class RunsReader(OwnProjection):
    """Queries over all runs of a log, answered as `OwnProjection` says."""

    def __init__(self, log: EventLog, folder: Path | None, bounds: Bounds = BOUNDS) -> None:
        super().__init__(log, folder, bounds)
        self._payloads: EventPayloads | None = None
        self._experiment_nos: dict[str, int] = {}

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
        target: object = None,
        as_of: int | None = None,
    ) -> Iterator[RunRow]:
        """The runs that fit, newest first; all pages show the log as the first one did.

        Raises InvalidInput for a filter of another type, at once and not at the first row.
        """
        experiment_id = check_text_filter("experiment_id", experiment_id)

        def filtered(position: int | None, experiment_no: int | None) -> Conditions:
            return run_conditions(
                as_of=position,
                experiment_no=experiment_no,
                type=type,
                tags=tags,
                properties=properties,
                status=status,
                include_children=include_children,
                target=target,
            )

        def conditions(connection: duckdb.DuckDBPyConnection, position: int | None) -> Conditions:
            return filtered(position, self._experiment_no(connection, experiment_id))

        filtered(as_of, None)  # For what it raises.
        return chain.from_iterable(self._pages(conditions, as_of))

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
        Raises InvalidInput for a filter of another type, at once; RunNotFound at the first row.
        """

        def filtered(position: int | None) -> Conditions:
            return run_conditions(
                as_of=position, type=type, tags=tags, properties=properties, status=status
            )

        def conditions(connection: duckdb.DuckDBPyConnection, position: int | None) -> Conditions:
            made = filtered(position)
            if not below(connection, made, run_id, recursive):
                raise RunNotFound(run_id, "this workspace")
            return made

        filtered(as_of)  # For what it raises.
        return chain.from_iterable(self._pages(conditions, as_of, limit=TREE_PAGE))

    def records(
        self,
        experiment_id: str | None = None,
        *,
        below_run: str | None = None,
        type: object = None,
        tags: Filter = None,
        properties: Filter = None,
        statuses: Sequence[str] = (),
        target: str | None = None,
        include_children: bool = False,
        sort: str | None = None,
        limit: int | None = None,
        as_of: int | None = None,
    ) -> list[RecordRow]:
        """The whole records of the runs that fit, in one query, newest first or by `sort`.

        With `below_run` they are its children, or with `include_children` all its descendants.
        Raises InvalidInput for a filter or order that there is not, RunNotFound for its parent.
        """
        experiment_id = check_text_filter("experiment_id", experiment_id)

        def filtered(experiment_no: int | None) -> Conditions:
            conditions = run_conditions(
                as_of=as_of,
                experiment_no=experiment_no,
                type=type,
                tags=tags,
                properties=properties,
                include_children=include_children or below_run is not None,
            )
            add_record_conditions(conditions, statuses=statuses, target=target)
            return conditions

        def question(connection: duckdb.DuckDBPyConnection) -> list[RecordRow]:
            conditions = filtered(self._experiment_no(connection, experiment_id))
            if below_run is not None and not below(
                connection, conditions, below_run, include_children
            ):
                raise RunNotFound(below_run, "this workspace")
            return run_records(connection, conditions, sort=sort, limit=limit)

        filtered(None)  # For what it raises.
        return self._ask(question)

    def ids_that_start_with(
        self, prefix: str, limit: int, *, as_of: int | None = None
    ) -> list[str]:
        """At most so many ids of runs that begin with the text, in order."""
        as_of = check_position(as_of)
        return self._ask(lambda connection: ids_that_start_with(connection, prefix, limit, as_of))

    def run_number(self, run_id: str, *, as_of: int | None = None) -> int:
        """A run's number in its experiment, from 1 on. Raises RunNotFound."""
        as_of = check_position(as_of)
        number = self._ask(lambda connection: run_number(connection, run_id, as_of))
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

    def series(self, run_id: str, metric: str, *, as_of: int | None = None) -> SeriesValues | None:
        """All values of a metric of a run, exactly as they were logged and in that order.

        Such as `read_metrics` gives from the log, without reading the run's batches again. None
        if the run has none (yet). Raises RunNotFound.
        """
        # Imported here, as numpy and pyarrow come with it.
        from runlore.projections.curves import series_values

        as_of = check_position(as_of)

        def question(connection: duckdb.DuckDBPyConnection) -> SeriesValues | None:
            self._check_segments()
            run_no = run_no_of(connection, run_id, as_of)
            if run_no is None:
                return None
            return series_values(connection, run_no, metric, as_of, self._described_at)

        found = self._ask(question)
        if found is None:
            self.run_number(run_id, as_of=as_of)  # For what it raises.
        return found

    def curves(
        self,
        run_ids: Sequence[str],
        metric: str,
        *,
        max_points: int = 1_000,
        column: str = "",
        as_of: int | None = None,
    ) -> list[Curve]:
        """A metric of many runs for a chart, each of at most so many points, in one query.

        In the order of the ids, without those that do not have it. A series that has more points
        is cut into equally long stretches in the order of logging, and of each the least and the
        greatest value are kept; the first and the last point always are. NaN, and what is no
        number, is a gap: NaN stands for a stretch that has nothing else.

        Raises InvalidInput if `max_points` is less than 2.
        """
        from runlore.projections.curves import check_max_points, curves

        check_max_points(max_points)
        as_of = check_position(as_of)

        def question(connection: duckdb.DuckDBPyConnection) -> list[Curve]:
            self._check_segments()
            return curves(connection, run_ids, metric, max_points, as_of, column)

        return self._ask(question)

    def run_table(
        self,
        columns: Sequence[MetricColumn],
        *,
        filters: Sequence[MetricFilter] = (),
        order_by: MetricColumn | None = None,
        descending: bool = False,
        limit: int | None = None,
        experiment_id: str | None = None,
        type: object = None,
        tags: Filter = None,
        properties: Filter = None,
        status: object = None,
        include_children: bool = True,
        target: object = None,
        as_of: int | None = None,
    ) -> list[TableRow]:
        """The runs that fit with some of their metrics, in one query.

        Newest first, or by a column, runs without it last. Costs the number of series of all
        runs, not that of their points; as of a position, also that of the points of runs that
        logged then and went on. Raises InvalidInput for a filter or column of another type.
        """
        from runlore.projections.metric_columns import check_columns, run_table

        experiment_id = check_text_filter("experiment_id", experiment_id)
        check_columns([*columns, *([] if order_by is None else [order_by])], filters)

        def question(connection: duckdb.DuckDBPyConnection) -> list[TableRow]:
            if as_of is not None:
                self._check_segments()
            conditions = run_conditions(
                as_of=as_of,
                experiment_no=self._experiment_no(connection, experiment_id),
                type=type,
                tags=tags,
                properties=properties,
                status=status,
                include_children=include_children,
                target=target,
            )
            return run_table(connection, conditions, columns, filters, order_by, descending, limit)

        return self._ask(question)

    def differences(self, a: int, b: int, *, run_id: str | None = None) -> list[DifferenceRow]:
        """What differs at position `b` from what was at `a`, before it, in order of position.

        Of one run, or of all and of the experiments. Raises RunNotFound if it is not there at `b`.
        """
        # Imported here, as numpy and pyarrow come with it.
        from runlore.projections.net_changes import differences

        def question(connection: duckdb.DuckDBPyConnection) -> list[DifferenceRow]:
            self._check_segments()
            run_no = None if run_id is None else run_no_of(connection, run_id, b)
            if run_no is None and run_id is not None:
                raise RunNotFound(run_id, "this workspace")
            return differences(connection, a, b, run_no)

        return self._ask(question)

    def sql(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        as_of: int | None = None,
    ) -> SqlResult:
        """The result of a user's SELECT. Raises QueryRefused or QueryFailed."""
        # Imported here, as pyarrow comes with it.
        from runlore.projections.event_payloads import EventPayloads
        from runlore.projections.user_sql import QueryFailed, may_be_damage, run_query
        from runlore.projections.views import shown_as_of

        as_of = check_position(as_of)

        def question(connection: duckdb.DuckDBPyConnection) -> SqlResult:
            if self._payloads is None:
                self._payloads = EventPayloads(connection, self._log)
            if _may_read_points(query, as_of):
                self._check_segments()
            if as_of is None:
                return run_query(connection, query, params)
            with self._payloads.as_of(as_of), shown_as_of(connection, as_of, query):
                return run_query(connection, query, params, only_views=True)

        def read_to_the_end(connection: duckdb.DuckDBPyConnection) -> None:
            self._check_segments()
            read_all(connection)

        with self._lock:
            try:
                return self._ask(question)
            except QueryFailed as failed:
                if not may_be_damage(failed):
                    raise
            try:
                self._close_database()
                self._ask(read_to_the_end)  # A damaged file is found here, and rebuilt.
                return self._ask(question)
            except QueryFailed:
                self._close_database()  # An internal error leaves a dead connection behind.
                raise

    def write_parquet(self, name: str, run_ids: Sequence[str] | None, file: IO[bytes]) -> int:
        """Writes a view's rows of some runs, or of all, as Parquet; returns how many."""
        # Imported here, as pyarrow comes with it.
        from runlore.projections.parquet_files import write_view

        def question(connection: duckdb.DuckDBPyConnection) -> int:
            self._check_segments()
            file.seek(0)
            file.truncate()  # It may be asked again, of a rebuilt database.
            return write_view(connection, name, run_ids, file)

        return self._ask(question)

    # --- inside ---------------------------------------------------------------------------

    def _pages(
        self,
        conditions: Callable[[duckdb.DuckDBPyConnection, int | None], Conditions],
        as_of: int | None,
        limit: int = PAGE,
    ) -> Iterator[list[RunRow]]:
        def first(connection: duckdb.DuckDBPyConnection) -> tuple[Conditions, list[RunRow]]:
            # The first page is of now, which is asked for sooner; all others are as of it.
            wanted = conditions(connection, as_of)
            rows = run_page(connection, wanted, 0, limit)
            if as_of is None and len(rows) == limit:
                wanted = conditions(connection, self._applied())
            return wanted, rows

        wanted, rows = self._ask(first)
        offset = 0
        while True:
            yield rows
            if len(rows) < limit:
                return
            # All runs are filtered and sorted for each page: a long list gets longer pages.
            offset, limit = offset + limit, min(PAGE_GROWTH * limit, PAGE_MAX)
            rows = self._ask(partial(run_page, conditions=wanted, offset=offset, limit=limit))

    def _described_at(self, position: int) -> Sequence[Mapping[str, Any]]:
        """The series of the batch at a position."""
        (row,) = self._log.read_log(LogQuery.at(position))
        data = fact_of(row).data
        return () if data is None else data["series"]

    def _experiment_no(
        self, connection: duckdb.DuckDBPyConnection, experiment_id: str | None
    ) -> int | None:
        """An experiment's number in these tables, for `run_conditions`; 0 if it is unknown."""
        if experiment_id is None:
            return None
        number = self._experiment_nos.get(experiment_id) or experiment_number(
            connection, experiment_id
        )
        if number:
            self._experiment_nos[experiment_id] = number
        return number

    def _close_database(self) -> None:
        self._payloads = None
        self._experiment_nos = {}
        super()._close_database()


def open_projection(log: EventLog, folder: Path | None, bounds: Bounds = BOUNDS) -> RunsReader:
    """The reader of a log; `folder` None keeps its projection in memory. Opens nothing yet."""
    return RunsReader(log, folder, bounds)


def _may_read_points(query: object, as_of: int | None) -> bool:
    """Whether sealed points are to be checked first, which takes a third of a second a gigabyte.

    The view `metrics` reads some of them where it is asked as of a position.
    """
    return isinstance(query, str) and ("points" if as_of is None else "metric") in query.casefold()
