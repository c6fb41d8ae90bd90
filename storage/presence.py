"""Who writes to a log from other machines, as far as its server has heard of them.

On one machine the kernel tells who is alive, by the locks of `runlore.storage.writers`. Of a
process elsewhere there is only the time since it was heard of: it may be dead, or cut off from the
server and logging on. So it counts as dead after a while only, and is believed when it comes back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from runlore.storage.participants import Part
from runlore.storage.this_process import ProcessIdentity
from runlore.storage.writers import Life, WriterState

BEAT_S: Final = 10.0
"""How often a process tells that it is alive."""

ALIVE_S: Final = 45.0
DEAD_S: Final = 300.0
"""After these times of silence a process may be dead, and counts as dead."""


class Heard(NamedTuple):
    """A writer, when the server heard of it last, and its parts in runs, by run id.

    `silent_s` is the time since then, by the server's clock. `has_left` says that it has closed the
    workspace.
    """

    writer_id: str
    process: ProcessIdentity
    silent_s: float
    has_left: bool
    parts: Mapping[str, Part]

    @property
    def state(self) -> WriterState:
        """What is known of its life."""
        if self.has_left:
            return WriterState(Life.LEFT, f"{self.process} has closed the workspace", self.process)
        silent = f"{self.process} was heard of {self.silent_s:.0f} s ago"
        if self.silent_s <= ALIVE_S:
            return WriterState(Life.ALIVE, f"{self.process} is alive", self.process)
        life = Life.UNKNOWN if self.silent_s <= DEAD_S else Life.DEAD
        return WriterState(life, silent, self.process)


class Presence(ABC):
    """What a log's server knows of its writers. Each call raises the log's errors."""

    @abstractmethod
    def beat(
        self, writer_id: str, process: ProcessIdentity, parts: Sequence[tuple[str, Part]]
    ) -> None:
        """Tell that a writer of this process is alive, and in which runs it takes part."""

    @abstractmethod
    def leave(self, writer_id: str) -> None:
        """Tell that a writer closes the workspace."""

    @abstractmethod
    def heard(self) -> Sequence[Heard]:
        """All writers that the server has heard of, without those who left long ago."""

    @abstractmethod
    def forget(self, writer_id: str) -> None:
        """Forget a dead writer, whose runs are settled."""

    @abstractmethod
    def keep_outcome(self, run_id: str, part: Part) -> None:
        """Keep how a writer left a run in which others take part."""

    @abstractmethod
    def outcomes_of(self, run_id: str) -> Mapping[str, Part]:
        """How writers left a run, by their ids."""

    @abstractmethod
    def forget_outcomes(self, run_id: str, writer_id: str | None = None) -> None:
        """Forget how writers left a run, or how this one did."""
