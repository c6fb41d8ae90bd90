"""The processes that take part in an interactive run, and the question whether one is alive.

They are the process that created the run, unless it created the run for others to execute, and
those that log into it or attached to it. Whether one is alive says the lock of its writer
(`runlore.storage.writers`), and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from runlore.domain.ids import writer_stream
from runlore.domain.leaving import Death
from runlore.storage.participants import Part, parts_of
from runlore.storage.writers import Life, WriterState, state_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from runlore.domain.leaving import Outcome
    from runlore.domain.run_state import RunState
    from runlore.storage.held_path import HeldPath
    from runlore.storage.journal import Journal


class Participant(NamedTuple):
    """Another process that takes or took part in a run, and what is known of its life.

    It joined the run, or created it, at `joined_at` (µs since 1970 UTC, by its own clock).
    """

    writer_id: str
    state: WriterState
    outcome: Outcome | None = None
    forked: bool = False
    joined_at: int = 0

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
        lock = "of the original" if self.state.in_copy else "free"
        evidence = {"writer": self.writer_id, "lock": lock, **process}
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
    # Whoever executes a run after it was resumed has a file, the creator included.
    executed = state.begun and not state.pauses
    if executed and state.created_by is not None and state.created_by not in parts:
        parts[state.created_by] = Part(state.created_by, state.created_at)
    parts.pop(journal.writer_id, None)
    by_creation = sorted(parts.values(), key=lambda part: (part.joined_at, part.writer_id))
    return [
        Participant(
            part.writer_id,
            _life_of(files, journal, part.writer_id, gone),
            part.outcome,
            part.forked,
            part.joined_at,
        )
        for part in by_creation
    ]


def _life_of(
    files: HeldPath, journal: Journal, writer_id: str, gone: Collection[str]
) -> WriterState:
    found = state_of(files, writer_id)
    if found.in_copy and writer_id in gone:
        why = f"{found.process} wrote to the original of this folder, which is gone"
        return WriterState(Life.DEAD, why, found.process, in_copy=True)
    if found.life is not Life.LEFT:
        return found
    opened = next(iter(journal.facts(writer_stream(writer_id))), None)
    if opened is not None and opened.data is not None and opened.data["uid"] is None:
        # Of runlore 0.1 before it made lock files.
        return WriterState(Life.UNKNOWN, "it is of an older runlore, which made no lock files")
    return found
