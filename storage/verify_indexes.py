"""The passes of a verification over the indexes: what reads go through, against the table."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import lt
from typing import Any, Final, NamedTuple

from eventsourcing.persistence import PersistenceError

from runlore.storage.errors import LogBusy
from runlore.storage.findings import Findings, Kind
from runlore.storage.log_scan import Row, SqliteScan
from runlore.storage.verify_rows import CHUNK

_LEAST: Final = -(2**63)

Entry = tuple[Any, ...]


class _Index(NamedTuple):
    """An index: how it is read in its order behind an entry, and what it should have of a row."""

    name: str
    read: Callable[[Entry, int, int], Sequence[Entry]]
    entry_of: Callable[[Row], Entry]
    places: Callable[[Entry], Sequence[Any]]
    types: tuple[type, ...]
    before_all: Entry
    """Less than any entry; the last of an entry is its position."""


class IndexesPass:
    """Compares both indexes of a SQLite file with the rows that were read of its table.

    Of rows and entries it keeps sums of salted hashes, which do not depend on the order; the
    salt is chosen now, so nobody could have prepared other entries of the same sum. Only where
    the sums differ is each event looked up.
    """

    def __init__(self, scan: SqliteScan, upto_position: int, findings: Findings) -> None:
        self._scan = scan
        self._upto = upto_position
        self._findings = findings
        self._salt = secrets.randbits(61)
        self._streams = _Index(
            "the stream index",
            scan.by_stream,
            lambda row: (row[1], row[2], row[0]),
            lambda entry: scan.places_in_stream_index(entry[0], entry[1]),
            (str, int, int),
            ("", 0, 0),
        )
        self._times = _Index(
            "the index of times",
            scan.by_time,
            lambda row: (row[6], row[0]),
            lambda entry: scan.places_in_time_index(entry[0], entry[1]),
            (int, int),
            (_LEAST, 0),
        )
        self._sums = {self._streams.name: 0, self._times.name: 0}

    def see(self, rows: Sequence[Row]) -> None:
        """Adds rows of the table to what the indexes should have."""
        salt = self._salt
        self._sums[self._streams.name] += sum(
            [hash((salt, row[1], row[2], row[0])) for row in rows]
        )
        self._sums[self._times.name] += sum([hash((salt, row[6], row[0])) for row in rows])

    def run(self, stepped: Callable[[int], object]) -> None:
        """Reads both indexes; `stepped` is told how many entries more were read."""
        for index, check in ((self._streams, self._check_versions), (self._times, None)):
            try:
                if not self._is_that_of_rows(index, check, stepped):
                    self._tell_of_difference(index)
            except LogBusy:
                raise
            except PersistenceError as error:
                self._findings.about_log(Kind.UNREADABLE, f"{index.name}: {error}")

    def _is_that_of_rows(
        self,
        index: _Index,
        check: Callable[[Sequence[Entry]], object] | None,
        stepped: Callable[[int], object],
    ) -> bool:
        salt, total, last = self._salt, 0, index.before_all
        while entries := index.read(last, self._upto, CHUNK):
            total += sum([hash((salt, *entry)) for entry in entries])
            behind_last = [last, *entries]
            if not _in_order(behind_last, index.types):
                return False
            if check is not None:
                check(behind_last)
            last = entries[-1]
            stepped(len(entries))
        return total == self._sums[index.name]

    def _check_versions(self, entries: Sequence[Entry]) -> None:
        for (stream, version, position), (next_stream, next_version, next_position) in pairwise(
            entries
        ):
            if next_stream != stream:
                if next_version > 1:
                    self._tell_of_gap(next_stream, "at the stream's beginning", 1, next_version)
            elif next_version != version + 1:
                after = f"after version {version}"
                self._tell_of_gap(stream, after, version + 1, next_version)
            elif next_position < position:
                self._findings.about_stream(
                    Kind.REORDERED,
                    stream,
                    next_version,
                    f"it stands at position {next_position}, the version before it at {position}",
                )

    def _tell_of_gap(self, stream: str, where: str, version: int, found: int) -> None:
        self._findings.about_stream(
            Kind.MISSING, stream, version, f"{where} stands version {found}"
        )

    def _tell_of_difference(self, index: _Index) -> None:
        told = len(self._findings.kept) + self._findings.more
        after = 0
        while not self._findings.full and (rows := self._scan.rows(after, self._upto, CHUNK)):
            for row in rows:
                self._look_up(index, row)
            after = rows[-1][0]
        if told == len(self._findings.kept) + self._findings.more:
            self._findings.about_log(
                Kind.MISLED,
                f"{index.name} leads to each event, but is out of order or has entries of events "
                "that are not in the table",
            )

    def _look_up(self, index: _Index, row: Row) -> None:
        try:
            places = index.places(index.entry_of(row))
        except LogBusy:
            raise
        except PersistenceError as error:
            self._findings.about_row(Kind.MISLED, row, f"{index.name} cannot be read here: {error}")
            return
        if list(places) != [row[0]]:
            what = f"leads to positions {places} for it" if places else "does not lead to it"
            self._findings.about_row(Kind.MISLED, row, f"{index.name} {what}")


def _in_order(entries: Sequence[Entry], types: tuple[type, ...]) -> bool:
    """Whether the entries ascend, and hold what an index of ours can hold."""
    if any(
        set(map(type, column)) != {kind}
        for column, kind in zip(zip(*entries, strict=True), types, strict=True)
    ):
        return False
    return all(map(lt, entries, entries[1:]))
