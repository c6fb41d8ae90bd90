"""Whether a log is what was appended to it: every leaf, the head, and the ways to each event.

The leaf of each event is computed anew from its columns, and the tree of all leaves from them;
both are compared with what is stored, with the head, and with tree heads that were kept
elsewhere. Of a SQLite file the indexes are compared with the table, since reads go through them,
and each row is looked for by its position. It takes memory for one chunk of rows, and holds no
read transaction for longer. Of an erasable log the keys are compared with what was erased.

What it rests on: positions begin at 1 and have no holes, because an append gives them out under
the write lock (`storage/stamp.py`); a leaf covers its event's position; the head's frontier has
the root of each perfect subtree, so that a change that fits its own leaf is still narrowed down
to a range of positions. Who rewrites rows, leaves and head together is shown by a kept tree head
only.

Beside the log, and covered by no leaf: the head's time, which may be later than the last event's
(`EventLog.settle`; it is looked at whether it is yet to come), the marks of drained spools (whether
their positions exist), and SQLite's own counter of positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from runlore.storage.clock import Clock, now_us
from runlore.storage.event_log import EventLog
from runlore.storage.findings import Finding, Findings, Kind
from runlore.storage.log_scan import Beginning, Row
from runlore.storage.verify_indexes import IndexesPass
from runlore.storage.verify_keys import KeysPass
from runlore.storage.verify_rows import RowsPass, TreeHead

Progress = Callable[[int, int], object]
"""Told how many steps are done, and about how many there are."""

_SKEW_US: Final = 24 * 3600 * 1_000_000  # By which the clocks of hosts may differ.


@dataclass(frozen=True)
class Verification:
    """What a verification found; `size` and `root` are those of the head that it began with.

    `more` counts findings beyond the first thousand. `confirmed` are the kept tree heads that
    the log agrees with.
    """

    size: int
    root: bytes
    findings: tuple[Finding, ...]
    more: int
    confirmed: tuple[TreeHead, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify_log(
    log: EventLog,
    *,
    kept: Iterable[TreeHead] = (),
    progress: Progress | None = None,
    clock: Clock = now_us,
) -> Verification:
    """Verifies the log up to the head that it has now; writers may go on meanwhile.

    Raises LogCorrupt, NotALog or another error of the log where not even the head can be read.
    """
    scan = log.scan()
    beginning = scan.begin()
    head = beginning.head
    findings = Findings()
    _check_beginning(beginning, clock(), findings)
    indexes = (
        IndexesPass(scan, scan.indexes, head.position, findings)
        if scan.indexes is not None
        else None
    )
    keys = KeysPass(beginning.keys, findings) if beginning.keys is not None else None
    done, total = 0, head.size * (2 if indexes else 1)

    def stepped(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    def seen(rows: Sequence[Row]) -> None:
        if indexes is not None:
            indexes.see(rows)
        if keys is not None:
            keys.see(rows)
        stepped(len(rows))

    rows = RowsPass(scan, head, sorted(kept), findings, seen)
    rows.run()
    if indexes is not None:
        indexes.run(stepped)
    if keys is not None:
        keys.run()
    return Verification(
        head.size,
        head.frontier.root,
        tuple(findings.kept),
        findings.more,
        tuple(rows.confirmed),
    )


def _check_beginning(beginning: Beginning, now: int, findings: Findings) -> None:
    head = beginning.head
    if head.recorded_at > now + _SKEW_US:
        findings.about_log(
            Kind.CHANGED,
            f"the head's time, {head.recorded_at} µs after 1970, is more than a day from now",
        )
    if head.size != head.position:
        findings.about_log(
            Kind.CHANGED,
            f"the head counts {head.size} events, and says that the last is at {head.position}",
        )
    for name in beginning.altered:
        findings.about_log(
            Kind.CHANGED,
            f"{name} is not in the file as runlore makes it: reads of the log could show anything",
        )
    if beginning.unreadable is not None:
        findings.about_log(
            Kind.UNREADABLE, f"the beginning or the end of the log: {beginning.unreadable}"
        )
    for row in beginning.strays:
        findings.about_row(
            Kind.INSERTED, row, f"the head covers positions 1 to {head.position} only"
        )
    for writer_id, position in beginning.marks:
        if not isinstance(position, int) or not 1 <= position <= head.position:
            findings.about_log(
                Kind.CHANGED,
                f"up to where the spool of writer {writer_id!s:.80} is in the log is said to be "
                f"at position {position!s:.20}, where no event is",
            )
