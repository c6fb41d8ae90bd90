"""The pass of a verification over the rows: leaves, positions, times, and the tree of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from struct import error as StructError
from typing import Final, NamedTuple

from runlore.storage.driver_errors import DriverError
from runlore.storage.errors import LogBusy
from runlore.storage.findings import Findings, Kind
from runlore.storage.log_head import LogHead
from runlore.storage.log_scan import LogScan, Row
from runlore.storage.merkle import HASH_NBYTES, Frontier, leaf_hash

CHUNK: Final = 4096
_MAX_MOVED: Final = 64
_NO_LEAF: Final = bytes(HASH_NBYTES)


class TreeHead(NamedTuple):
    """The size of a log and the Merkle root over its events, as kept outside of it."""

    size: int
    root: bytes


class _Part(NamedTuple):
    """A perfect subtree of the head's frontier: the positions in (after, upto], and its root."""

    after: int
    upto: int
    root: bytes


class RowsPass:
    """Reads all rows up to a head once.

    `seen` receives each chunk, for comparisons with other tables. `confirmed` are the kept tree
    heads that match the rows, `recorded_at` is the time of the last one.
    """

    def __init__(
        self,
        scan: LogScan,
        head: LogHead,
        kept: Sequence[TreeHead],
        findings: Findings,
        seen: Callable[[Sequence[Row]], object],
    ) -> None:
        self._scan = scan
        self._head = head
        self._parts = {part.upto: part for part in _parts(head)}
        self._kept_of: dict[int, list[TreeHead]] = {}
        for tree_head in kept:
            self._kept_of.setdefault(tree_head.size, []).append(tree_head)
        self._findings = findings
        self._seen = seen
        self.confirmed: list[TreeHead] = []
        self._disagreed: list[TreeHead] = []
        self._unlike: list[_Part] = []
        self._changed: list[Row] = []
        self.recorded_at = 0
        self._whole = True  # No leaf is missing so far, so the tree can be computed.
        # Two trees, of the stored leaves and of the leaves computed from the columns; one object
        # until they differ.
        self._stored = self._computed = Frontier()

    def run(self) -> None:
        """Read and compare all rows, and add findings."""
        after = 0
        for stop in self._stops():
            self._check_range(after, stop)
            after = stop
            if self._whole:
                self._compare_tree(stop)
        self._report_moved_rows()
        self._report_tree()
        if self.recorded_at > self._head.recorded_at:
            self._findings.about_log(
                Kind.CHANGED,
                f"the head's time, {self._head.recorded_at} µs after 1970, is before the last "
                f"event's, {self.recorded_at}",
            )

    def _stops(self) -> list[int]:
        sizes = {*self._parts, *self._kept_of, self._head.position}
        return sorted(size for size in sizes if 0 < size <= self._head.position)

    def _check_range(self, after: int, upto: int) -> None:
        for rows in self._read(after, upto):
            self._seen(rows)
            last = rows[-1][0]
            if last - after == len(rows):
                self._check_reached(after, last)
                self._check_rows(rows)
            else:
                for row in rows:
                    self._check_hole(after, row[0] - 1)
                    self._check_rows((row,))
                    after = row[0]
            after = last
        self._check_hole(after, upto)

    def _read(self, after: int, upto: int) -> Iterator[Sequence[Row]]:
        """The rows in (after, upto]; in a damaged file, those that can be read."""
        while after < upto and not self._findings.full:
            try:
                rows = self._scan.rows(after, upto, CHUNK)
            except LogBusy:
                raise
            except DriverError as error:
                if upto - after == 1:
                    self._whole = False
                    self._findings.about_range(Kind.UNREADABLE, upto, upto, str(error))
                else:
                    middle = (after + upto) // 2
                    yield from self._read(after, middle)
                    yield from self._read(middle, upto)
                return
            if not rows:
                return
            yield rows
            after = rows[-1][0]

    def _check_reached(self, after: int, upto: int) -> None:
        try:
            reached = self._scan.count_reached(after, upto)
        except LogBusy:
            raise
        except DriverError as error:
            self._findings.about_range(Kind.UNREADABLE, after + 1, upto, str(error))
            return
        if reached != upto - after:
            self._findings.about_range(
                Kind.MISLED,
                after + 1,
                upto,
                f"a read in order finds {upto - after} events, look-ups by position {reached}",
            )

    def _check_hole(self, after: int, upto: int) -> None:
        if after >= upto:
            return
        kept = self._findings.kept
        if kept and kept[-1].last == upto and kept[-1].kind is Kind.UNREADABLE:
            return
        self._whole = False
        ends = upto == self._head.position
        last = kept[-1] if kept else None
        if last is not None and last.kind is Kind.MISSING and last.last == after:
            kept.pop()  # It continues a hole of the previous chunk.
            after = (last.first or after + 1) - 1
        kind = Kind.TRUNCATED if ends else Kind.MISSING
        what = (
            f"the log ends before its head, which is at {self._head.position}"
            if ends
            else "there is no event"
        )
        self._findings.about_range(kind, after + 1, upto, what)

    def _check_rows(self, rows: Sequence[Row]) -> None:
        stored = [row[8] for row in rows]
        computed = _leaves(rows)
        if computed != stored or None in computed:
            if self._stored is self._computed:
                self._computed = Frontier(*self._stored)
            fitting = []
            for row, leaf in zip(rows, computed, strict=True):
                if leaf is not None and leaf == row[8]:
                    fitting.append(row)
                else:
                    if len(self._changed) < _MAX_MOVED:
                        self._changed.append(row)
                    self._findings.about_row(Kind.CHANGED, row, "its columns do not match its leaf")
            stored = [leaf if type(leaf) is bytes else _NO_LEAF for leaf in stored]
            rows = fitting
        self._check_times(rows)
        if self._whole:
            alike = self._stored is self._computed
            self._stored = self._stored.extended(stored)
            self._computed = (
                self._stored
                if alike
                else self._computed.extended(leaf or _NO_LEAF for leaf in computed)
            )

    def _check_times(self, rows: Sequence[Row]) -> None:
        times = [self.recorded_at, *(row[6] for row in rows)]
        if times != sorted(times):
            for row, (before, after) in zip(rows, pairwise(times), strict=True):
                if after < before:
                    self._findings.about_row(
                        Kind.REORDERED,
                        row,
                        f"recorded {before - after} µs before its predecessor",
                    )
        self.recorded_at = max(times)

    def _compare_tree(self, size: int) -> None:
        part = self._parts.get(size)
        if part is not None and part.root not in (self._stored.nodes[-1], self._computed.nodes[-1]):
            self._unlike.append(part)
        for tree_head in self._kept_of.get(size, ()):
            agrees = tree_head.root in (self._stored.root, self._computed.root)
            (self.confirmed if agrees else self._disagreed).append(tree_head)

    def _report_moved_rows(self) -> None:
        """Report changed rows that are moved: their leaf fits another position."""
        leaves = {row[8] for row in self._changed}
        for row in self._changed:
            for other in self._changed:
                if other is row:
                    continue
                [leaf] = _leaves(((other[0], *row[1:]),))
                if leaf in leaves:
                    self._findings.about_row(
                        Kind.REORDERED, row, f"it was appended at position {other[0]}"
                    )

    def _report_tree(self) -> None:
        agreed = max((tree_head.size for tree_head in self.confirmed), default=0)
        for part in self._unlike:
            first = part.after + 1
            if self._findings.within(first, part.upto):
                continue
            if part.upto <= agreed:
                self._findings.about_range(
                    Kind.CHANGED,
                    first,
                    part.upto,
                    f"they match the tree head kept at {agreed}, but not the head: the head was "
                    "changed",
                )
                continue
            self._findings.about_range(
                Kind.CHANGED,
                max(first, agreed + 1),
                part.upto,
                "the events match their leaves, but not the head: an event was rewritten together "
                "with its leaf, or the head was changed",
            )
        if self._disagreed:
            worst = min(self._disagreed)
            self._findings.about_range(
                Kind.CHANGED,
                agreed + 1 if agreed < worst.size else 1,
                worst.size,
                f"the root over the first {worst.size} events differs from the kept tree head",
            )
        longest = max(self._kept_of, default=0)
        if longest > self._head.size:
            self._findings.about_range(
                Kind.TRUNCATED,
                self._head.size + 1,
                longest,
                f"the log ends at {self._head.size}, but a tree head of {longest} events was kept",
            )


def _parts(head: LogHead) -> list[_Part]:
    parts = []
    after = 0
    for node in head.frontier.nodes:
        rest = head.size - after
        upto = after + (1 << (rest.bit_length() - 1))
        parts.append(_Part(after, upto, node))
        after = upto
    return parts


def _leaves(rows: Sequence[Row]) -> list[bytes | None]:
    """The leaf that each row should have; None for columns of types that no append stores."""
    try:
        return [
            leaf_hash(position, stream, version, topic, event_id, recorded_at, metadata, state)
            for position, stream, version, topic, state, event_id, recorded_at, metadata, _ in rows
        ]
    except (AttributeError, TypeError, StructError, UnicodeEncodeError):
        if len(rows) == 1:
            return [None]
        return [_leaves((row,))[0] for row in rows]
