"""Every answer that a workspace gives about its runs, as JSON: by a runlore of any version.

Imports nothing but the public package, so that commit 96927dc can run it as well (see `make.py`).
What is asked stays as it was then; answers may gain keys and columns, which nobody asks for here.
"""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from typing import Any, Final

from runlore import Workspace

_RECORD_KEYS: Final = (
    "run_id",
    "status",
    "parent_run_id",
    "root_run_id",
    "run_number",
    "run_type",
    "target",
    "display_name",
    "description",
    "tags",
    "properties",
    "start_time_utc",
    "end_time_utc",
    "error",
)

_QUERIES: Final = {
    "experiments": """
        SELECT experiment_id, name, created_at, archived_at, run_count
        FROM experiments ORDER BY created_at, experiment_id
    """,
    # What create_children made counts its duration otherwise since: from its first value on.
    "runs": """
        SELECT run_id, experiment, experiment_id, number, display_name, name, run_type, target,
            status, status_detail, created_at, started_at, ended_at,
            CASE WHEN run_id NOT IN (SELECT run_id FROM tags WHERE key = 'alpha')
                THEN duration_s END AS duration_s,
            parent_id, root_id, depth, description, error, actor, host, erased
        FROM runs ORDER BY created_at, run_id
    """,
    "tags": "SELECT run_id, key, value, set_at, set_by FROM tags ORDER BY run_id, key",
    "properties": """
        SELECT run_id, key, value, set_at, set_by, reason FROM properties ORDER BY run_id, key
    """,
    "metrics": """
        SELECT run_id, metric, "column", kind, n, last, last_text, min, max, mean, first_step,
            last_step, last_time
        FROM metrics ORDER BY run_id, metric, "column"
    """,
    "metric_points": """
        SELECT run_id, metric, "column", kind, step, time, value, text, type, position, "index",
            late
        FROM metric_points ORDER BY position, run_id, metric, "column", "index"
    """,
    "run_tree": """
        SELECT ancestor_id, run_id, distance FROM run_tree ORDER BY ancestor_id, run_id
    """,
    "events": """
        SELECT position, stream, version, topic, event_id, recorded_at, writer_id, actor, reason,
            run_id
        FROM events ORDER BY position
    """,
    "tag_history": """
        SELECT run_id, key, value, set_at, set_by, from_position, to_position, ended_at, ended_by,
            removed
        FROM tag_history ORDER BY from_position, run_id, key
    """,
    "property_history": """
        SELECT run_id, key, value, set_at, set_by, reason, from_position, to_position
        FROM property_history ORDER BY from_position, run_id, key
    """,
    "status_history": """
        SELECT run_id, status, status_detail, changed_at, changed_by, position
        FROM status_history ORDER BY position, run_id
    """,
}

_PAYLOADS: Final = "SELECT data FROM events ORDER BY position"


def answers(ws: Workspace) -> dict[str, Any]:
    """All that the workspace says, of now or as of a moment."""
    ids = [row[0] for row in ws.sql("SELECT run_id FROM runs ORDER BY run_id").fetchall()]
    found = {
        "workspace": [ws.name, ws.subscription_id, ws.resource_group, ws.tags, ws.erasable],
        "position": ws.position,
        "runs": {run_id: answers_of_run(ws, run_id) for run_id in ids},
        "records": [_chosen(record) for record in ws.get_run_records(include_children=True)],
        "lists": _lists(ws),
        "sql": {name: ws.sql(query).fetchall() for name, query in _QUERIES.items()},
        "payloads": [json.loads(data) for (data,) in ws.sql(_PAYLOADS).fetchall() if data],
        "feed": [[event.position, event.topic, event.who] for event in ws.events()],
    }
    return plain(found)  # type: ignore[no-any-return]  # A dict becomes a dict.


def answers_of_run(ws: Workspace, run_id: str) -> dict[str, Any]:
    """What one run says of itself, by a fold of its streams."""
    run = ws.get_run(run_id)
    metrics = run.get_metrics()
    return {
        "type": type(run).__name__,
        "experiment": [run.experiment.name, run.experiment.id],
        "status": run.get_status(),
        "record": _chosen(run.get_record()),
        "number": run.number,
        "parent": run.parent.id if run.parent is not None else None,
        "root": run.root.id,
        "children": [child.id for child in run.get_children()],
        "tags": run.get_tags(),
        "properties": run.get_properties(),
        "files": run.get_file_names(),
        "metrics": metrics,
        "values": {name: _values(ws, run_id, name) for name in metrics},
        "history": [list(change) for change in run.history()],
    }


def values_of_run(ws: Workspace, run_id: str) -> dict[str, Any]:
    """The values of a run, those of spools included."""
    names = ws.get_run(run_id).get_metrics()
    return plain({name: _values(ws, run_id, name) for name in names})  # type: ignore[no-any-return]  # as above


def plain(found: Any) -> Any:
    """The same as JSON can hold it; what is no finite number becomes text."""
    if isinstance(found, dict):
        return {str(key): plain(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [plain(value) for value in found]
    if isinstance(found, float) and not math.isfinite(found):
        return str(found)
    if isinstance(found, datetime | date):
        return found.isoformat()
    if isinstance(found, bytes):
        return found.hex()
    return found


def _values(ws: Workspace, run_id: str, name: str) -> dict[str, Any]:
    values = ws.get_run(run_id).values(name)
    return {
        "kind": values.kind,
        "steps": values.steps.tolist(),
        "times": values.times.astype("int64").tolist(),
        "columns": {column: found.tolist() for column, found in values.columns.items()},
    }


def _chosen(record: dict[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in _RECORD_KEYS if key in record}


def _lists(ws: Workspace) -> dict[str, list[str]]:
    """Lists through the projection's queries, each run by its id."""
    found = {}
    for name, experiment in ws.experiments.items():
        found[name] = [run.id for run in experiment.get_runs()]
        found[f"{name}, all"] = [run.id for run in experiment.get_runs(include_children=True)]
        found[f"{name}, tagged"] = [
            run.id for run in experiment.get_runs(tags={"quality": "great"}, include_children=True)
        ]
        found[f"{name}, property"] = [
            run.id for run in experiment.get_runs(properties="author", include_children=True)
        ]
    return found
