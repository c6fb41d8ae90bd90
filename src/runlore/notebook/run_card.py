"""The card of a run in a notebook."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from runlore.azure.links import way_to_run
from runlore.domain.filtering.fields import Namespace
from runlore.domain.filtering.parser import parse_field
from runlore.domain.ids import values_prefix
from runlore.domain.run_state import RunState
from runlore.engine.experiments import current_name
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.metric_blocks import thinned
from runlore.engine.runs.metric_reads import metrics_of
from runlore.engine.runs.metric_values import ARTIFACT_KINDS, MetricValues
from runlore.projections.filters import RunFilter
from runlore.shown.card import METRICS_MAX, Card, CardMetric, card_html
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from collections.abc import Sequence

SYSTEM: Final = "system/"
"""The names of metrics that runlore samples by itself begin so; they are shown apart."""

_POINTS: Final = 60
_BATCHES_MAX: Final = 500


def run_card(run: RunHandle, *, batches_max: int = _BATCHES_MAX) -> str:
    """The run's card as HTML.

    Metrics of a run with more than `batches_max` batches come from the projection, which may be a
    few seconds behind a process that logs.
    """
    state, session = run.fetch(), run.session
    metrics, more = _metrics(run, batches_max)
    return card_html(
        Card(
            run_id=run.id,
            name=state.display_name or "",
            experiment=current_name(session, state.experiment_name, state.experiment_id),
            status=run.shown_status,
            detail=run.shown_detail,
            problem="erased" if state.erased else _problem(state),
            created_at=state.created_at,
            started_at=state.started_at,
            seconds=_seconds(run, state),
            who=session.journal.name_of(state.created_by, state.created_for),
            config={key: _config_text(held.value) for key, held in state.config.items()},
            tags=state.tags,
            metrics=metrics,
            more_metrics=more,
            look=way_to_run(session, run.id),
        )
    )


def _seconds(run: RunHandle, state: RunState) -> float | None:
    """How long the run has executed; unknown while it did in a copy or as of a past position."""
    if state.started_at is None:
        return None
    if state.running_since is None:
        return state.ran_us / 1e6
    if run.is_elsewhere or getattr(run.session, "position", None) is not None:
        return None
    return (state.ran_us + max(0, time.time_ns() // 1000 - state.running_since)) / 1e6


def _problem(state: RunState) -> str | None:
    if state.error is None:
        return None
    return str(state.error.get("message") or state.error.get("code") or "") or None


def _config_text(value: str | None) -> str:
    """A config's JSON as text; texts without their quotes."""
    held = json.loads(value or "null")
    return held if isinstance(held, str) else str(value)


def _metrics(run: RunHandle, batches_max: int) -> tuple[Sequence[CardMetric], int]:
    """The first metrics, and the number of the others."""
    session = run.session
    batches = session.log.count_events(LogQuery(prefix=values_prefix(run.id)))
    if batches > batches_max and not session.is_memory:
        return _of_projection(run)
    found = [
        metric
        for name, metric in metrics_of(run).items()
        if metric.kind not in ARTIFACT_KINDS and not name.startswith(SYSTEM)
    ]
    return [_metric(metric) for metric in found[:METRICS_MAX]], max(0, len(found) - METRICS_MAX)


def _metric(metric: MetricValues) -> CardMetric:
    if metric.kind != "scalar":
        return CardMetric(metric.name, "a table", len(metric))
    curve = thinned(metric, _POINTS).values.tolist()
    return CardMetric(metric.name, _last(metric), len(metric), curve)


def _last(metric: MetricValues) -> Any:
    return metric.values[-1:].tolist()[0]


def _of_projection(run: RunHandle) -> tuple[Sequence[CardMetric], int]:
    reader = run.session.reader()
    which = RunFilter(run_ids=[run.id], include_children=True, include_archived=True)
    table = reader.runs_table(which, metrics=("last", "n"))
    held = {
        (field.name, field.aggregate): value
        for column, value in zip(table.columns, next(iter(table), ()), strict=False)
        if (field := parse_field(column)).namespace is Namespace.METRICS
    }
    names = [name for name, kind in held if kind == "last" and not name.startswith(SYSTEM)]
    shown = []
    for name in names[:METRICS_MAX]:
        curves = reader.curves([run.id], name, max_points=_POINTS)
        curve = curves[0].values.tolist() if curves else ()
        n = int(held.get((name, "n")) or 0)
        shown.append(CardMetric(name, held[name, "last"], n, curve))
    return shown, max(0, len(names) - METRICS_MAX)
