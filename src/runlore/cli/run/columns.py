"""The columns of runs in tables for people."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from runlore.cli.output import Columns
from runlore.domain.surroundings import COMMIT_PROPERTY, commit_in, script_in
from runlore.workspace import session_of

if TYPE_CHECKING:
    from runlore.workspace import Workspace

RunRecord = dict[str, Any]

_ID_LEAST_CHARS: Final = 8


def duration(record: RunRecord) -> str:
    """The time from start to end, or to now, as `1:02:03` or, if it is short, as `0.12 s`.

    Empty for a run that has not started.
    """
    if record["start_time_utc"] is None:
        return ""
    started = datetime.fromisoformat(record["start_time_utc"])
    ended = record["end_time_utc"]
    end = datetime.now(started.tzinfo) if ended is None else datetime.fromisoformat(ended)
    passed_s = max(0.0, (end - started).total_seconds())
    if passed_s < 10:
        return f"{passed_s:.2f} s"
    seconds = int(passed_s)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def moment(text: str | None) -> str:
    """A record's time to the second, in UTC."""
    return "" if text is None else text[:19].replace("T", " ")


def name(record: RunRecord) -> str:
    """The display name, if it differs from the id."""
    return "" if record["display_name"] == record["run_id"] else str(record["display_name"])


def status(record: RunRecord) -> str:
    """The status, and whether the run was erased."""
    return f"{record['status']}{', erased' * record['_erased']}"


def run_columns(
    workspace: Workspace, records: Sequence[RunRecord], metrics: Sequence[str] = ()
) -> Columns:
    """The columns of a list of runs: each id as short as it is unique.

    With a column that says which experiment a run is of, if they are of several.
    """
    reader = session_of(workspace).reader()
    ids = reader.shortest_prefixes([record["run_id"] for record in records], _ID_LEAST_CHARS)
    experiments = {record["_experiment_name"] for record in records}
    which: Columns = (("experiment", lambda record: record["_experiment_name"]),)
    return (
        ("run_id", lambda record: ids.get(record["run_id"], record["run_id"])),
        *(which if len(experiments) > 1 else ()),
        ("name", name),
        ("status", status),
        ("started", lambda record: moment(record["start_time_utc"] or record["created_utc"])),
        ("duration", duration),
        *((metric, _metric(metric)) for metric in dict.fromkeys(metrics)),
        ("target", lambda record: record["target"]),
        ("tags", lambda record: record["tags"]),
    )


def _metric(metric: str) -> Callable[[RunRecord], object]:
    return lambda record: short_number(record["_metrics"].get(metric))


def short_number(value: object) -> object:
    """A number as tables show it, with 6 significant digits; anything else as it is."""
    return f"{value:.6g}" if isinstance(value, float) else value


RUN_FIELDS: Final[Columns] = (
    ("run_id", lambda record: record["run_id"]),
    ("name", name),
    ("experiment", lambda record: f"{record['_experiment_name']}, run {record['run_number']}"),
    ("status", status),
    ("waits for", lambda record: (record["queueing_info"] or {}).get("message")),
    ("error", lambda record: _error(record)),
    ("warnings", lambda record: "; ".join(warning["message"] for warning in record["warnings"])),
    ("alerts", lambda record: "; ".join(map(_alert, record.get("alerts", ())))),
    ("created", lambda record: moment(record["created_utc"])),
    ("started", lambda record: moment(record["start_time_utc"])),
    ("ended", lambda record: moment(record["end_time_utc"])),
    ("duration", duration),
    ("by", lambda record: (record["created_by"] or {}).get("user_name")),
    ("parent", lambda record: record["parent_run_id"]),
    ("target", lambda record: record["target"]),
    ("script", lambda record: _script(record)),
    ("commit", lambda record: _commit(record)),
    ("host", lambda record: record.get("environment", {}).get("host")),
    ("description", lambda record: record["description"]),
    ("tags", lambda record: record["tags"]),
    ("properties", lambda record: record["properties"]),
)
"""The fields of a single run for people; JSON has the whole record."""


def _error(record: RunRecord) -> str:
    root = (record["error"] or {}).get("error", {})
    return str(root.get("message") or root.get("code") or "")


def _alert(alert: RunRecord) -> str:
    text = f" ({alert['text']})" * bool(alert["text"])
    return f"{alert['time']:%Y-%m-%d %H:%M:%S} {alert['level']}: {alert['title']}{text}"


def _script(record: RunRecord) -> str:
    environment, definition = record.get("environment", {}), record["run_definition"]
    if definition is None:
        script = script_in(environment)
        return "" if script is None else shlex.join([script, *_argv(environment)])
    words = [definition.get("script") or "", *definition.get("arguments", ())]
    return shlex.join(words) if words[0] else str(definition.get("command") or "")


def _argv(environment: RunRecord) -> list[str]:
    argv = environment.get("argv")
    return [str(word) for word in argv] if isinstance(argv, list | tuple) else []


def _commit(record: RunRecord) -> str:
    environment = record.get("environment", {})
    commit = commit_in(environment)
    if commit is None:
        return str(record["properties"].get(COMMIT_PROPERTY) or "")
    changed = ", files were changed" if environment["git"].get("dirty") is True else ""
    branch = environment["git"].get("branch")
    return commit + (f" ({branch}{changed})" if branch else changed)
