"""The log as the rest of runlore uses it: typed events go in, facts come out.

A `Journal` knows its writer (a fresh id per process, recorded once in `writer/<id>`), turns events
into bytes, and runs the decisions of the domain against the log: decide on the state as read so
far, append at its version; if another writer was faster, read on and decide again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import copy
from itertools import chain
from typing import Any, Final, Generic, NamedTuple, TypeVar

from runlore.domain.decision import Decision
from runlore.domain.errors import PropertyConflict, RunloreError
from runlore.domain.events import Event, ValuesLogged, WriterOpened
from runlore.domain.fact import Fact, author_of
from runlore.domain.ids import writer_stream
from runlore.storage.codec import encode_event, fact_of, without_misfits
from runlore.storage.damage import DamagedEvent, DamageReport, examined
from runlore.storage.driver_errors import InterfaceError, OperationalError
from runlore.storage.errors import DiskFailed, LogCorrupt, VersionConflict
from runlore.storage.event_log import Drained, EventLog, NewEvent, ReadStream, StoredRow
from runlore.storage.log_query import LogQuery
from runlore.storage.stamp import leaf_at

_MISFITS: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a fold raises for data that no event has."""

_LOST_ROUNDS: Final = 3
_LOST_ACKNOWLEDGEMENTS: Final = 3
_OUTCOME_UNKNOWN: Final = (OperationalError, InterfaceError)

S = TypeVar("S")


class Pending(NamedTuple):
    """An event on its way to a stream, with the version that it will have there.

    `actor` is the one of logged values; other events have that of their journal. One that is
    `beside` was not made by the change whose reason its commit has.
    """

    stream: str
    version: int
    event: Event
    actor: str | None = None
    beside: bool = False


class At(NamedTuple, Generic[S]):
    """A stream's state and its version; `damage` says what of the stream the state lacks."""

    state: S
    version: int
    damage: str | None = None


class StreamState(Generic[S]):
    """A stream's state as read so far; `fold(state, facts)` adds the facts that follow.

    `contested` is True if another writer was faster lately. `is_fresh` says that nobody else knows
    the stream's name yet, so that its first events need not be preceded by a read.
    """

    def __init__(
        self, stream: str, fold: Callable[[S, Iterable[Fact]], S], state: S, version: int = 0
    ) -> None:
        self.stream = stream
        self.contested = False
        self.is_fresh = False
        self._fold = fold
        # State and version are replaced together: threads share run objects, and a decision on
        # an old state must not be appended after a newer version.
        self.at = At(state, version)

    @property
    def state(self) -> S:
        """The state as read so far."""
        return self.at.state

    @property
    def version(self) -> int:
        """The stream's version as read so far; 0 before the first event."""
        return self.at.version

    def advance(self, facts: Sequence[Fact], at: At[S] | None = None) -> At[S]:
        """Fold the facts that follow `at`, or `self.at`, in the stream.

        The state is that without the facts that are damaged.
        """
        at = at or self.at
        if facts:
            try:
                state = self._fold(at.state, facts)
            except _MISFITS as error:
                state, facts = self._without_misfits(at.state, facts, error)
            damage = at.damage or _damage_in(facts, at.version + 1)
            at = self.at = At(state, max(at.version, facts[-1].version), damage)
        return at

    def _without_misfits(
        self, state: S, facts: Sequence[Fact], failed: Exception
    ) -> tuple[S, Sequence[Fact]]:
        """The state after the facts that can be folded, and all facts, others as damaged."""
        facts = without_misfits(facts)
        try:
            return self._fold(state, facts), facts
        except _MISFITS:
            raise LogCorrupt(
                f"an event of {self.stream!r:.200} at the positions {facts[0].position} to "
                f"{facts[-1].position} is damaged: {failed!r:.200}; find it with `runlore audit "
                "verify`, and restore the log from a copy"
            ) from failed


def _damage_in(facts: Sequence[Fact], version: int) -> str | None:
    """What is damaged in the facts that follow in a stream from a version on; None if nothing."""
    for fact in facts:
        if fact.damage is not None:
            return str(DamagedEvent.of(fact))
        if fact.version > version:
            return (
                f"{fact.stream} lacks an event before position {fact.position}, of version "
                f"{version}"
            )
        version = fact.version + 1
    return None


class Beside(NamedTuple):
    """A decision about another stream, whose events go into a commit before its other events.

    It is made on the state as read so far, and on the newest if another writer was faster.
    """

    known: StreamState[Any]
    decide: Callable[[Any], Decision]


class Batch(NamedTuple):
    """Logged values on their way to the log, and how much of their spool they drain.

    `beside` are decisions about the runs that they belong to, for the same commit.
    """

    pending: Sequence[Pending] = ()
    drained: Drained | None = None
    beside: Sequence[Beside] = ()


NO_VALUES: Final = Batch()


class _Writer:
    """This process as a writer of the log, and its introduction there."""

    def __init__(self) -> None:
        self.id = os.urandom(16).hex()
        self.event_id = os.urandom(16)
        self.introduced = False


class Journal:
    """The typed face of an `EventLog`.

    `identify` describes this process; it is called when the process appends its first event, so
    that reading a workspace leaves no trace. Before that `announce` is called with the writer's id,
    perhaps more than once; if it raises, nothing is appended. `actor` is recorded with each change
    if it is not the writer's own. `damage` is told of the damaged events that are read.
    """

    actor: str | None = None

    def __init__(
        self,
        log: EventLog,
        identify: Callable[[], WriterOpened],
        *,
        announce: Callable[[str], None] | None = None,
        damage: DamageReport | None = None,
    ) -> None:
        self.log = log
        self.damage = damage or DamageReport()
        self._identify = identify
        self._announce = announce
        self._writers: dict[int, _Writer] = {}  # By process id: a forked child is another writer.
        self._names: dict[tuple[str, str | None], str] = {}

    def acting_as(self, actor: str | None) -> Journal:
        """The journal of the same writer, whose changes are recorded as those of the actor."""
        journal = copy(self)
        journal.actor = actor
        return journal

    @property
    def writer_id(self) -> str:
        """This process's writer id; a forked child has its own."""
        return self._writer().id

    @property
    def author(self) -> str | None:
        """The `Fact.author` of this journal's changes."""
        return author_of(self.writer_id, self.actor)

    def facts(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> Sequence[Fact]:
        """The facts of a stream by increasing version."""
        rows = self.log.read_stream(
            stream, after_version=after_version, upto_position=upto_position
        )
        facts = examined(self.log, [fact_of(row) for row in rows])
        self.damage.see(facts)
        return facts

    def has_damaged_beginning(self) -> bool:
        """Whether one of the log's first events says something else than it did.

        They are the introduction of the writer who created the workspace, and the creation.
        """
        rows = self.log.read_log(LogQuery(limit=2))
        changed = [
            fact_of(row)._replace(damage="it does not match its leaf")
            for row in rows
            if leaf_at(self.log, row.position) != row.leaf
        ]
        self.damage.see(changed)
        return bool(changed)

    def refresh(self, known: StreamState[S]) -> S:
        """Read the stream's new events and return its state."""
        return self._fetch(known).state

    def append(
        self,
        pending: Sequence[Pending],
        *,
        drained: Drained | None = None,
        reason: str | None = None,
    ) -> None:
        """Append the events in one transaction; `drained` as in `EventLog.append`.

        The `reason` is not attached to batches of values: they were not logged for it.
        Raises VersionConflict if another event holds one of the versions.
        """
        self._append(pending, drained, reason)

    def write(self, values: Batch) -> None:
        """Append a batch of values, and what is decided beside it, in one transaction.

        Raises VersionConflict if another event holds a version of the values.
        """
        pending, drained, beside = values
        for lost in range(_LOST_ROUNDS):
            events = _with_beside(pending, beside, self._fetch if lost else _as_read)
            try:
                _tell(beside, self._append(events, drained, None))
                return
            except VersionConflict:
                if len(events) == len(pending):
                    raise
        self._write_alone(values)

    def adopt(
        self,
        events: Sequence[NewEvent],
        pending: Sequence[Pending],
        more: Callable[[], Iterable[NewEvent]],
        *,
        reason: str | None = None,
    ) -> None:
        """Append events of another log unchanged, own ones, and `more` of the other, all or none.

        `more` is called as by `EventLog.append_all`. Raises VersionConflict as `append` does.
        """
        self._introduce()
        first = [*events, *self._new_events(pending, reason)]
        _surely(lambda: self.log.append_all(lambda: chain(first, more())))

    def change(
        self,
        known: StreamState[S],
        decide: Callable[[S], Decision],
        *,
        values: Batch = NO_VALUES,
        reason: str | None = None,
        observed_at: int | None = None,
    ) -> tuple[Fact, ...]:
        """Decide on the stream's newest state, append the events, and fold them into the state.

        `values` go into the same transaction, before the decided events; what is decided beside
        them about this very stream is left to `decide`. Optimistic at first; after three lost races
        it decides inside the write transaction, where no other writer can interfere. If the
        decision is a refusal, raises its error after writing its events. `observed_at` (µs since
        1970 UTC) is when the change happened, if that was before this call. Raises LogCorrupt if
        an event of the stream is damaged: whatever it said may forbid the change.
        """

        def decide_at(at: At[S]) -> Decision:
            if at.damage is not None:
                raise LogCorrupt(
                    f"{known.stream} cannot be changed, because what it says is not known: "
                    f"{at.damage}; restore the log from a copy"
                )
            return decide(at.state)

        beside = [other for other in values.beside if other.known.stream != known.stream]
        values = values._replace(beside=beside)
        at, decision = self._decide_optimistically(known, decide_at)
        for lost in range(_LOST_ROUNDS):
            if lost:
                known.contested = True
                at = self._fetch(known)
                decision = decide_at(at)
            pending = [*values.pending, *_pending_after(known.stream, at.version, decision)]
            with suppress(VersionConflict):
                newest = self._fetch if lost else _as_read
                events = _with_beside(pending, beside, newest) if beside else pending
                rows = self._append(events, values.drained, reason, observed_at)
                _tell(beside, rows)
                break
        else:
            at, decision, rows = self._change_alone(known, decide_at, values, reason, observed_at)
        facts = tuple(fact_of(row) for row in rows if row.stream == known.stream)
        known.advance(facts, at)
        if decision.refused is not None:
            raise self._attributed(decision.refused)
        return facts

    def name_of(self, writer_id: str | None, actor: str | None = None) -> str:
        """A readable name of a writer: `actor@host (pid 42)`; `actor` is the change's own."""
        if writer_id is None:
            return actor or "an unknown writer"
        key = writer_id, actor
        if key not in self._names:
            opened = next(iter(self.facts(writer_stream(writer_id))), None)
            if opened is None or opened.data is None:
                return actor or f"writer {writer_id[:8]}"
            data = opened.data
            self._names[key] = f"{actor or data['actor']}@{data['host']} (pid {data['pid']})"
        return self._names[key]

    def _change_alone(
        self,
        known: StreamState[S],
        decide_at: Callable[[At[S]], Decision],
        values: Batch,
        reason: str | None,
        observed_at: int | None,
    ) -> tuple[At[S], Decision, Sequence[StoredRow]]:
        at = known.at
        decision = Decision()
        events: list[NewEvent] = []

        def decide_now(read_stream: ReadStream) -> list[NewEvent]:
            nonlocal at, decision, events
            at = _read_on(known, read_stream, at)
            decision = decide_at(at)
            pending = [*values.pending, *_pending_after(known.stream, at.version, decision)]
            both = _with_beside(pending, values.beside, lambda other: _read_on(other, read_stream))
            events = self._new_events(both, reason, observed_at)
            return events

        self._introduce()
        try:
            rows = self.log.append_decided(decide_now, drained=values.drained)
        except _OUTCOME_UNKNOWN as error:
            if not _may_be_stored(error):
                raise
            rows = self._append_surely(events, values.drained)
        return at, decision, rows

    def _write_alone(self, values: Batch) -> None:
        """Write inside the write transaction, where no other writer can interfere."""
        events: list[NewEvent] = []

        def decide_now(read_stream: ReadStream) -> list[NewEvent]:
            nonlocal events
            both = _with_beside(
                values.pending, values.beside, lambda other: _read_on(other, read_stream)
            )
            events = self._new_events(both, None)
            return events

        self._introduce()
        try:
            self.log.append_decided(decide_now, drained=values.drained)
        except _OUTCOME_UNKNOWN as error:
            if not _may_be_stored(error):
                raise
            self._append_surely(events, values.drained)

    def _decide_optimistically(
        self, known: StreamState[S], decide_at: Callable[[At[S]], Decision]
    ) -> tuple[At[S], Decision]:
        """A decision on the state as read so far, or on the newest one if that may matter.

        Appending the decided events at the next version proves that the state was the newest; a
        refusal or an empty decision proves nothing, so then the stream is read on. Contested
        streams are read first: a lost append takes longer.
        """
        at = known.at
        if (at.version or known.is_fresh) and not known.contested:
            with suppress(RunloreError):
                decision = decide_at(at)
                if decision.events and decision.refused is None:
                    return at, decision
        newest = self._fetch(known)
        known.contested = newest.version > at.version > 0
        return newest, decide_at(newest)

    def _fetch(self, known: StreamState[S]) -> At[S]:
        at = known.at
        at = known.advance(self.facts(known.stream, after_version=at.version), at)
        if at.damage is not None:
            self.damage.tell_of_stream(known.stream, at.damage)
        return at

    def _append(
        self,
        pending: Sequence[Pending],
        drained: Drained | None,
        reason: str | None,
        observed_at: int | None = None,
    ) -> Sequence[StoredRow]:
        """Append the events, preceded by the writer's introduction if they are its first."""
        if not pending:
            return ()
        events = self._new_events(pending, reason, observed_at)
        writer = self._writer()
        if not writer.introduced:
            try:
                rows = self._append_surely([self._introduction(writer), *events], drained)
                writer.introduced = True
                return rows[1:]
            except VersionConflict:
                # The introduction may be in the log already: from another thread, or from an
                # append whose outcome we never learned. If not, the events conflicted.
                if not self.log.read_stream(writer_stream(writer.id)):
                    raise
                writer.introduced = True
        return self._append_surely(events, drained)

    def _append_surely(
        self, events: Sequence[NewEvent], drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        return _surely(lambda: self.log.append(events, drained=drained))

    def _new_events(
        self, pending: Sequence[Pending], reason: str | None, observed_at: int | None = None
    ) -> list[NewEvent]:
        of_change = self._metadata(self.actor, reason, observed_at)
        return [
            NewEvent(
                stream,
                version,
                event.topic,
                encode_event(event),
                os.urandom(16),
                self._metadata(actor) if beside or isinstance(event, ValuesLogged) else of_change,
                event.log_versions[-1],
            )
            for stream, version, event, actor, beside in pending
        ]

    def _metadata(
        self, actor: str | None, reason: str | None = None, observed_at: int | None = None
    ) -> dict[str, Any]:
        metadata: dict[str, Any] = {"writer": self.writer_id}
        if observed_at is not None:
            metadata["observed_at"] = observed_at
        if reason is not None:
            metadata["reason"] = reason
        if actor is not None:
            metadata["actor"] = actor
        return metadata

    def _writer(self) -> _Writer:
        # setdefault: threads that are first at the same time get the same writer.
        pid = os.getpid()
        return self._writers.get(pid) or self._writers.setdefault(pid, _Writer())

    def _introduce(self) -> None:
        writer = self._writer()
        if not writer.introduced:
            self._append_surely([self._introduction(writer)])
            writer.introduced = True

    def _introduction(self, writer: _Writer) -> NewEvent:
        """The same event each time, so that appending it again succeeds."""
        if self._announce is not None:
            self._announce(writer.id)
        opened = self._identify()
        stream = writer_stream(writer.id)
        state = encode_event(opened)
        metadata = {"writer": writer.id}
        log_version = opened.log_versions[-1]
        return NewEvent(stream, 1, opened.topic, state, writer.event_id, metadata, log_version)

    def _attributed(self, error: RunloreError) -> RunloreError:
        if isinstance(error, PropertyConflict):
            return error.attributed(self.name_of(error.held_by, error.held_for))
        return error


def _may_be_stored(error: Exception) -> bool:
    """Whether the error leaves open if the events that were appended are stored."""
    return isinstance(error, DiskFailed) or not isinstance(error, RunloreError)


def _surely(append: Callable[[], S]) -> S:
    """Append; if the outcome is unknown, append the same events again.

    Our own errors mean that nothing was stored, but for DiskFailed. That and any other failure of
    the driver may have come after the commit; then the repeated append succeeds.
    """
    for _ in range(_LOST_ACKNOWLEDGEMENTS - 1):
        try:
            return append()
        except _OUTCOME_UNKNOWN as error:
            if not _may_be_stored(error):
                raise
    return append()


def _with_beside(
    pending: Sequence[Pending],
    beside: Sequence[Beside],
    newest: Callable[[StreamState[Any]], At[Any]],
) -> list[Pending]:
    """The events, after those that are decided beside them, except about damaged streams."""
    decided: list[Pending] = []
    for known, decide in beside:
        at = newest(known)
        if at.damage is not None:
            continue
        decided += _pending_after(known.stream, at.version, decide(at.state))
    return [*(event._replace(beside=True) for event in decided), *pending]


def _as_read(known: StreamState[S]) -> At[S]:
    """The state as read so far: appending at its version proves that it is the newest."""
    return known.at


def _tell(beside: Sequence[Beside], rows: Sequence[StoredRow]) -> None:
    """Fold the events that were appended beside others into their states."""
    for known, _ in beside:
        known.advance([fact_of(row) for row in rows if row.stream == known.stream])


def _read_on(known: StreamState[S], read_stream: ReadStream, at: At[S] | None = None) -> At[S]:
    at = at or known.at
    unread = [fact_of(row) for row in read_stream(known.stream) if row.version > at.version]
    return known.advance(unread, at)


def _pending_after(stream: str, version: int, decision: Decision) -> list[Pending]:
    return [
        Pending(stream, number, event) for number, event in enumerate(decision.events, version + 1)
    ]
