"""Typed events in, facts out: the log as the rest of runlore uses it.

A `Journal` knows its writer (a fresh id per process, said once in `writer/<id>`), turns events
into bytes, and runs the decisions of the domain against the log: read the stream, decide,
append at the version that was read; if somebody else was faster, read on and decide again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from eventsourcing.persistence import InterfaceError, OperationalError

from runlore.domain.decision import Decision
from runlore.domain.errors import PropertyConflict, RunloreError
from runlore.domain.events import Event, WriterOpened
from runlore.domain.fact import Fact
from runlore.domain.ids import writer_stream
from runlore.storage.codec import encode_event, fact_of
from runlore.storage.errors import VersionConflict
from runlore.storage.event_log import EventLog, NewEvent, ReadStream, StoredRow

_LOST_ROUNDS: Final = 3
_LOST_ACKNOWLEDGEMENTS: Final = 3

S = TypeVar("S")


class Pending(NamedTuple):
    """An event on its way to a stream, at the version that it shall have there."""

    stream: str
    version: int
    event: Event


@dataclass
class Folded(Generic[S]):
    """A stream's state as far as it was read: `fold(state, facts)` takes it further."""

    stream: str
    fold: Callable[[S, Iterable[Fact]], S]
    state: S
    version: int = 0

    def advance(self, facts: Sequence[Fact]) -> None:
        """Folds the facts that come next in the stream."""
        if facts:
            self.state = self.fold(self.state, facts)
            self.version = facts[-1].version


class Journal:
    """The typed face of an `EventLog`.

    `identify` says who writes; it is asked once per process, when the first event is appended,
    so that reading a workspace leaves no trace.
    """

    def __init__(self, log: EventLog, identify: Callable[[], WriterOpened]) -> None:
        self.log = log
        self._identify = identify
        self._writer_id = ""
        self._writer_pid: int | None = None
        self._introduced = False
        self._names: dict[str, str] = {}

    @property
    def writer_id(self) -> str:
        """This process's writer id; a forked child has another one than its parent."""
        if self._writer_pid != os.getpid():
            self._writer_id = os.urandom(16).hex()
            self._writer_pid = os.getpid()
            self._introduced = False
        return self._writer_id

    def facts(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> list[Fact]:
        """The facts of a stream by increasing version."""
        rows = self.log.read_stream(
            stream, after_version=after_version, upto_position=upto_position
        )
        return [fact_of(row) for row in rows]

    def refresh(self, folded: Folded[S]) -> S:
        """Reads what the stream got since, and returns the state."""
        folded.advance(self.facts(folded.stream, after_version=folded.version))
        return folded.state

    def append(self, pending: Sequence[Pending], *, reason: str | None = None) -> None:
        """Appends the events in one transaction.

        Raises VersionConflict if another event holds one of the versions.
        """
        self._append(pending, reason)

    def change(
        self,
        folded: Folded[S],
        decide: Callable[[S], Decision],
        *,
        with_values: Sequence[Pending] = (),
        reason: str | None = None,
    ) -> tuple[Fact, ...]:
        """Decides on the stream's newest state, appends, and folds what was appended.

        `with_values` go into the same transaction, before the decided events, if there are any
        of either. Optimistic at first; after three lost races it decides inside the write
        transaction, where nobody can come between. Raises what the decision refused, after its
        events are written.
        """
        for _ in range(_LOST_ROUNDS):
            self.refresh(folded)
            decision = decide(folded.state)
            pending = [*with_values, *_behind(folded.stream, folded.version, decision)]
            try:
                rows = self._append(pending, reason)
                break
            except VersionConflict:
                continue
        else:
            decision, rows = self._change_alone(folded, decide, with_values, reason)
        facts = tuple(fact_of(row) for row in rows[len(with_values) :])
        folded.advance(facts)
        if decision.refused is not None:
            raise self._attributed(decision.refused)
        return facts

    def name_of(self, writer_id: str | None) -> str:
        """Who a writer is, as people read it: `actor@host (pid 42)`."""
        if writer_id is None:
            return "an unknown writer"
        if writer_id not in self._names:
            opened = next(iter(self.facts(writer_stream(writer_id))), None)
            if opened is None or opened.data is None:
                return f"writer {writer_id[:8]}"
            data = opened.data
            self._names[writer_id] = f"{data['actor']}@{data['host']} (pid {data['pid']})"
        return self._names[writer_id]

    def _change_alone(
        self,
        folded: Folded[S],
        decide: Callable[[S], Decision],
        with_values: Sequence[Pending],
        reason: str | None,
    ) -> tuple[Decision, Sequence[StoredRow]]:
        made = Decision()
        count = 0

        def decide_now(read_stream: ReadStream) -> list[NewEvent]:
            nonlocal made, count
            unread = [
                fact_of(row) for row in read_stream(folded.stream) if row.version > folded.version
            ]
            folded.advance(unread)
            made = decide(folded.state)
            pending = [*with_values, *_behind(folded.stream, folded.version, made)]
            count = len(pending)
            if not pending:
                return []
            return [*self._introduction(), *self._new_events(pending, reason)]

        rows = self.log.append_decided(decide_now)
        return made, self._written(rows, count)

    def _append(self, pending: Sequence[Pending], reason: str | None) -> Sequence[StoredRow]:
        """The events as they were stored, without the writer's introduction."""
        if not pending:
            return ()
        events = [*self._introduction(), *self._new_events(pending, reason)]
        return self._written(self._append_surely(events), len(pending))

    def _append_surely(self, events: Sequence[NewEvent]) -> tuple[StoredRow, ...]:
        """Appends; where the outcome is unknown, appends the same events again.

        Our own errors say that nothing was stored. Any other failure of the driver may have
        come after the commit, and the log answers a repeated append with success.
        """
        for _ in range(_LOST_ACKNOWLEDGEMENTS - 1):
            try:
                return self.log.append(events)
            except RunloreError:
                raise
            except (OperationalError, InterfaceError):
                continue
        return self.log.append(events)

    def _new_events(self, pending: Sequence[Pending], reason: str | None) -> list[NewEvent]:
        metadata: dict[str, str | int] = {"writer": self.writer_id}
        if reason is not None:
            metadata["reason"] = reason
        return [
            NewEvent(stream, version, event.topic, encode_event(event), os.urandom(16), metadata)
            for stream, version, event in pending
        ]

    def _introduction(self) -> list[NewEvent]:
        writer_id = self.writer_id
        if self._introduced:
            return []
        return self._new_events([Pending(writer_stream(writer_id), 1, self._identify())], None)

    def _written(self, rows: Sequence[StoredRow], count: int) -> Sequence[StoredRow]:
        if count:
            self._introduced = True
        return rows[len(rows) - count :]

    def _attributed(self, error: RunloreError) -> RunloreError:
        if isinstance(error, PropertyConflict):
            return error.attributed(self.name_of(error.held_by))
        return error


def _behind(stream: str, version: int, decision: Decision) -> list[Pending]:
    return [
        Pending(stream, number, event) for number, event in enumerate(decision.events, version + 1)
    ]
