"""Replay: what a workspace shows, compared row by row with what its log says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runlore.audit.bundles.checks import findings_of
from runlore.audit.bundles.file import open_bundle
from runlore.audit.bundles.format import EVENTS, BundleRefused, read_records
from runlore.domain.errors import InvalidInput, InvalidType
from runlore.domain.fact import utc_time
from runlore.domain.visible_text import visible
from runlore.engine.moments import position_in
from runlore.storage.handler_errors import raising_what_handlers_raise
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.engine.moments import Moment
    from runlore.engine.session import Session
    from runlore.projections.rebuild_check import Compared
    from runlore.storage.damage import DamagedEvent
    from runlore.storage.event_log import EventLog

MAX_MISMATCHES: Final = 1_000
"""How many mismatches a replay lists by default."""


@dataclass(frozen=True, slots=True)
class EventPlace:
    """The event that a row comes from."""

    position: int
    stream: str
    version: int
    topic: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class ReplayMismatch:
    """A value that is shown differently from what was logged.

    `of` says where: `live`, the tables that this process answers from, or a published
    `generation`. `key` names the row in its `table`. `column` is None if the whole row is missing
    or was never logged: then one of `shown` and `logged` is None and the other is the whole row.
    `event` is the event that the row comes from, or None if the log has none at its position.
    """

    of: str
    table: str
    key: Mapping[str, Any]
    column: str | None
    shown: Any
    logged: Any
    event: EventPlace | None

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value}" for name, value in self.key.items())
        place = f"{self.of}: table {self.table}, {key or 'all rows'}"
        if self.column is not None:
            problem = f"{self.column} is shown as {self.shown!r}, was logged as {self.logged!r}"
        elif self.logged is None:
            problem = f"a row is shown that was never logged: {self.shown!r}"
        else:
            problem = f"a row is missing: {self.logged!r}"
        if self.event is None:
            return visible(f"{place}: {problem}; no event of the log says so")
        source = f"{self.event.topic} at position {self.event.position} ({self.event.stream})"
        return visible(f"{place}: {problem}; the event is {source}")


@dataclass(frozen=True, slots=True)
class Replayed:
    """The result of a replay. It holds if there are no mismatches and no damaged events.

    `rows` counts the rows that were compared, by table; `left_out` names the tables that only
    have current values and so cannot be compared at an earlier position. `complete` is False if
    there may be more mismatches than are listed. `damaged` are the events of the log up to
    `position` that could not be decoded: nothing shows what they said.
    """

    position: int
    compared: tuple[str, ...]
    rows: Mapping[str, int]
    left_out: tuple[str, ...]
    mismatches: tuple[ReplayMismatch, ...]
    complete: bool
    damaged: tuple[DamagedEvent, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything is shown as it was logged."""
        return not self.mismatches and not self.damaged


def replay(
    session: Session,
    *,
    to: Moment | None = None,
    generations: bool = False,
    max_mismatches: int = MAX_MISMATCHES,
) -> Replayed:
    """Rebuild the tables that queries read, and compare each row with the tables in use.

    With `to`, both are taken as of that moment. With `generations`, the copies that new processes
    start from are compared as well. Takes about the time of a first catch-up, and the space of
    the tables in the temporary folder. Raises InvalidInput and MomentInFuture as `as_of` does.
    """
    # Imported here: it needs duckdb.
    from runlore.projections.rebuild_check import replay as replayed

    # The tables in use are the current ones, also if a past session asks.
    session = session.writable()
    position = None if to is None else position_in(session, to)
    with raising_what_handlers_raise():
        comparisons = list(
            replayed(
                session.reader().projection,
                session.log,
                upto_position=position,
                with_generations=generations,
                max_differences=_limit(max_mismatches),
            )
        )
    return replay_of(comparisons, session.log)


def replay_bundle(
    session: Session, path: str | PathLike[str], *, max_mismatches: int = MAX_MISMATCHES
) -> Replayed:
    """Compare what is shown with a bundle that was exported from this workspace.

    The rows are made from the bundle's events alone. Compared are those of its runs, experiments
    and writers, as of its export. Raises BundleRefused if anything is wrong with the bundle,
    InvalidInput if another workspace exported it.
    """
    from runlore.projections.rebuild_check import replay_part

    path = Path(path)
    session = session.writable()
    with open_bundle(path) as bundle:
        for finding in findings_of(bundle):
            raise BundleRefused(path, f"{finding.entry}: {finding.message}")
        source = bundle.manifest.workspace
        if source.id != session.workspace.workspace_id:
            raise InvalidInput(
                f"bundle {path} is of the workspace {source.name} ({source.id}), this one is "
                f"{session.workspace.workspace_id}: an import has other positions and times, so "
                "compare it where it was exported"
            )
        with bundle.open(EVENTS) as events, raising_what_handlers_raise():
            rows = (record.row for record in read_records(events))
            comparison = replay_part(
                session.reader().projection,
                rows,
                bundle.manifest.head.position,
                max_differences=_limit(max_mismatches),
            )
    return replay_of([comparison], session.log)


def replay_of(comparisons: Sequence[Compared], log: EventLog) -> Replayed:
    """The result of comparisons, the last of which is that of the live tables."""
    live = comparisons[-1]
    return Replayed(
        position=live.position,
        compared=tuple(comparison.of for comparison in comparisons),
        rows=live.rows,
        left_out=tuple(live.left_out),
        mismatches=tuple(_mismatches(comparisons, log)),
        complete=all(comparison.complete for comparison in comparisons),
        damaged=tuple(live.damaged),
    )


def _mismatches(comparisons: Sequence[Compared], log: EventLog) -> Iterator[ReplayMismatch]:
    for comparison in comparisons:
        for row in comparison.differences:
            event = _event(row.position, log)
            yield ReplayMismatch(
                comparison.of, row.table, row.key, row.column, row.shown, row.logged, event
            )


def _event(position: int | None, log: EventLog) -> EventPlace | None:
    if position is None:
        return None
    rows = log.read_log(LogQuery.at(position))
    return next(
        (
            EventPlace(row.position, row.stream, row.version, row.topic, utc_time(row.recorded_at))
            for row in rows
        ),
        None,
    )


def _limit(max_mismatches: int) -> int:
    if isinstance(max_mismatches, bool) or not isinstance(max_mismatches, int):
        raise InvalidType(f"max_mismatches must be a whole number, got {max_mismatches!r:.80}")
    if max_mismatches < 1:
        raise InvalidInput(f"max_mismatches is {max_mismatches}; it takes 1 or more")
    return max_mismatches
