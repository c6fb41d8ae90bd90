"""The runs of writers that died: ended, or lost, by the next process that may write.

What a dead writer had logged goes into the log first, see `runlore.engine.runs.leaving`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from runlore.domain.events import RunCreated
from runlore.domain.ids import RUNS, writer_stream
from runlore.domain.status import TERMINAL
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.leaving import settle
from runlore.engine.settled_writers import remove_locks_without_traces
from runlore.storage.codec import fact_of
from runlore.storage.log_query import LogQuery
from runlore.storage.participants import parts_of, runs_with_parts

if TYPE_CHECKING:
    from runlore.engine.session import LiveSession
    from runlore.storage.held_path import HeldPath


def settle_runs_of(session: LiveSession, dead: Collection[str]) -> None:
    """End the interactive runs of these dead writers in which nobody else may be alive.

    And those that all of their processes left, whoever they were. Raises the log's error if that
    cannot be written. Reads what was recorded since the first of the writers began.
    """
    files = session.require_held()
    left = _runs_that_some_left(files)
    if not dead and not left:
        return
    session.recover_values(waits=True)
    joined = [run_id for writer_id in dead for run_id in runs_with_parts(files, writer_id)]
    joined += _joined_elsewhere(session, dead)
    is_open: set[str] = set()
    for run_id in dict.fromkeys((*_created_by(session, dead), *joined, *left)):
        run = RunHandle(session, run_id)
        state = run.refresh()
        if state is not None and state.status not in TERMINAL and not settle(run):
            is_open.add(run_id)
    if not is_open:
        remove_locks_without_traces(files, dead)
        _forget(session, dead)


def _runs_that_some_left(files: HeldPath) -> list[str]:
    """The runs in which a process has left its outcome to the last one, which may have died."""
    return [
        run_id
        for run_id in runs_with_parts(files)
        if any(part.outcome is not None for part in parts_of(files, run_id).values())
    ]


def _joined_elsewhere(session: LiveSession, dead: Collection[str]) -> list[str]:
    """The runs in which dead writers took part, as the log's server has heard."""
    presence = session.log.presence
    heard = () if presence is None else presence.heard()
    return [run_id for one in heard if one.writer_id in dead for run_id in one.parts]


def _forget(session: LiveSession, dead: Collection[str]) -> None:
    presence = session.log.presence
    if presence is not None:
        for writer_id in dead:
            presence.forget(writer_id)


def _created_by(session: LiveSession, writers: Collection[str]) -> Iterator[str]:
    """The ids of the runs that the writers created, in the order of the log."""
    journal = session.journal
    opened = [next(iter(journal.facts(writer_stream(one))), None) for one in writers]
    first = min((fact.position for fact in opened if fact is not None), default=None)
    if first is None:
        return
    query = LogQuery(after_position=first, prefix=RUNS, topics=(RunCreated.topic,))
    for row in journal.log.read_log(query):
        fact = fact_of(row)
        if fact.writer_id in writers and fact.data is not None:
            yield fact.data["run_id"]
