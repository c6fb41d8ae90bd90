"""A run as a flat record: the keys of Azure ML's `RunDto` in snake_case, as in lists and the CLI.

The same record is made from the state of one run (`of_state`, without a query) and from a row of
the projection (`of_row`, thousands at a time). The keys `_experiment_name` and `_erased` are
runlore's own. For the nested documents of one run, see `runlore.azure.documents`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from runlore.azure.documents import azure_time, definition_document, root_error
from runlore.domain.errors import ExperimentNotFound, InvalidInput
from runlore.domain.ids import RUNS, run_stream, writer_stream
from runlore.engine.experiments import current_name
from runlore.projections.rows import RecordRow
from runlore.storage.codec import facts_of
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.domain.run_state import RunState
    from runlore.engine.session import Session
    from runlore.projections.filters import RunFilter

Record = dict[str, Any]

_LONG_LOG_EVENTS: Final = 100_000
_STATE: Final = 4  # The column of `read_plain`.


def of_row(row: RecordRow) -> Record:
    """The record of a projection's row."""
    return _record(row, _loaded(row.error), _loaded(row.definition))


def of_state(state: RunState, session: Session) -> Record:
    """The record of a run's state; opens no database other than the log."""
    writer = _writer(session, state.created_by)
    row = RecordRow(
        run_id=state.run_id,
        experiment=current_name(session, state.experiment_name, state.experiment_id),
        experiment_id=state.experiment_id,
        number=_number(state, session),
        parent_id=state.parent_id,
        root_id=state.root_id,
        run_type=state.run_type,
        target=state.target,
        name=state.name,
        created=azure_time(state.created_at) or "",
        started=azure_time(state.started_at),
        ended=azure_time(state.ended_at),
        status=str(state.status),
        status_detail=state.status_detail,
        display_name=state.display_name,
        description=state.description,
        error=None,
        actor=state.created_for or (None if writer is None else writer["actor"]),
        writer=None
        if writer is None
        else session.journal.name_of(state.created_by, state.created_for),
        definition=None,
        repeats=state.repeats,
        erased=state.erased,
        warnings=[warning._asdict() for warning in state.warnings],
        tags=dict(sorted(state.tags.items())),
        properties={key: held.value for key, held in sorted(state.properties.items())},
    )
    return _record(row, state.error, state.definition)


def records_of(
    session: Session,
    which: RunFilter,
    *,
    experiment_name: str | None = None,
    sort: str | None = None,
    last: int | None = None,
) -> list[Record]:
    """The records of the matching runs, of one experiment or of all.

    See `Workspace.get_run_records`.
    """
    if last is not None and last < 0:
        raise InvalidInput(f"last must be 0 or more, got {last}")
    reader = session.reader()
    if experiment_name is not None:
        found = reader.experiments(view="all", name=experiment_name)
        if not found:
            raise ExperimentNotFound(experiment_name, f"workspace {session.workspace.name!r}")
        active = [row for row in found if row.archived_at is None]
        newest = (active or sorted(found, key=lambda row: row.archived_at or 0))[-1]
        which = replace(which, experiment_id=newest.experiment_id)
    return [of_row(row) for row in reader.records(which, sort=sort, limit=last)]


def minimal(record: Record) -> Record:
    """The seven fields that Azure ML's `--minimal` shows."""
    return {
        "RunId": record["run_id"],
        "RunType": record["run_type"],
        "Status": record["status"],
        "StartTime": record["start_time_utc"],
        "EndTime": record["end_time_utc"],
        "Target": record["target"],
        "Tags": record["tags"],
    }


def nested(records: Iterable[Record]) -> list[Record]:
    """The records as trees, each with its `children`; a record without its parent is a root.

    Children are in the order of the records.
    """
    copies = [{**record, "children": []} for record in records]
    by_id = {record["run_id"]: record for record in copies}
    roots: list[Record] = []
    for record in copies:
        parent = by_id.get(record["parent_run_id"])
        (roots if parent is None else parent["children"]).append(record)
    return roots


def _record(
    row: RecordRow,
    error: Mapping[str, str] | None,
    definition: Mapping[str, Any] | None,
) -> Record:
    """The record of a row and of its parsed JSON columns."""
    return {
        "run_number": row.number,
        "root_run_id": row.root_id,
        "experiment_id": row.experiment_id,
        "created_utc": row.created,
        "user_id": row.actor,
        "run_id": row.run_id,
        "parent_run_id": row.parent_id,
        "status": row.status,
        "start_time_utc": row.started,
        "end_time_utc": row.ended,
        "heartbeat_enabled": False,
        "name": row.name,
        "display_name": row.display_name or row.run_id,
        "data_container_id": None,
        "description": row.description,
        "hidden": False,
        "run_type": row.run_type,
        "run_type_v2": {"orchestrator": None, "traits": []},
        "parent_run_uuid": None,
        "root_run_uuid": None,
        "run_uuid": None,
        "properties": row.properties,
        "script_name": None if definition is None else definition.get("script"),
        "target": row.target or "local",
        "tags": row.tags,
        "run_definition": definition_document(definition, row.target, row.repeats),
        "primary_metric_name": None,
        "created_from": None,
        "created_by": None if row.writer is None else {"user_name": row.writer},
        "cancel_uri": None,
        "complete_uri": None,
        "diagnostics_uri": None,
        "error": None if error is None else {"error": root_error(error)},
        "warnings": row.warnings,
        "queueing_info": None if row.status_detail is None else {"message": row.status_detail},
        "_experiment_name": row.experiment,
        "_erased": row.erased,
    }


def _loaded(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _writer(session: Session, writer_id: str | None) -> dict[str, Any] | None:
    if writer_id is None:
        return None
    opened = next(iter(session.journal.facts(writer_stream(writer_id))), None)
    return None if opened is None else opened.data


def _number(state: RunState, session: Session) -> int:
    """The run's number in its experiment, counted in the log.

    Where the log cannot count and is long, it comes from the projection: reading the creations of
    all earlier runs takes 5 µs each, which is faster than loading DuckDB only in a short log.
    """
    log = session.log
    created = log.read_stream(run_stream(state.run_id))[0]
    counted = log.count_created(state.experiment_id, upto_position=created.position)
    if counted is not None:
        return counted
    if log.last_position() > _LONG_LOG_EVENTS:
        return session.reader().run_number(state.run_id)
    created_before = LogQuery(prefix=RUNS, upto_position=created.position, topics=[created.topic])
    mark = state.experiment_id.encode()
    rows = (row for row in log.read_plain(created_before) if mark in row[_STATE])
    return sum(
        (fact.data or {}).get("experiment_id") == state.experiment_id for fact in facts_of(rows)
    )
