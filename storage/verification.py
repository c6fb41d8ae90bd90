"""Whether a log holds what was appended: every leaf, the head, and the indexes to each event.

The leaf of each event is computed again from its columns, and the tree of all leaves from them;
both are compared with the stored ones, with the head, and with tree heads that were kept elsewhere.
In a SQLite file the indexes are compared with the table, since reads go through them, and each row
is looked up by its position. It takes memory and a read transaction for one chunk of rows at a
time. In an erasable log the keys are compared with the erasures.

It relies on these facts: positions begin at 1 and have no holes, because an append assigns them
under the write lock (`storage/stamp.py`); a leaf covers its event's position; the head's frontier
has the root of each perfect subtree, so a change that fits its own leaf is still narrowed down to
a range of positions. If rows, leaves and head were rewritten together, only a kept tree head
reveals it.

Not covered by any leaf: the head's time, which may be later than the last event's, and the time up
to which the log was settled (`EventLog.settle`; a time in the future is reported), the marks of
drained spools (their positions must exist), and SQLite's own counter of positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from runlore.storage.clock import Clock, now_us
from runlore.storage.event_log import EventLog
from runlore.storage.findings import Finding, Findings, Kind
from runlore.storage.log_scan import Beginning, Row
from runlore.storage.verify_indexes import IndexesPass
from runlore.storage.verify_keys import KeysPass
from runlore.storage.verify_rows import RowsPass, TreeHead
from runlore.storage.verify_times import TimesPass
from runlore.storage.verify_version import VersionPass

Progress = Callable[[int, int], object]
"""Called with the number of steps done and the approximate total."""


@dataclass(frozen=True)
class Verification:
    """The result of a verification; `size` and `root` are those of the head at its start.

    `more` counts findings beyond the first thousand. `confirmed` are the kept tree heads that
    match the log.
    """

    size: int
    root: bytes
    findings: tuple[Finding, ...]
    more: int
    confirmed: tuple[TreeHead, ...]

    @property
    def holds(self) -> bool:
        """Whether there are no findings."""
        return not self.findings


def verify_log(
    log: EventLog,
    *,
    kept: Iterable[TreeHead] = (),
    progress: Progress | None = None,
    clock: Clock = now_us,
) -> Verification:
    """Verify the log up to its present head; writers may continue in the meantime.

    Raises LogCorrupt, NotALog or another error of the log if not even the head can be read.
    """
    scan = log.scan()
    beginning = scan.begin()
    head = beginning.head
    findings = Findings()
    _check_beginning(beginning, findings)
    indexes = (
        IndexesPass(scan, scan.indexes, head.position, findings)
        if scan.indexes is not None
        else None
    )
    keys = KeysPass(beginning.keys, findings) if beginning.keys is not None else None
    version = VersionPass(beginning.version, findings)
    times = TimesPass(beginning.times, head, clock(), findings)
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
        version.see(rows)
        times.see(rows)
        stepped(len(rows))

    rows = RowsPass(scan, head, sorted(kept), findings, seen)
    rows.run()
    version.run()
    times.run(rows.recorded_at)
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


def _check_beginning(beginning: Beginning, findings: Findings) -> None:
    head = beginning.head
    if head.size != head.position:
        findings.about_log(
            Kind.CHANGED,
            f"the head counts {head.size} events, but its last position is {head.position}",
        )
    for name in beginning.altered:
        findings.about_log(
            Kind.CHANGED,
            f"{name} differs from the one that runlore makes: reads could return anything",
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
                f"the mark of writer {writer_id!s:.80}'s spool names position {position!s:.20}, "
                "where there is no event",
            )
