"""Replay: what is shown of a workspace beside what its log says, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import InvalidInput, InvalidType
from runlore.domain.fact import utc_time
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.projections.rebuild_check import Compared
    from runlore.projections.table_mismatch import RowMismatch
    from runlore.storage.event_log import EventLog
    from runlore.workspace import Workspace

MAX_DIFFERENCES: Final = 1_000
"""How many differences are listed."""


@dataclass(frozen=True, slots=True)
class EventPlace:
    """The event that a row comes from."""

    position: int
    stream: str
    version: int
    topic: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is shown otherwise than it was logged.

    `of` says where: `live`, what this process answers from, or a published `generation`. `key`
    names the row in its `table`. `column` is None where the whole row is missing or too much:
    one of `shown` and `logged` is then None and the other all of the row. `event` is the one
    that the row comes from, or None if the log has none at that position.
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
            what = f"{self.column} is shown as {self.shown!r}, was logged as {self.logged!r}"
        elif self.logged is None:
            what = f"a row is shown that was never logged: {self.shown!r}"
        else:
            what = f"a row is missing: {self.logged!r}"
        if self.event is None:
            return f"{place}: {what}; no event of the log says so"
        by = f"{self.event.topic} at position {self.event.position} ({self.event.stream})"
        return f"{place}: {what}; the event is {by}"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found. It holds if there are no differences.

    `rows` counts the rows that were compared, by table; `left_out` names the tables that say
    only what is so now and cannot be compared at an earlier position. `complete` is False where
    there may be more differences than are listed.
    """

    position: int
    compared: tuple[str, ...]
    rows: Mapping[str, int]
    left_out: tuple[str, ...]
    differences: tuple[Difference, ...]
    complete: bool

    @property
    def holds(self) -> bool:
        """Whether all that is shown is what was logged."""
        return not self.differences


def replay(
    workspace: Workspace,
    *,
    to: int | None = None,
    generations: bool = False,
    max_differences: int = MAX_DIFFERENCES,
) -> Replayed:
    """Makes the tables that queries read from zero, and compares each row of those in use.

    With `to` both are taken as of that position of the log. With `generations` the copies that
    new processes start from are compared, too. Needs about the time of a first catch-up, and
    room for the tables in the temporary folder. Raises InvalidInput for a position or number
    of no sense.
    """
    from runlore.projections.rebuild_check import replay as replayed

    position = None if to is None else _whole_number("to", to, least=0)
    from runlore.workspace import session_of

    # The tables in use are of now, no matter as of when the workspace is asked.
    session = session_of(workspace).writable()
    found = list(
        replayed(
            session.reader().projection,
            session.log,
            upto_position=position,
            with_generations=generations,
            max_differences=_whole_number("max_differences", max_differences, least=1),
        )
    )
    return replay_of(found, session.log)


def replay_bundle(
    workspace: Workspace, path: str | PathLike[str], *, max_differences: int = MAX_DIFFERENCES
) -> Replayed:
    """Compares what is shown with what a bundle says that was exported from this workspace.

    Of the bundle's runs, experiments and writers, as of its export: each row that its events
    give, made from nothing else. Raises BundleRefused if anything is wrong with the bundle,
    InvalidInput if it is of another workspace.
    """
    from runlore.audit.bundles.checks import findings_of
    from runlore.audit.bundles.file import open_bundle
    from runlore.audit.bundles.format import EVENTS, BundleRefused, read_records
    from runlore.projections.rebuild_check import replay_part

    path = Path(path)
    from runlore.workspace import session_of

    session = session_of(workspace).writable()
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
        with bundle.open(EVENTS) as events:
            rows = (record.row for record in read_records(events))
            found = replay_part(
                session.reader().projection,
                rows,
                bundle.manifest.head.position,
                max_differences=max_differences,
            )
    return replay_of([found], session.log)


def replay_of(found: list[Compared], log: EventLog) -> Replayed:
    """The result of comparisons of which the last is that of the live tables."""
    live = found[-1]
    return Replayed(
        position=live.position,
        compared=tuple(one.of for one in found),
        rows=live.rows,
        left_out=tuple(live.left_out),
        differences=tuple(_told(found, log)),
        complete=all(one.complete for one in found),
    )


def _told(found: list[Compared], log: EventLog) -> Iterator[Difference]:
    for compared in found:
        for one in compared.differences:
            yield _difference(compared.of, one, log)


def _difference(of: str, one: RowMismatch, log: EventLog) -> Difference:
    return Difference(
        of, one.table, one.key, one.column, one.shown, one.logged, _event(one.position, log)
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


def _whole_number(name: str, given: object, *, least: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidType(f"{name} must be a whole number, got {type(given).__name__} {given!r}")
    if given < least:
        raise InvalidInput(f"{name} is {given}; the least that makes sense is {least}")
    return given
