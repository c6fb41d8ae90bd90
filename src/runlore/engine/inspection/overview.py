"""What a workspace holds, how large its log is, what waits, and which processes write."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from runlore.domain.fact import utc_time
from runlore.domain.filtering.parser import parse_field
from runlore.engine.participants.others import states_of_writers
from runlore.engine.session import LiveSession, Session
from runlore.projections.filters import RunFilter
from runlore.projections.groups import GroupQuestion
from runlore.storage.held_path import HeldPath
from runlore.storage.log_opener import LOG_NAME
from runlore.storage.log_query import LogQuery
from runlore.storage.spool_folder import SPOOLS, waiting_in
from runlore.storage.writers import Life

_OF_LOG = (LOG_NAME, f"{LOG_NAME}-wal")


def overview(session: Session) -> dict[str, Any]:
    """See `Workspace.overview`."""
    session.before_read()
    reader = session.reader()
    position = session.log.last_position()
    all_runs = RunFilter(include_children=True, include_archived=True)
    by_status = reader.groups(all_runs, GroupQuestion(parse_field("status"), ()))
    told = {
        "folder": None if session.files is None else str(session.files),
        "uri": session.uri,
        "events": position,
        "last_event": _recorded_at(session, position),
        "experiments": len(reader.experiments()),
        "runs": sum(by_status.runs),
        "runs_by_status": dict(zip(by_status.values, by_status.runs, strict=True)),
    }
    if isinstance(session, LiveSession) and session.held is not None:
        if session.files is not None:
            told["log_nbytes"] = sum(_nbytes(session.held / name) for name in _OF_LOG)
        told |= _of_processes(session, session.held)
    return told


def _recorded_at(session: Session, position: int) -> str | None:
    rows = session.log.read_log(LogQuery(after_position=position - 1, limit=1))
    return utc_time(rows[0].recorded_at).isoformat() if rows else None


def _of_processes(session: LiveSession, folder: HeldPath) -> dict[str, Any]:
    waiting = waiting_in(folder / SPOOLS, session.log)
    return {
        "waiting_values": sum(waiting.values()),
        "writers": [
            {
                "writer_id": writer_id,
                "host": process.host,
                "pid": process.pid,
                "uid": process.uid,
                "program": process.program,
                "started_at": utc_time(process.started_at).isoformat(),
                "waiting_values": waiting.get(writer_id, 0),
            }
            for writer_id, state in states_of_writers(folder, session.log).items()
            if state.life is Life.ALIVE and (process := state.process) is not None
        ],
    }


def _nbytes(path: HeldPath) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
