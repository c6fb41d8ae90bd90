"""The questions over all runs of a log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from runlore.domain.errors import NotFound, RunNotFound
from runlore.projections.activity import ExperimentActivity, experiment_activity
from runlore.projections.conditions import Conditions
from runlore.projections.filters import (
    ALL_RUNS,
    TOP_LEVEL,
    Filter,
    RunFilter,
    check_mode,
    check_position,
    check_text_filter,
)
from runlore.projections.kept_files import KEPT, KeptFile
from runlore.projections.open_tables import OpenTables
from runlore.projections.own_projection import OwnProjection
from runlore.projections.queries import (
    PAGE,
    PAGE_GROWTH,
    PAGE_MAX,
    TREE_PAGE,
    experiment_rows,
    first_run,
    run_count,
    run_marks,
    run_no_of,
    run_number,
    run_page,
    writers_of_open_runs,
)
from runlore.projections.query_limits import NO_LIMITS, QueryLimits
from runlore.projections.record_queries import (
    ids_that_start_with,
    run_records,
    shortest_prefixes,
)
from runlore.projections.rollups import Rollup, rollup_of
from runlore.projections.rows import ExperimentRow, FirstRun, RecordRow, RunMarks, RunRow
from runlore.projections.run_conditions import run_conditions
from runlore.projections.run_trees import Branches, runs_below
from runlore.projections.saved_views import SavedView, saved_views
from runlore.projections.timeline import Span, timeline
from runlore.projections.views import reads_points

if TYPE_CHECKING:
    from runlore.projections.charts import Chart, ChartQuestion
    from runlore.projections.curves import Curve, SeriesValues
    from runlore.projections.groups import GroupQuestion, Groups
    from runlore.projections.known_fields import KnownField, KnownValue
    from runlore.projections.live_points import LivePoints
    from runlore.projections.metric_columns import MetricColumn, MetricFilter, TableRow
    from runlore.projections.net_changes import NetChangeRow
    from runlore.projections.runs_table import TableOptions
    from runlore.projections.sql_result import SqlResult
    from runlore.projections.user_sql import Params


class RunsReader:
    """Queries over all runs of a log, as of now or, with a position, as of there."""

    def __init__(self, projection: OwnProjection, position: int | None = None) -> None:
        self.projection = projection
        self.position = position

    def at(self, position: int) -> RunsReader:
        """The reader that answers as if the log ended at the position. Raises InvalidInput."""
        return RunsReader(self.projection, check_position(position))

    # --- runs and experiments -------------------------------------------------------------

    def runs(
        self, which: RunFilter = TOP_LEVEL, *, first_page: int | None = None
    ) -> Iterator[RunRow]:
        """The matching runs, newest first; all pages show the log as the first one did.

        The first page has `first_page` rows, if it is given. Raises RunNotFound at the first row
        if the run is unknown below which others are asked for.
        """
        if first_page is None:
            first_page = PAGE if which.below_run is None else TREE_PAGE
        return chain.from_iterable(self._pages(which, first_page))

    def records(
        self, which: RunFilter = TOP_LEVEL, *, sort: str | None = None, limit: int | None = None
    ) -> list[RecordRow]:
        """The whole records of the matching runs, in one query, newest first or by `sort`.

        Raises InvalidInput for an unknown sort key; RunNotFound if the run is unknown below which
        others are asked for.
        """

        def question(tables: OpenTables) -> list[RecordRow]:
            conditions = self._conditions(tables, which)
            return run_records(tables.connection, conditions, sort=sort, limit=limit)

        return self.projection.ask(question)

    def ids_that_start_with(self, prefix: str, limit: int) -> list[str]:
        """At most `limit` ids of runs that begin with the text, in order."""

        def question(tables: OpenTables) -> list[str]:
            return ids_that_start_with(tables.connection, prefix, limit, self.position)

        return self.projection.ask(question)

    def shortest_prefixes(self, run_ids: Sequence[str], least: int) -> dict[str, str]:
        """For each id the shortest beginning that no other run has, of `least` characters or more.

        Costs the number of ids times that of all runs.
        """
        return self.projection.ask(
            lambda tables: shortest_prefixes(tables.connection, run_ids, least)
        )

    def writers_of_open_runs(self, writer_ids: Sequence[str]) -> set[str]:
        """Those of the writers that created a run which has not ended."""
        return self.projection.ask(
            lambda tables: writers_of_open_runs(tables.connection, writer_ids)
        )

    def run_number(self, run_id: str) -> int:
        """A run's number in its experiment, from 1 on. Raises RunNotFound."""
        number = self.projection.ask(
            lambda tables: run_number(tables.connection, run_id, self.position)
        )
        if number is None:
            raise RunNotFound(run_id, "this workspace")
        return number

    def experiments(
        self, *, view: str = "active", name: str | None = None, tags: Filter = None
    ) -> list[ExperimentRow]:
        """The matching experiments, in order of creation; `view` is active, archived or all."""

        def question(tables: OpenTables) -> list[ExperimentRow]:
            return experiment_rows(
                tables.connection, as_of=self.position, view=view, name=name, tags=tags
            )

        return self.projection.ask(question)

    def experiment_activity(self) -> dict[str, ExperimentActivity]:
        """The activity of each experiment that has runs, by its id; archived runs do not count."""
        return self.projection.ask(
            lambda tables: experiment_activity(tables.connection, self.position)
        )

    def timeline(self, buckets: int) -> list[Span]:
        """How many events there were when, in at most so many spans of equal length."""
        return self.projection.ask(
            lambda tables: timeline(tables.connection, buckets, self.position)
        )

    def saved_views(self) -> list[SavedView]:
        """The views that are saved under names, by name."""
        return self.projection.ask(lambda tables: saved_views(tables.connection, self.position))

    def fields(
        self, part: str = "", *, experiment_id: str | None = None, limit: int = 200
    ) -> list[KnownField]:
        """The fields of runs whose names contain a text, in any case; those of most runs first.

        At most `limit` of each kind: config keys, tags, properties, metrics.
        """
        from runlore.projections.known_fields import known_fields

        def question(tables: OpenTables) -> list[KnownField]:
            number = tables.experiment_no(experiment_id) if experiment_id is not None else None
            return known_fields(tables.connection, part, number, limit, self.position)

        return self.projection.ask(question)

    def field_values(
        self, field: str, part: str = "", *, experiment_id: str | None = None, limit: int = 200
    ) -> list[KnownValue]:
        """The values of a field that contain a text, in any case; those of most runs first.

        Raises FilterError for an unknown field, InvalidInput for one of numbers or times.
        """
        from runlore.domain.filtering.parser import parse_field
        from runlore.projections.known_fields import known_values

        asked = parse_field(field)

        def question(tables: OpenTables) -> list[KnownValue]:
            number = tables.experiment_no(experiment_id) if experiment_id is not None else None
            return known_values(tables.connection, asked, part, number, limit, self.position)

        return self.projection.ask(question)

    # --- metrics --------------------------------------------------------------------------

    def series(self, run_id: str, metric: str) -> SeriesValues | None:
        """All values of a metric of a run, exactly as they were logged and in that order.

        The same as `read_metrics` returns from the log, without reading the run's batches again.
        None if the run has none (yet). Raises RunNotFound.
        """
        # Imported here, as numpy comes with it.
        from runlore.projections.curves import series_values

        def question(tables: OpenTables) -> SeriesValues | None:
            tables.check_segments()
            run_no = run_no_of(tables.connection, run_id, self.position)
            if run_no is None:
                raise RunNotFound(run_id, "this workspace")
            return series_values(
                tables.connection, run_no, metric, self.position, tables.described_at
            )

        return self.projection.ask(question)

    def metric_kinds(self, run_id: str) -> dict[str, str]:
        """By name, in the order of first values, the kind of each metric of a run: scalar, row, ...

        Costs the number of its series. Raises RunNotFound.
        """
        from runlore.projections.known_fields import metric_kinds

        def question(tables: OpenTables) -> dict[str, str]:
            if self.position is not None:
                tables.check_segments()
            run_no = run_no_of(tables.connection, run_id, self.position)
            if run_no is None:
                raise RunNotFound(run_id, "this workspace")
            return metric_kinds(tables.connection, run_no, self.position)

        return self.projection.ask(question)

    def curves(
        self,
        run_ids: Sequence[str],
        metric: str,
        *,
        max_points: int = 1_000,
        column: str = "",
        half_life: float | None = None,
    ) -> list[Curve]:
        """A metric of many runs for a chart, each of at most `max_points` points, in one query.

        In the order of the ids, without the runs that lack the metric. A longer series is cut
        into equally long stretches in the order of logging; the least and the greatest value of
        each are kept, and always the first and the last point. NaN and values that are not
        numbers are gaps, and of each stretch the first one is kept as well. `half_life` adds the
        curve that `smoothing.smoothed` makes of all points.

        Raises InvalidInput if `max_points` is less than 2.
        """
        from runlore.projections.curves import curves
        from runlore.shown.reduction import check_max_points

        check_max_points(max_points)

        def question(tables: OpenTables) -> list[Curve]:
            tables.check_segments()
            return curves(
                tables.connection, run_ids, metric, max_points, self.position, column, half_life
            )

        return self.projection.ask(question)

    def chart(self, chart: ChartQuestion, live: Sequence[LivePoints] = ()) -> Chart:
        """Metrics of many runs on a common x axis, gathered in buckets, in two or three queries.

        Each bucket has the last, least, greatest and mean of its finite values, and says how many
        are not, so that no peak and no NaN is lost. Ask again with `between` for a part of the axis
        to see it in full resolution. Runs without the metrics are left out. `live` points, which
        are in no table, come last: those after the position of this reader.
        """
        from runlore.projections.charts import chart as charted

        def question(tables: OpenTables) -> Chart:
            tables.check_segments()
            return charted(tables.connection, chart, self.position, live)

        return self.projection.ask(question)

    def run_table(
        self,
        columns: Sequence[MetricColumn],
        which: RunFilter = ALL_RUNS,
        *,
        filters: Sequence[MetricFilter] = (),
        order_by: MetricColumn | None = None,
        descending: bool = False,
        limit: int | None = None,
    ) -> list[TableRow]:
        """The matching runs with some of their metrics, in one query.

        Newest first, or by a column, runs without it last. Costs the number of series of all
        runs, not that of their points; as of a position, also that of the points of runs that
        logged then and went on. Raises InvalidInput for a filter or column of another type.
        """
        from runlore.projections.metric_columns import check_columns, run_table

        check_columns([*columns, *([] if order_by is None else [order_by])], filters)

        def question(tables: OpenTables) -> list[TableRow]:
            if self.position is not None:
                tables.check_segments()
            return run_table(
                tables.connection,
                self._conditions(tables, which),
                columns,
                filters,
                order_by,
                descending,
                limit,
            )

        return self.projection.ask(question)

    def runs_table(
        self,
        which: RunFilter = TOP_LEVEL,
        *,
        columns: Sequence[str] | None = None,
        metrics: str | Sequence[str] = "last",
        sort: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        in_trees: Branches | None = None,
    ) -> SqlResult:
        """A row per matching run, with its attributes, config, tags, properties and metrics.

        Newest first or by `sort`, a field with `-` before it for descending order, at most `limit`
        of them after the first `offset`. `in_trees` adds the runs above the matching ones, and
        puts each below its parent, where the children are sorted; runs below a closed branch are
        left out. Without `columns` all that the runs have, of metrics these aggregates. Costs the
        number of series of these runs, not that of their points. Raises FilterError for an unknown
        field, InvalidInput for a table of more than 10,000 columns.
        """
        from runlore.projections.runs_table import TableOptions

        options = TableOptions.of(columns, metrics, sort, limit, offset, in_trees)
        return self._runs_table(which, options)[0]

    def runs_page(
        self,
        which: RunFilter,
        *,
        columns: Sequence[str],
        sort: str | None = None,
        limit: int,
        offset: int = 0,
        in_trees: Branches | None = None,
    ) -> tuple[SqlResult, int]:
        """A part of `runs_table`, and how many rows all of it has; a query less than both apart."""
        from runlore.projections.runs_table import TableOptions

        options = TableOptions.of(columns, "last", sort, limit, offset, in_trees)
        return self._runs_table(which, options._replace(counted=True))

    def _runs_table(self, which: RunFilter, options: TableOptions) -> tuple[SqlResult, int]:
        from runlore.projections.runs_table import runs_page
        from runlore.projections.sql_result import SqlResult

        def question(tables: OpenTables) -> tuple[SqlResult, int]:
            if self.position is not None:
                tables.check_segments()
            table, total = runs_page(tables.connection, self._conditions(tables, which), options)
            return SqlResult(table), total

        return self.projection.ask(question)

    def groups(self, which: RunFilter, question: GroupQuestion) -> Groups:
        """The matching runs gathered by the values of a field. Raises FilterError, InvalidInput."""
        from runlore.projections.groups import groups

        question.check()

        def ask(tables: OpenTables) -> Groups:
            if self.position is not None:
                tables.check_segments()
            return groups(tables.connection, self._conditions(tables, which), question)

        return self.projection.ask(ask)

    def count_runs(self, which: RunFilter = TOP_LEVEL) -> int:
        """The number of matching runs. Raises FilterError."""

        def question(tables: OpenTables) -> int:
            if self.position is not None:
                tables.check_segments()
            return run_count(tables.connection, self._conditions(tables, which))

        return self.projection.ask(question)

    def first_run(self, which: RunFilter) -> FirstRun | None:
        """The matching run that was created first, None if no run matches. Raises FilterError."""
        return self.projection.ask(
            lambda tables: first_run(tables.connection, self._conditions(tables, which))
        )

    def runs_below(self, which: RunFilter, run_ids: Sequence[str]) -> dict[str, int]:
        """By run, the number of runs below it in the trees of the matching ones; not 0."""

        def question(tables: OpenTables) -> dict[str, int]:
            if self.position is not None:
                tables.check_segments()
            return runs_below(tables.connection, self._conditions(tables, which), run_ids)

        return self.projection.ask(question)

    def marks_of(self, run_ids: Sequence[str]) -> dict[str, RunMarks]:
        """By run, the id of its experiment and people's marks; unknown runs are left out."""
        return self.projection.ask(
            lambda tables: run_marks(tables.connection, run_ids, self.position)
        )

    def metrics_of(self, run_ids: Sequence[str], metrics: Sequence[str]) -> dict[str, list[Any]]:
        """By run, the values of metrics such as `loss` or `val/acc.max`; None for none."""
        from runlore.projections.runs_table import metric_column

        which = RunFilter(run_ids=run_ids, include_children=True, include_archived=True)
        columns = ["id", *(metric_column(metric) for metric in metrics)]
        rows = self.runs_table(which, columns=columns)
        return {run_id: values for run_id, *values in rows}

    def kept_files(self, experiment: str | None = None) -> list[KeptFile]:
        """The files whose content is kept, of all runs or of an experiment's; in no order."""
        return [KeptFile(*row) for row in self.sql(KEPT, (experiment,)).fetchall()]

    def best_runs(self, which: RunFilter, metric: str, mode: str, count: int) -> list[str]:
        """The ids of the runs with the best finite values of a metric, at most `count`.

        The best first; of equal ones the newest.
        """
        from runlore.domain.filtering.fields import Field, Namespace

        check_mode(mode)
        value = str(Field(Namespace.METRICS, metric, mode))
        sort = f"-{value}" if mode == "max" else value
        table = self.runs_table(which, columns=["id", value], sort=sort, limit=count)
        return [str(run_id) for run_id, best in table if best is not None]

    def best_run(self, which: RunFilter, metric: str, mode: str = "max") -> str:
        """The id of the run with the greatest or least finite value of a metric.

        Of equal ones the newest. Raises NotFound if no matching run has a finite value of it.
        """
        for run_id in self.best_runs(which, metric, mode, 1):
            return run_id
        raise NotFound(
            f"no run {'that matches ' if which.where else ''}has a finite value of {metric!r:.80}; "
            "runs_table() shows the metrics that runs have"
        )

    def rollup(self, run_id: str, metric: str | None = None, mode: str = "max") -> Rollup:
        """The run and all below it, summed up, with the best finite value of a metric.

        Costs the size of the run's whole tree. Raises RunNotFound, InvalidInput.
        """
        check_mode(mode)
        check_text_filter("metric", metric)

        def question(tables: OpenTables) -> Rollup:
            if metric is not None and self.position is not None:
                tables.check_segments()
            found = rollup_of(tables.connection, run_id, metric, mode, self.position)
            if found is None:
                raise RunNotFound(run_id, "this workspace")
            return found

        return self.projection.ask(question)

    # --- changes and SQL ------------------------------------------------------------------

    def net_changes(self, a: int, b: int, *, run_id: str | None = None) -> list[NetChangeRow]:
        """What differs at position `b` from position `a`, before it, in order of position.

        Of one run, or of all and of the experiments. Raises RunNotFound if the run is unknown at
        `b`.
        """
        # Imported here, as numpy comes with it.
        from runlore.projections.net_changes import net_changes

        def question(tables: OpenTables) -> list[NetChangeRow]:
            tables.check_segments()
            run_no = None if run_id is None else run_no_of(tables.connection, run_id, b)
            if run_no is None and run_id is not None:
                raise RunNotFound(run_id, "this workspace")
            return net_changes(tables.connection, a, b, run_no)

        return self.projection.ask(question)

    def sql(self, query: str, params: Params = None, limits: QueryLimits = NO_LIMITS) -> SqlResult:
        """The result of a user's SELECT. Raises QueryRefused, QueryFailed or QueryTimedOut.

        The limits are DuckDB's here: they do not hold within one value.
        """
        # Imported here, as only SQL of users needs it.
        from runlore.projections.sql_runs_table import made
        from runlore.projections.user_sql import checked, may_be_damage, run_query

        self.projection.limit_memory(limits.memory_nbytes)

        def question(tables: OpenTables) -> SqlResult:
            payloads = tables.payloads
            asked = checked(tables.connection, query, tables.checked_queries)
            wide = bool(asked.calls) and self.position is not None
            if wide or reads_points(asked.reach.views, self.position):
                tables.check_segments()  # It takes a third of a second a gigabyte.
            conditions_of = partial(self._conditions, tables)
            with (
                payloads.as_of(self.position),
                self.projection.unchanged(),
                made(tables.connection, query, asked.calls, conditions_of),
            ):
                return run_query(tables.connection, asked, params, self.position, limits.timeout_s)

        return self.projection.ask_in_doubt(question, may_be_damage)

    # --- inside ---------------------------------------------------------------------------

    def _conditions(self, tables: OpenTables, which: RunFilter) -> Conditions:
        experiment_no = tables.experiment_no(which.experiment_id)
        return run_conditions(tables.connection, which, self.position, experiment_no)

    def _pages(self, which: RunFilter, limit: int) -> Iterator[list[RunRow]]:
        def first(tables: OpenTables) -> tuple[Conditions, list[RunRow]]:
            # The first page is of now, which is faster to ask for; all others are as of it.
            conditions = self._conditions(tables, which)
            rows = run_page(tables.connection, conditions, 0, limit)
            if self.position is None and len(rows) == limit:
                conditions = self.at(tables.position)._conditions(tables, which)
            return conditions, rows

        conditions, rows = self.projection.ask(first)
        offset = 0
        while True:
            yield rows
            if len(rows) < limit:
                return
            # All runs are filtered and sorted for each page: a long list gets longer pages.
            offset, limit = offset + limit, min(PAGE_GROWTH * limit, PAGE_MAX)
            rows = self.projection.ask(partial(_page, conditions, offset, limit))


def _page(conditions: Conditions, offset: int, limit: int, tables: OpenTables) -> list[RunRow]:
    return run_page(tables.connection, conditions, offset, limit)
