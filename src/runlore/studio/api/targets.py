"""Compute targets: their slots, what executes there, and what waits for what."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from fastapi import APIRouter

from runlore.compute_target import ComputeTarget
from runlore.domain.fact import utc_time
from runlore.domain.run_marks import COLOUR
from runlore.domain.status import ACTIVE, Status
from runlore.engine.runs.handle import RunHandle
from runlore.projections.filters import RunFilter
from runlore.projections.reader import RunsReader
from runlore.projections.rows import RunRow
from runlore.studio.colours import colour_of
from runlore.studio.encoding import Answer
from runlore.studio.parameters import AsOf, ServedLanes
from runlore.workspace import Workspace, session_of

router = APIRouter(prefix="/targets")

_SHOWN_MAX: Final = 200
"""The number of runs that are shown of each target: of those that wait, the next ones."""


@router.get("")
async def targets(lanes: ServedLanes, as_of: AsOf = None) -> Answer:
    """The targets by name: slots, the runs that execute, and those that wait, the next one first.

    `detail` says what a run waits for, or why nothing starts it. Without `slots` there is no limit.
    """

    def question(shown: Workspace, reader: RunsReader) -> dict[str, Any]:
        return {
            "position": shown.position,
            "targets": [
                _described(shown, reader, target) for target in shown.compute_targets.values()
            ],
        }

    return await lanes.answer_of_tables(as_of, question)


def _described(shown: Workspace, reader: RunsReader, target: ComputeTarget) -> dict[str, Any]:
    executing = _runs_on(reader, target, sorted(ACTIVE - {Status.QUEUED}))
    queued = list(_runs_on(reader, target, [Status.QUEUED]))
    return {
        "name": target.name,
        "kind": target.kind,
        "slots": target.slots,
        "executing": [_row(shown, row) for row in islice(executing, _SHOWN_MAX)],
        "queued": [_row(shown, row) for row in queued[::-1][:_SHOWN_MAX]],  # The oldest first.
        "waiting": len(queued),
    }


def _runs_on(reader: RunsReader, target: ComputeTarget, statuses: list[Status]) -> Iterator[RunRow]:
    which = RunFilter(
        submitted_to=target.name, statuses=statuses, include_children=True, include_archived=True
    )
    return reader.runs(which)


def _row(shown: Workspace, row: RunRow) -> dict[str, Any]:
    handle = RunHandle(session_of(shown), row.run_id)
    state = handle.fetch()
    return {
        "id": row.run_id,
        "name": state.display_name or row.run_id,
        "experiment": row.experiment,
        "colour": colour_of(row.number, row.experiment_id, state.tags.get(COLOUR)),
        "status": state.status,
        "detail": handle.shown_detail,
        "since": utc_time(state.started_at or state.created_at),
        "user": handle.session.journal.name_of(state.created_by, state.created_for),
    }
