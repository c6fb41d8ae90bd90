"""What goes on in each experiment: how many runs, how long they take, where they execute."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from runlore.domain.status import TERMINAL, Status
from runlore.projections.conditions import Conditions
from runlore.projections.driver import duckdb
from runlore.projections.trees import runs_then

DAYS: Final = 30
_DAY_US: Final = 86_400_000_000


class TargetLoad(NamedTuple):
    """The runs on a target that have not ended: those that execute and those that wait."""

    name: str
    executing: int
    waiting: int


class ExperimentActivity(NamedTuple):
    """The runs of an experiment: how many, how many have not ended or have failed.

    `last_begun_at` is when the newest started, or was created, in µs since 1970 UTC; `median_s` for
    how many seconds half of the runs that have ended executed at most, None if there are none.
    `by_day` counts the runs that began in each of the last `DAYS` spans of 24 hours, the present
    one last.
    """

    runs: int
    active: int
    failed: int
    last_begun_at: int
    median_s: float | None
    targets: Sequence[TargetLoad]
    by_day: Sequence[int]


_FROM: Final = """
FROM {runs} r
JOIN store.run_states s ON s.run_no = r.run_no AND {current}
JOIN store.experiments e ON e.experiment_no = r.experiment_no
{where}
"""
_COUNTS: Final = f"""
SELECT e.experiment_id, count(*), count(*) FILTER (WHERE s.status NOT IN (?, ?, ?)),
       count(*) FILTER (WHERE s.status = 'Failed'), max(s.begun_at),
       median(s.ran_us) FILTER (WHERE s.started_at IS NOT NULL AND s.running_since IS NULL) / 1e6
{_FROM} GROUP BY e.experiment_id
"""
_TARGETS: Final = f"""
SELECT e.experiment_id, coalesce(r.target, 'local') AS target,
       count(*) FILTER (WHERE s.status <> ?), count(*) FILTER (WHERE s.status = ?)
{_FROM} AND s.status NOT IN (?, ?, ?) GROUP BY ALL ORDER BY target
"""
_BY_DAY: Final = f"""
SELECT e.experiment_id, greatest(? - s.begun_at, 0) // {_DAY_US} AS days_ago, count(*)
{_FROM} AND s.begun_at > ? - {DAYS * _DAY_US} GROUP BY ALL
"""


def experiment_activity(
    connection: duckdb.DuckDBPyConnection, as_of: int | None
) -> dict[str, ExperimentActivity]:
    """The activity of each experiment that has runs, without archived ones, by its id."""
    conditions = Conditions(as_of)
    conditions.add_known("r")
    conditions.add("s.archived_at IS NULL")
    of_runs = {
        "runs": runs_then(connection, as_of),
        "current": conditions.current("s"),
        "where": conditions.where(),
    }

    def rows(
        query: str, before: Sequence[object], after: Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:
        return connection.execute(
            query.format(**of_runs), [*before, *conditions.params, *after]
        ).fetchall()

    targets = defaultdict(list)
    for experiment_id, *load in rows(_TARGETS, [Status.QUEUED] * 2, [*TERMINAL]):
        targets[experiment_id].append(TargetLoad(*load))
    now = _asked_at(connection, as_of)
    by_day: dict[str, list[int]] = defaultdict(lambda: [0] * DAYS)
    for experiment_id, days_ago, runs in rows(_BY_DAY, [now], [now]):
        by_day[experiment_id][DAYS - 1 - days_ago] = runs
    return {
        row[0]: ExperimentActivity._make((*row[1:], targets[row[0]], by_day[row[0]]))
        for row in rows(_COUNTS, [*TERMINAL])
    }


def _asked_at(connection: duckdb.DuckDBPyConnection, as_of: int | None) -> int:
    """Now, or the time of the position, in µs since 1970 UTC."""
    if as_of is None:
        return time.time_ns() // 1000
    found = connection.execute(
        "SELECT recorded_at FROM store.events WHERE position = ?", [as_of]
    ).fetchone()
    return 0 if found is None else int(found[0])
