"""The contract of the append-only log, at the level of bytes.

`EventLog` has events with ids, times and metadata, repeatable appends, reads of raw rows, and the
Merkle head. Every implementation passes `EventLogContract` of `runlore.testing`. Any log is an
application recorder of the `eventsourcing` library through `runlore.storage.recorder`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from runlore.domain.events import LOG_VERSION
from runlore.storage.clock import now_us
from runlore.storage.fence import Fence
from runlore.storage.held_path import HeldPath
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery
from runlore.storage.log_scan import LogScan, PlainScan
from runlore.storage.waker import Waker

if TYPE_CHECKING:
    from runlore.storage.presence import Presence

_BATCH_SIZE: Final = 1_000
_BATCH_NBYTES: Final = 2**22


class NewEvent(NamedTuple):
    """An event to append. `event_id` is 16 fresh random bytes and stays the same on a retry.

    `metadata` is the part of the envelope without columns of its own: `writer` (an id) and, where
    they apply, `actor`, `reason` and `observed_at` of an earlier time; for an imported event also
    `origin`, its envelope in the log that it comes from. The log adds `observed_at` and `as_of`
    where they differ from the recorded time: see `runlore.storage.as_of_times`. `log_version` is
    the version of a log that a reader must know to understand the event, see
    `runlore.domain.events`.
    """

    stream: str
    version: int
    topic: str
    state: bytes
    event_id: bytes
    metadata: Mapping[str, Any]
    log_version: int = 1


class StoredRow(NamedTuple):
    """An event as stored in the log.

    `event_id` and `metadata` (msgpack) are None for events of foreign applications.
    `recorded_at` is µs since 1970 UTC.
    """

    position: int
    stream: str
    version: int
    topic: str
    state: bytes
    event_id: bytes | None
    recorded_at: int
    metadata: bytes | None
    leaf: bytes


class Drained(NamedTuple):
    """How much of a writer's spool is in the log: all earlier laps, and `slot` slots of `lap`."""

    writer_id: str
    lap: int
    slot: int


class DrainedMark(NamedTuple):
    """How much of a spool is in the log, and the position of the last event of it."""

    lap: int = 0
    slot: int = 0
    position: int = 0


class ForeignEvent(NamedTuple):
    """An event of another application, which may keep its own in the same log."""

    stream: str
    version: int
    topic: str
    state: bytes


ReadStream = Callable[[str], Sequence[StoredRow]]


class EventLog(ABC):
    """An append-only log of events in streams.

    Guarantees of every implementation:

    - A call to `append` is atomic: either all of its events are stored, next to each other and in
      their order, or none are.
    - When it returns, the events are as durable as the implementation promises (SQLite: synced
      to disk) and every read that begins later, in any process, sees them.
    - Positions increase in the order in which readers see events; a reader that has seen
      position p never sees a smaller one appear later. They begin at 1 and have no holes.
    - Versions of a stream are unique. `recorded_at` never decreases along positions.
    - No event is refused because of a clock; `append` warns once per process if its clock is more
      than a day behind that of the last event, or more than eight years ahead.
    - Leaf and head are written in the same transaction as the events.
    - All methods may be called from any thread; a forked child may use the object at once.
    - The log's version rises with an event of a higher `log_version`, in the same transaction. A
      log of a version above `known_version` can be read, but not written to: decisions need events
      that this runlore passes over.
    """

    known_version: int = LOG_VERSION
    """The newest version of a log to which this object writes."""

    @property
    def folder(self) -> HeldPath | None:
        """The folder of this machine that the log is in, held open; None if it is in none."""
        return None

    @property
    def presence(self) -> Presence | None:
        """What the log's server knows of writers elsewhere; None where locks of files tell all."""
        return None

    @property
    def identity(self) -> Hashable | None:
        """The key of `LogOpener.identity`, where that takes time to ask for; else None."""
        return None

    @property
    def may_be_away(self) -> bool:
        """Whether the log is elsewhere, so that it may not be reached for long."""
        return False

    @property
    def may_write(self) -> bool:
        """Whether this user may append, as far as that is known without trying."""
        return True

    def now_us(self) -> int:
        """The time by the clock that gives this log's events their times; µs since 1970 UTC.

        A log on a server has the server's, as this machine knows it.
        """
        return now_us()

    def waker(self) -> Waker:
        """What a reader at the end waits with: commits ring it, or it looks for them."""
        return Waker()

    def fence(self) -> Fence | None:
        """Why nobody may write to the log, if it was moved away or is an incomplete copy."""
        return None

    @property
    @abstractmethod
    def version(self) -> int:
        """The greatest `log_version` of the log's events, and at least 1."""

    @abstractmethod
    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        """Store the events and return them as stored, in order. `[]` stores nothing.

        `drained` is recorded in the same transaction: the events hold a spool's values up to there.

        Idempotent: repeating a call with the same events succeeds and changes nothing, so a caller
        that did not learn the outcome retries with the *same* events.

        Raises `VersionConflict` if another event holds one of the (stream, version) pairs,
        `LogBusy` if other writers held the log until the lock timeout, `LogTooNew` if another
        process has raised the log's version above `known_version`, `LogReadOnly` and `DiskFull`. In
        each case nothing was stored.
        """

    @abstractmethod
    def append_decided(
        self,
        decide: Callable[[ReadStream], Sequence[NewEvent]],
        *,
        drained: Drained | None = None,
    ) -> tuple[StoredRow, ...]:
        """Like `append`, with events that are decided while no one else may write.

        `decide` receives a function that reads a stream, and returns the events to append. It
        must be quick: all other writers wait. If it raises, nothing is stored and the exception
        propagates.
        """

    def append_all(self, events: Callable[[], Iterable[NewEvent]]) -> None:
        """Like `append`, for more events than the memory may hold.

        `events` is called while no one else may write, so all that takes time should be done
        before. It is called again if a version is taken, to see whether these very events were
        stored earlier. If it raises, nothing is stored and the exception propagates.

        May be overridden to have few events in memory at a time.
        """
        self.append([*events()])

    @abstractmethod
    def append_foreign(self, events: Sequence[ForeignEvent]) -> Sequence[int]:
        """Store events of another application: without ids and metadata, but with leaves.

        Returns their positions. Raises as `append` does; a repeated call raises VersionConflict.
        """

    @abstractmethod
    def drained_marks(self) -> Mapping[str, DrainedMark]:
        """How much of each writer's spool is in the log, by writer id."""

    @abstractmethod
    def read_stream(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> Sequence[StoredRow]:
        """The stream's rows by increasing version; `[]` if the stream does not exist."""

    @abstractmethod
    def read_log(self, query: LogQuery) -> Sequence[StoredRow]:
        """The rows asked for, by increasing position; `[]` if there are none."""

    def read_plain(self, query: LogQuery) -> Sequence[tuple[Any, ...]]:
        """The rows of `read_log` without their leaves, as plain tuples: for reading millions.

        A `StoredRow` takes longer to make than its columns to read.
        """
        return [row[:-1] for row in self.read_log(query)]

    def read_leaves(self, query: LogQuery) -> Sequence[bytes]:
        """The stored leaves of `read_log`'s rows: all that a proof is made of."""
        return [row.leaf for row in self.read_log(query)]

    def positions_of(self, query: LogQuery) -> Sequence[int]:
        """The positions of `read_log`'s rows. May be overridden to read no payload."""
        return [row.position for row in self.read_log(query)]

    def count_events(self, query: LogQuery) -> int:
        """The number of `read_log`'s rows. May be overridden to read no payload."""
        return len(self.positions_of(query))

    def count_created(self, experiment_id: str, *, upto_position: int) -> int | None:
        """The number of runs that were created in an experiment, up to and including a position.

        None if that takes reading and decoding them; may be overridden if it does not.
        """
        return None

    def as_stored(self) -> EventLog:
        """The log with states as they are stored and hashed into the leaves, sealed or not."""
        return self

    def scan(self) -> LogScan:
        """The log as its verification reads it; an implementation's own may see more."""
        return PlainScan(self)

    @property
    def erasable(self) -> bool:
        """Whether runs can be erased: each run's payloads are sealed under a key of its own.

        Appending `run.erased` then destroys the run's key in the same transaction.
        """
        return False

    def key_of(self, run_id: str) -> bytes | None:
        """The key of a run, made if it has none yet; None if the run was erased.

        Only for an erasable log; others raise NotImplementedError.
        """
        raise NotImplementedError("runs of this log have no keys: it is not erasable")

    def last_erasure(self) -> int:
        """The position of the last event that erased a run; 0 if none did."""
        return 0

    def scrub(self, timeout_s: float) -> bool:
        """Removes what storage still holds of overwritten content, such as old pages in a WAL.

        Returns False if readers or writers of other processes prevented it until the timeout.
        """
        return True

    @abstractmethod
    def head(self) -> LogHead:
        """The log's head; an empty log has position 0 and size 0."""

    def last_position(self) -> int:
        """The position of the last event; 0 if there is none."""
        return self.head().position

    def synced_head(self) -> LogHead:
        """The head, after making everything that it covers as durable as promised.

        Whatever runlore wrote is durable as soon as readers see it; what other programs wrote to
        the storage may not be. Raises LogReadOnly if it cannot be made durable.
        """
        return self.head()

    @abstractmethod
    def position_at(self, time: int) -> int:
        """The log's last position as of a time (µs since 1970 UTC); 0 if it had no event.

        That is the end of the longest prefix in which each event was observed, by itself or by a
        later event, at or before the time; but events that were appended after a later time was
        settled do not count (`runlore.storage.as_of_times` defines it in full). Later events may
        change the answer, unless the time was settled.
        """

    @abstractmethod
    def settle(self, time: int) -> None:
        """Ensure that no later event, of any writer, changes the log as of this time or earlier.

        If the time or a later one was settled before, nothing needs to be done. Otherwise a writer
        whose clock is slow could still observe an event at or before the time, so the time is kept,
        and the head's time moved past it, in a commit of its own. Raises MomentInFuture for a time
        that no clock has reached, because it would bind all writers: neither this host's nor, for a
        time less than a day from now, that of the last event. Raises LogReadOnly if the commit
        cannot be made.
        """

    def stuck_writer(self) -> str | None:
        """The process that a write of this one waits for and that does not go on, for people.

        None if no write waits, or if nothing is known of that process.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Release files, connections and locks. Idempotent; later calls open them again."""


def batches(events: Iterable[NewEvent]) -> Iterator[Sequence[NewEvent]]:
    """The events in parts that are stored at once."""
    batch: list[NewEvent] = []
    nbytes = 0
    for event in events:
        batch.append(event)
        nbytes += len(event.state)
        if len(batch) >= _BATCH_SIZE or nbytes >= _BATCH_NBYTES:
            yield batch
            batch, nbytes = [], 0
    if batch:
        yield batch
