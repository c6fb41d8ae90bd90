"""The workspace, its experiments, and its past."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from runlore.domain.fact import utc_time
from runlore.domain.system_metrics import is_sampled
from runlore.engine.net_changes import NetChange
from runlore.projections.activity import DAYS, ExperimentActivity
from runlore.projections.filters import RunFilter
from runlore.projections.reader import RunsReader
from runlore.projections.rows import ExperimentRow
from runlore.studio.colours import colour_of
from runlore.studio.encoding import Answer
from runlore.studio.parameters import POSITION_END, AsOf, ServedLanes, ThisViewer
from runlore.studio.viewers import Role
from runlore.version import VERSION
from runlore.workspace import Workspace, session_of

router = APIRouter()

_BUCKETS_MAX: Final = 500
_CHANGES_MAX: Final = 1_000


@router.get("/workspace")
async def workspace(lanes: ServedLanes, viewer: ThisViewer, as_of: AsOf = None) -> Answer:
    """The workspace's name, the position that is shown and the last one, and the viewer's role.

    Nobody is an editor if the user who serves cannot write the workspace.
    """

    def question(shown: Workspace) -> dict[str, Any]:
        may_write = lanes.may_write
        return {
            "name": shown.name,
            "position": shown.position,
            "head": lanes.at(None).position,
            "role": viewer.role if may_write else Role.VIEWER,
            "is_owner": viewer.is_owner and may_write,
            "version": VERSION,
        }

    return await lanes.answer(as_of, question)


@router.get("/experiments")
async def experiments(lanes: ServedLanes, as_of: AsOf = None) -> Answer:
    """The active experiments, the one with the latest run first, and the targets.

    `median_s` is the median duration of the runs that have ended, `by_day` the numbers of runs that
    began in each of the last 30 days, `targets` those on which runs execute or wait. The targets of
    the whole workspace are those with a number of slots.
    """

    def question(shown: Workspace, reader: RunsReader) -> dict[str, Any]:
        activity = reader.experiment_activity()
        rows = [_described(row, activity.get(row.experiment_id)) for row in reader.experiments()]
        return {
            "experiments": sorted(rows, key=lambda one: one["last"], reverse=True),
            "targets": _pools(shown, activity.values()),
        }

    return await lanes.answer_of_tables(as_of, question)


def _described(row: ExperimentRow, found: ExperimentActivity | None) -> dict[str, Any]:
    if found is None:
        found = ExperimentActivity(0, 0, 0, row.created_at, None, (), (0,) * DAYS)
    return {
        "id": row.experiment_id,
        "name": row.name,
        "runs": found.runs,
        "active": found.active,
        "failed": found.failed,
        "last": utc_time(found.last_begun_at),
        "median_s": found.median_s,
        "targets": [load._asdict() for load in found.targets],
        "by_day": found.by_day,
    }


def _pools(shown: Workspace, activity: Iterable[ExperimentActivity]) -> list[dict[str, Any]]:
    """The targets with a number of slots, and how many runs are on them."""
    loads = [load for one in activity for load in one.targets]
    return [
        {
            "name": name,
            "slots": target.slots,
            "executing": sum(load.executing for load in loads if load.name == name),
            "waiting": sum(load.waiting for load in loads if load.name == name),
        }
        for name, target in shown.compute_targets.items()
        if target.slots is not None
    ]


@router.get("/timeline")
async def timeline(
    lanes: ServedLanes, buckets: Annotated[int, Query(ge=1, le=_BUCKETS_MAX)] = 200
) -> Answer:
    """How many events there were when: the track of the slider that shows the past.

    Each bucket has the time of its end, its last position and the number of its events.
    """

    def question(_: Workspace, reader: RunsReader) -> dict[str, Any]:
        found = reader.timeline(buckets)
        return {
            "times": [utc_time(one.ends_at) for one in found],
            "positions": [one.position for one in found],
            "events": [one.events for one in found],
        }

    return await lanes.answer_of_tables(None, question)


@router.get("/position")
async def position(
    lanes: ServedLanes,
    at: Annotated[AwareDatetime, Query(description="A time with its zone, as ISO 8601.")],
) -> Answer:
    """The last position at a time. Nothing is written, so a slow clock may add events before it."""
    time = int(at.timestamp() * 1_000_000)

    def question(shown: Workspace) -> dict[str, int]:
        return {"position": session_of(shown).log.position_at(time)}

    return await lanes.answer(None, question)


@router.get("/diff")
async def diff(
    lanes: ServedLanes,
    start: Annotated[int, Query(alias="from", ge=0, lt=POSITION_END)],
    end: Annotated[int | None, Query(alias="to", ge=0, lt=POSITION_END)] = None,
    run_id: Annotated[str | None, Query(alias="run", max_length=300)] = None,
    sampled: bool = False,
) -> Answer:
    """The net changes between two positions, the second now by default; of very many the last ones.

    Changes that were reverted in between are left out; metrics and files that were taken of the
    machine as well, unless `sampled` asks for them. `left_out` is the number of these. `runs` has
    the names and colours of the runs of `changes` that there are now.
    """

    def question(shown: Workspace, reader: RunsReader) -> dict[str, Any]:
        every = shown.diff(start, end, run=run_id)
        found = every if sampled else [one for one in every if not _is_sampled(one)]
        last = found[-_CHANGES_MAX:]
        return {
            "total": len(found),
            "left_out": len(every) - len(found),
            "changes": [_plain(change) for change in last],
            "runs": _named(reader, {change.run_id for change in last if change.run_id}),
        }

    return await lanes.slow_answer_of_tables(None, question)


def _is_sampled(change: NetChange) -> bool:
    return change.what in {"metric", "artifact"} and is_sampled(change.key or "")


def _named(reader: RunsReader, run_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """By id, the names and colours of runs."""
    which = RunFilter(run_ids=list(run_ids), include_children=True, include_archived=True)
    rows = list(reader.runs_table(which, columns=["id", "name", "number"]))
    marks = reader.marks_of([run_id for run_id, _, _ in rows])
    return {
        run_id: {
            "name": name,
            "colour": colour_of(number, marks[run_id].experiment_id, marks[run_id].colour),
        }
        for run_id, name, number in rows
    }


def _plain(change: NetChange) -> dict[str, Any]:
    plain = asdict(change)
    for side in ("old", "new"):
        held = getattr(change, side)
        if isinstance(held, tuple) and hasattr(held, "_asdict"):
            plain[side] = held._asdict()  # Of a metric.
    return plain
