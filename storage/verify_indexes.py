"""The pass of a verification over the indexes: do they lead reads to the rows of the table?"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final

from runlore.storage.driver_errors import DriverError
from runlore.storage.errors import LogBusy
from runlore.storage.findings import Findings, Kind
from runlore.storage.log_scan import IndexScan, LogScan, Row
from runlore.storage.verify_rows import CHUNK

_BEFORE_ALL_STREAMS: Final = ("", 0, 0)
_BEFORE_ALL_TIMES: Final = (-(2**63), 0)
_TIME_AND_POSITION = itemgetter(6, 0)

Entry = tuple[Any, ...]


class IndexesPass:
    """Compares both indexes of a log with the rows of its table.

    Times do not decrease along positions, so the index of times has the order of the rows and is
    read beside them. The stream index has another order, so sums of salted hashes of rows and of
    entries are compared. The salt is chosen now, so no one can have prepared other entries with
    the same sum. Only if an index differs is each event looked up.
    """

    def __init__(
        self, scan: LogScan, indexes: IndexScan, upto_position: int, findings: Findings
    ) -> None:
        self._scan = scan
        self._indexes = indexes
        self._upto = upto_position
        self._findings = findings
        self._salt = secrets.randbits(61)
        self._sum_of_rows = 0
        self._last_time: Entry = _BEFORE_ALL_TIMES
        self._times_agree = self._times_ascend = True

    def see(self, rows: Sequence[Row]) -> None:
        """Compare rows of the table with the index of times, and add them to the sum."""
        salt = self._salt
        self._sum_of_rows += sum([hash((salt, row[1], row[2], row[0])) for row in rows])
        if self._times_agree:
            try:
                entries = self._indexes.by_time(self._last_time, self._upto, len(rows))
            except LogBusy:
                raise
            except DriverError:
                entries = []  # Reported when each event is looked up.
            expected = [*map(_TIME_AND_POSITION, rows)]
            self._times_agree = entries == expected
            # Otherwise rows out of the order of their times were reported already.
            self._times_ascend = self._times_agree or _ascend([self._last_time, *expected])
            self._last_time = expected[-1]

    def run(self, stepped: Callable[[int], object]) -> None:
        """Read the stream index and the rest of the index of times; `stepped` counts entries."""
        self._guarded("the index of times", self._check_rest_of_times)
        self._guarded("the stream index", lambda: self._check_stream_index(stepped))

    def _guarded(self, name: str, check: Callable[[], object]) -> None:
        try:
            check()
        except LogBusy:
            raise
        except DriverError as error:
            self._findings.about_log(Kind.UNREADABLE, f"{name}: {error}")

    def _check_rest_of_times(self) -> None:
        if not self._times_agree or self._indexes.by_time(self._last_time, self._upto, 1):
            self._report_difference(
                "the index of times",
                lambda row: self._indexes.places_in_time_index(row[6], row[0]),
                in_order_of_rows=self._times_ascend,
            )

    def _check_stream_index(self, stepped: Callable[[int], object]) -> None:
        salt, total = self._salt, 0
        last: Entry = _BEFORE_ALL_STREAMS
        in_order = True
        while in_order and (entries := self._indexes.by_stream(last, self._upto, CHUNK)):
            total += sum([hash((salt, *entry)) for entry in entries])
            in_order = self._check_order([last, *entries])
            last = entries[-1]
            stepped(len(entries))
        if not in_order or total != self._sum_of_rows:
            self._report_difference(
                "the stream index", lambda row: self._indexes.places_in_stream_index(row[1], row[2])
            )

    def _check_order(self, entries: Sequence[Entry]) -> bool:
        """Whether the entries ascend; reports gaps between versions."""
        try:
            for (stream, version, position), following in pairwise(entries):
                next_stream, next_version, next_position = following
                if next_stream == stream:
                    if next_version != version + 1:
                        if next_version <= version:
                            return False
                        after = f"after version {version}"
                        self._report_gap(stream, after, version + 1, next_version)
                    elif next_position < position:
                        self._findings.about_stream(
                            Kind.REORDERED,
                            stream,
                            next_version,
                            f"it is at position {next_position}, and the version before it at "
                            f"{position}",
                        )
                elif next_stream < stream:
                    return False
                elif next_version > 1:
                    self._report_gap(next_stream, "at the stream's beginning", 1, next_version)
            return type(sum([version for _, version, _ in entries])) is int
        except TypeError:  # In a damaged file: texts, numbers and bytes have no order.
            return False

    def _report_gap(self, stream: str, where: str, version: int, found: int) -> None:
        self._findings.about_stream(Kind.MISSING, stream, version, f"{where} comes version {found}")

    def _report_difference(
        self,
        name: str,
        places: Callable[[Row], Sequence[Any]],
        *,
        in_order_of_rows: bool = True,
    ) -> None:
        """Look up each event of the table in an index that differs from it."""
        before = len(self._findings.kept) + self._findings.more
        after = 0
        while not self._findings.full and (rows := self._scan.rows(after, self._upto, CHUNK)):
            for row in rows:
                self._look_up(name, row, places)
            after = rows[-1][0]
        if in_order_of_rows and before == len(self._findings.kept) + self._findings.more:
            self._findings.about_log(
                Kind.MISLED,
                f"{name} leads to each event, but is out of order or has entries for events that "
                "are not in the table",
            )

    def _look_up(self, name: str, row: Row, places: Callable[[Row], Sequence[Any]]) -> None:
        try:
            found = list(places(row))
        except UnicodeEncodeError:
            return  # Its stream is not valid text, which was reported as a change of the event.
        except LogBusy:
            raise
        except DriverError as error:
            self._findings.about_row(Kind.MISLED, row, f"{name} cannot be read here: {error}")
            return
        if found != [row[0]]:
            what = f"leads to positions {found} for it" if found else "does not lead to it"
            self._findings.about_row(Kind.MISLED, row, f"{name} {what}")


def _ascend(entries: Sequence[Entry]) -> bool:
    try:
        return entries == sorted(entries)
    except TypeError:
        return False
