"""The contract of a scan: a log as its verification reads it, and `prove` its rows.

Reads of a log decode, open and trust; a scan gives rows as they are stored, damaged ones included.
Each call reads for a short time only, so that no writer waits for it and a WAL can be checkpointed
in between. Everything read lies at or before a head that was read first, so writers that go on in
the meantime change nothing of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from runlore.storage.as_of_times import Steps
from runlore.storage.log_head import LogHead
from runlore.storage.log_query import LogQuery

Row = tuple[Any, ...]
"""A `StoredRow` or an index's entry as a plain tuple; a damaged file may hold any types."""


class IndexScan(ABC):
    """The indexes of a log's table, through which reads go. Entries ascend."""

    @abstractmethod
    def by_stream(self, after: Row, upto_position: int, limit: int) -> Sequence[Row]:
        """(stream, version, position) of the index of streams, after an entry."""

    @abstractmethod
    def by_time(self, after: Row, upto_position: int, limit: int) -> Sequence[Row]:
        """(recorded_at, position) of the index of times, after an entry."""

    @abstractmethod
    def places_in_stream_index(self, stream: str, version: int) -> Sequence[Any]:
        """The positions to which the index of streams leads for an event."""

    @abstractmethod
    def places_in_time_index(self, recorded_at: int, position: int) -> Sequence[Any]:
        """The position again, if the index of times has it at this time."""


class KeyScan(ABC):
    """The keys of an erasable log, and its record of erased runs."""

    @abstractmethod
    def keys_of(self, runs: Sequence[str]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The keys of these runs, without those that have none, and recorded erasures by run.

        An erasure is the position at which it is recorded; None if only an event says so.
        """

    @abstractmethod
    def erasures_of_nothing(self) -> Sequence[Row]:
        """(position, run) of recorded erasures without an event; not all if there are many."""


class Times(NamedTuple):
    """What a log keeps to answer as of a time: see `runlore.storage.as_of_times`."""

    steps: Steps
    settled_until: int


class Beginning(NamedTuple):
    """What is read of a log before its rows, in one snapshot.

    `strays` are rows at positions that the head does not cover; if they cannot be read,
    `unreadable` says why. `marks` are the positions of `drained_marks`, `altered` the names of
    tables and indexes that differ from those that runlore makes. `keys` is None if payloads are
    not sealed or the tables of their keys cannot be read. `version` is the log's, or
    None if it cannot be compared with what the events ask for. `times` is None if the log keeps no
    tables of them, and a text that says why if they cannot be read.
    """

    head: LogHead
    strays: Sequence[Row] = ()
    marks: Sequence[tuple[str, int]] = ()
    altered: Sequence[str] = ()
    unreadable: str | None = None
    keys: KeyScan | None = None
    times: Times | str | None = None
    version: int | None = None


class LogScan(ABC):
    """Reads a log for its verification. `indexes` is None if reads go through no index."""

    indexes: IndexScan | None = None

    @abstractmethod
    def begin(self) -> Beginning:
        """The head, and everything that contradicts it at first sight."""

    @abstractmethod
    def rows(self, after: int, upto: int, limit: int) -> Sequence[Row]:
        """At most `limit` rows at positions in (after, upto], by increasing position."""

    @abstractmethod
    def count_reached(self, after: int, upto: int) -> int:
        """How many positions in (after, upto] are found when each is looked up on its own."""


class ReadableLog(Protocol):
    """The reads of a log that a scan needs at least."""

    def head(self) -> LogHead: ...

    def read_log(self, query: LogQuery) -> Sequence[Row]: ...


class PlainScan(LogScan):
    """The scan of any log by its own reads."""

    def __init__(self, log: ReadableLog) -> None:
        self._log = log

    def begin(self) -> Beginning:
        return Beginning(self._log.head())

    def rows(self, after: int, upto: int, limit: int) -> Sequence[Row]:
        return self._log.read_log(LogQuery(after_position=after, upto_position=upto, limit=limit))

    def count_reached(self, after: int, upto: int) -> int:
        return len(self.rows(after, upto, upto - after))
