"""An experiment, and a workspace's experiments, as tables of notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from runlore.azure.links import way_to_experiment
from runlore.domain.fact import utc_time
from runlore.projections.filters import RunFilter
from runlore.projections.sql_result import first_rows
from runlore.shown.elements import Html, code, escaped
from runlore.shown.page_style import framed
from runlore.shown.tables import shown_table, table

if TYPE_CHECKING:
    from runlore.engine.session import Session

_RUNS: Final = 20
_FIRST: Final = ("name", "status", "started", "duration")
_THEN: Final = ("config.", "tags.", "properties.", "metrics.")
_SYSTEM: Final = "metrics.system/"


def experiment_table(session: Session, experiment_id: str, name: str) -> str:
    """The experiment's newest runs with their config, tags and last metrics."""
    which = RunFilter(experiment_id=experiment_id)
    reader = session.reader()
    runs = reader.runs_table(which, limit=_RUNS)
    activity = reader.experiment_activity().get(experiment_id)
    total = max(len(runs), 0 if activity is None else activity.runs)
    heads = runs.columns
    kept = [heads.index(head) for head in _FIRST] + [
        place
        for place, head in enumerate(heads)
        if head.startswith(_THEN) and not head.startswith(_SYSTEM)
    ]
    rows = [[row[place] for place in kept] for row in first_rows(runs, _RUNS)]
    shown = table([heads[place] for place in kept], rows, total)
    said = f"<strong>{escaped(name)}</strong>"
    look = f'<div class="rl-muted">{code(way_to_experiment(session, name))}</div>'
    return framed(Html(f'<div class="rl-head">{said}</div>{shown}{look}'), sortable=True)


def experiments_table(session: Session, chosen: Mapping[str, str]) -> str:
    """The experiments of these ids and names, each with the number of its runs."""
    activity = session.reader().experiment_activity()
    rows = []
    for experiment_id, name in chosen.items():
        found = activity.get(experiment_id)
        counts = (0, 0, 0) if found is None else found[:3]
        last = None if found is None else utc_time(found.last_begun_at)
        rows.append((name, *counts, last))
    heads = ("experiment", "runs", "active", "failed", "last start")
    return shown_table(heads, rows, total=len(rows))
