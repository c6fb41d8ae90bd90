"""The processes that take part in an interactive run, and the question whether one is alive.

They are the process that created the run, unless it created the run for others to execute, and
those that log into it or attached to it. Whether one of this machine is alive says the lock of its
writer (`runlore.storage.writers`), and nothing else. Of those on other machines, the log's server
has heard (`runlore.storage.presence`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from runlore.domain.errors import RunloreError
from runlore.domain.ids import writer_stream
from runlore.domain.leaving import Death
from runlore.storage.participants import Part, keep_outcome, parts_of
from runlore.storage.this_process import machine_id
from runlore.storage.writers import Life, WriterState, lock_path, state_of, states_in

if TYPE_CHECKING:
    from collections.abc import Collection

    from runlore.domain.leaving import Outcome
    from runlore.domain.run_state import RunState
    from runlore.storage.event_log import EventLog
    from runlore.storage.held_path import HeldPath
    from runlore.storage.journal import Journal
    from runlore.storage.presence import Heard, Presence


class Participant(NamedTuple):
    """Another process that takes or took part in a run, and what is known of its life.

    It joined the run, or created it, at `joined_at` (µs since 1970 UTC, by its own clock).
    """

    writer_id: str
    state: WriterState
    outcome: Outcome | None = None
    forked: bool = False
    joined_at: int = 0
    is_elsewhere: bool = False

    @property
    def lock(self) -> str:
        """What its lock says, as evidence of its death."""
        if self.is_elsewhere:
            return "on another machine"
        return "of the original" if self.state.in_copy else "free"

    @property
    def is_alive(self) -> bool:
        """Whether it is known to execute the run still."""
        return self.outcome is None and self.state.life is Life.ALIVE

    @property
    def may_be_alive(self) -> bool:
        """Whether it is not known to have left the run or to be dead."""
        return self.outcome is None and self.state.life in (Life.ALIVE, Life.UNKNOWN)

    @property
    def died(self) -> bool:
        """Whether it is known to be dead, and left no outcome; a forked child owes none."""
        return self.outcome is None and self.state.life is Life.DEAD and not self.forked

    @property
    def death(self) -> Death:
        """Its death, with the evidence."""
        process = {} if self.state.process is None else self.state.process._asdict()
        evidence = {"writer": self.writer_id, "lock": self.lock, **process}
        return Death(f"the run was lost: {self.state.why}; the values it logged are kept", evidence)


def others_in(
    files: HeldPath | None, journal: Journal, state: RunState, *, gone: Collection[str] = ()
) -> list[Participant]:
    """The participants of a run, without this process, by a workspace's folder and its journal.

    None are known where no other process can open the workspace, or none leaves locks. `gone` are
    writers of the original of this folder that count as dead, because the original is gone.
    """
    if files is None:
        return []
    parts = parts_of(files, state.run_id)
    heard = _heard_of(journal.log.presence, state.run_id, parts)
    # Whoever executes a run after it was resumed has a file, the creator included.
    executed = state.begun and not state.pauses
    if executed and state.created_by is not None and state.created_by not in parts:
        parts[state.created_by] = Part(state.created_by, state.created_at)
    parts.pop(journal.writer_id, None)
    by_creation = sorted(parts.values(), key=lambda part: (part.joined_at, part.writer_id))
    return [
        Participant(
            part.writer_id,
            _life_of(files, journal, part.writer_id, gone, heard),
            part.outcome,
            part.forked,
            part.joined_at,
            part.writer_id in heard and not lock_path(files, part.writer_id).exists(),
        )
        for part in by_creation
    ]


def _life_of(
    files: HeldPath,
    journal: Journal,
    writer_id: str,
    gone: Collection[str],
    heard: Mapping[str, Heard],
) -> WriterState:
    found = state_of(files, writer_id)
    if found.in_copy and writer_id in gone:
        why = f"{found.process} wrote to the original of this folder, which is gone"
        return WriterState(Life.DEAD, why, found.process, in_copy=True)
    if found.life is not Life.LEFT:
        return found
    if writer_id in heard:
        return heard[writer_id].state
    opened = next(iter(journal.facts(writer_stream(writer_id))), None)
    if opened is not None and opened.data is not None and _is_elsewhere(journal, opened.data):
        why = f"its host {opened.data['host']!r:.80} has not been heard of"
        return WriterState(Life.UNKNOWN, why)
    if opened is not None and opened.data is not None and opened.data["uid"] is None:
        # Of runlore 0.1 before it made lock files.
        return WriterState(Life.UNKNOWN, "it is of an older runlore, which made no lock files")
    return found


def states_of_writers(files: HeldPath, log: EventLog) -> dict[str, WriterState]:
    """What is known of all writers, by their ids: of this machine's by their locks."""
    heard = [] if log.presence is None else log.presence.heard()
    return {one.writer_id: one.state for one in heard} | states_in(files)


def show_outcome(files: HeldPath | None, log: EventLog, run_id: str, part: Part) -> None:
    """Show the others how a process has left a run. Raises FileNotWritten, or the log's error."""
    if files is not None:
        keep_outcome(files, run_id, part)
    if log.presence is not None:
        log.presence.keep_outcome(run_id, part)


def forget_outcomes(log: EventLog, run_id: str, others: Collection[Participant]) -> None:
    """Forget how processes of other machines left a run that has ended."""
    if log.presence is not None and any(other.outcome is not None for other in others):
        with suppress(RunloreError):  # Nobody asks for them any more.
            log.presence.forget_outcomes(run_id)


def _heard_of(
    presence: Presence | None, run_id: str, parts: dict[str, Part]
) -> Mapping[str, Heard]:
    """The writers that a log's server has heard of; adds their parts in the run to `parts`."""
    if presence is None:
        return {}
    heard = {one.writer_id: one for one in presence.heard()}
    for one in heard.values():
        if run_id in one.parts:
            parts.setdefault(one.writer_id, one.parts[run_id])
    for writer_id, part in presence.outcomes_of(run_id).items():
        known = parts.get(writer_id)
        if known is None or known.outcome is None:
            parts[writer_id] = part
    return heard


def _is_elsewhere(journal: Journal, opened: Mapping[str, Any]) -> bool:
    """Whether a writer may be on another machine, whose locks cannot be seen here."""
    if journal.log.presence is None:
        return False
    return (opened.get("host"), opened.get("machine_id")) != (os.uname().nodename, machine_id())
