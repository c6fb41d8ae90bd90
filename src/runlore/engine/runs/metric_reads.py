"""Reading a run's logged values: from the log, the projection and the spools of this host."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from runlore.domain.errors import InvalidInput
from runlore.domain.ids import values_prefix
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.metric_blocks import read_curve, read_metrics, read_series, thinned
from runlore.engine.runs.metric_values import MetricValues
from runlore.storage.log_query import LogQuery

_BATCHES_MAX: Final = 2_000  # With more, reading one series from the log takes a tenth of a second.


def metrics_of(
    run: RunHandle, name: str | None = None, *, batches_max: int = _BATCHES_MAX
) -> Mapping[str, MetricValues]:
    """A run's metrics by name, in the order of their first values; or only the one named.

    One metric of a run with more than `batches_max` batches is read from the projection.
    """
    session = run.session
    session.before_read(of_spools=True)
    live = partial(session.live_values, run.id)
    if name is not None and not session.is_memory:
        # The projection unpacks thousands of batches once, for all its queries.
        batches = session.log.count_events(LogQuery(prefix=values_prefix(run.id)))
        if batches > batches_max:
            metric = read_series(session.reader(), session.log, run.id, name, read_live=live)
            return {} if metric is None else {name: metric}
    return read_metrics(session.log, run.id, name=name, live=live(), damage=session.journal.damage)


def values_of(
    run: RunHandle, name: str, max_points: int | None = None, *, batches_max: int = _BATCHES_MAX
) -> MetricValues:
    """All values of a metric, or at most `max_points` for a chart; see `Run.values`."""
    session = run.session
    session.before_read(of_spools=True)
    if max_points is not None and not session.live_values(run.id).pieces:
        curve = read_curve(session.reader(), run.id, name, max_points)
        if curve is not None:
            return curve
    found = metrics_of(run, name, batches_max=batches_max)
    if name not in found:
        known = ", ".join(metrics_of(run)) or "none"
        raise InvalidInput(f"run {run.id} has no metric {name!r}; it has: {known}")
    if max_points is not None and found[name].kind == "scalar":
        return thinned(found[name], max_points)
    if max_points is not None:
        raise InvalidInput(
            f"metric {name!r} is a {found[name].kind}; max_points is for scalar metrics only, and "
            "run.values(name) returns all rows"
        )
    return found[name]
