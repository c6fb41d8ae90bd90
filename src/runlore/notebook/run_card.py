"""The card of a run in a notebook."""

from __future__ import annotations

import json

from runlore.azure.links import way_to_run
from runlore.domain.run_state import RunState
from runlore.engine.experiments import current_name
from runlore.engine.moments import asked_at
from runlore.engine.runs.handle import RunHandle
from runlore.notebook.metric_facts import BATCHES_MAX, metric_facts
from runlore.shown.card import METRICS_MAX, Card, card_html


def run_card(run: RunHandle, *, batches_max: int = BATCHES_MAX) -> str:
    """The run's card as HTML.

    Metrics of a run with more than `batches_max` batches come from the projection, which may be a
    few seconds behind a process that logs.
    """
    state, session = run.fetch(), run.session
    metrics, more = metric_facts(run, METRICS_MAX, batches_max=batches_max)
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
    """How long the run has executed; unknown while it did in a copy."""
    if state.running_since is not None and run.is_elsewhere:
        return None
    found = state.duration_us(asked_at(run.session))
    return None if found is None else found / 1e6


def _problem(state: RunState) -> str | None:
    if state.error is None:
        return None
    return str(state.error.get("message") or state.error.get("code") or "") or None


def _config_text(value: str | None) -> str:
    """A config's JSON as text; texts without their quotes."""
    held = json.loads(value or "null")
    return held if isinstance(held, str) else str(value)
