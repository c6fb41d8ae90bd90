"""Events of a log that cannot be decoded, as people are told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from runlore.domain.events import REGISTRY
from runlore.domain.fact import Fact
from runlore.domain.ids import run_id_of
from runlore.storage.event_log import EventLog
from runlore.storage.log_query import LogQuery
from runlore.storage.stamp import leaf_at

_TOLD_MAX: Final = 5


def examined(log: EventLog, facts: Sequence[Fact]) -> Sequence[Fact]:
    """The facts of a log, where one of an unknown kind is damaged unless it matches its leaf.

    A newer runlore may have written it. There are few, as a rule none: only these are looked up.
    Those of known topics in an erasable log are erased, or else their seal tells of damage.
    """
    known = REGISTRY if log.erasable else ()
    unknown = {
        fact.position
        for fact in facts
        if fact.data is None
        and fact.damage is None
        and fact.event_id is not None
        and fact.topic not in known
    }
    if not unknown:
        return facts
    return [_examined(log, fact) if fact.position in unknown else fact for fact in facts]


def _examined(log: EventLog, fact: Fact) -> Fact:
    leaves = log.read_leaves(LogQuery.at(fact.position))
    if leaves == [leaf_at(log, fact.position)]:
        return fact
    return fact._replace(damage="it is of an unknown kind, and does not match its leaf")


class DamagedEvent(NamedTuple):
    """The place of a damaged event in its log, and what is wrong with it."""

    position: int
    stream: str
    version: int
    topic: str
    problem: str

    @classmethod
    def of(cls, fact: Fact) -> DamagedEvent:
        """The place of a fact that has `damage`."""
        return cls(fact.position, fact.stream, fact.version, fact.topic, fact.damage or "")

    @property
    def run_id(self) -> str | None:
        """The run whose event it is, or None."""
        return run_id_of(self.stream)

    def __str__(self) -> str:
        return (
            f"event at position {self.position} ({self.stream} version {self.version}, "
            f"{self.topic}) is damaged: {self.problem:.300}"
        )


class DamageReport:
    """Warns of damage, of each event and stream once, because answers pass over it."""

    def __init__(self, warn: Callable[[str], None] | None = None) -> None:
        self._warn = warn
        self._told: set[int | str] = set()

    def see(self, facts: Iterable[Fact]) -> None:
        """Warn of those facts that are damaged."""
        if found := [fact for fact in facts if fact.damage is not None]:
            self.tell(map(DamagedEvent.of, found))

    def tell(self, events: Iterable[DamagedEvent]) -> None:
        """Warn of these events."""
        new = [event for event in events if event.position not in self._told]
        if new:
            self._told.update(event.position for event in new)
            self._told.update(event.stream for event in new)
            shown = "; ".join(map(str, new[:_TOLD_MAX]))
            more = f" (and {len(new) - _TOLD_MAX} more)" if new[_TOLD_MAX:] else ""
            self._say(f"{shown}{more}")

    def tell_of_stream(self, stream: str, problem: str) -> None:
        """Warn of a stream in which something is missing, unless its damaged event was told."""
        if stream not in self._told:
            self._told.add(stream)
            self._say(problem)

    def _say(self, what: str) -> None:
        if self._warn is not None:
            self._warn(
                f"{what}. Answers pass over what cannot be decoded; `runlore audit verify` "
                "examines the whole log. Restore it from a copy"
            )
