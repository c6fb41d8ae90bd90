"""What of a log is exported: runs, by id, experiment or time, with all that explains them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import ExperimentNotFound, InvalidInput, InvalidType
from runlore.domain.ids import (
    WORKSPACE_STREAM,
    check_experiment_name,
    experiment_stream,
    run_id_of,
    run_stream,
    writer_stream,
)
from runlore.engine.runs.handle import RunHandle
from runlore.projections.filters import RunFilter
from runlore.storage.codec import facts_of
from runlore.storage.errors import LogCorrupt
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.engine.session import Session
    from runlore.storage.event_log import EventLog, StoredRow

PAGE: Final = 10_000
Moment = datetime | int
"""An aware time, or a position of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which runs: all of those that every given condition fits. None given is the whole log.

    `run` is an id; its descendants belong to it unless `descendants` is False. `experiment` is a
    name, with all experiments that ever had it. `since` and `until` choose the runs that
    anything happened to from then, or up to then; of each run all events are taken.
    """

    run: str | None = None
    descendants: bool = True
    experiment: str | None = None
    since: Moment | None = None
    until: Moment | None = None

    @property
    def is_everything(self) -> bool:
        """Whether it leaves nothing out."""
        return self == replace(EVERYTHING, descendants=self.descendants)

    def said(self) -> dict[str, Any]:
        """The selection as the manifest says it."""
        found: dict[str, Any] = {
            name: said.isoformat() if isinstance(said, datetime) else said
            for name in ("run", "experiment", "since", "until")
            if (said := getattr(self, name)) is not None
        }
        return found if self.run is None else {**found, "descendants": self.descendants}


EVERYTHING: Final = Selection()


def selected_positions(session: Session, selection: Selection, upto_position: int) -> Sequence[int]:
    """The positions of the selected events, ascending, of the log up to a position.

    Those of the runs, of their experiments, of the writers that they name, and the workspace's.
    Raises RunNotFound, ExperimentNotFound; InvalidInput, InvalidType for conditions of no sense.
    """
    if selection.is_everything:
        return range(1, upto_position + 1)
    # Eight bytes for each event.
    found, writers = array("q"), set[str]()

    def take(streams: Iterable[str]) -> set[str]:
        """Takes the events of the streams; returns the streams of the experiments of their runs."""
        positions = array("q")
        for stream in streams:
            positions.extend(
                session.log.positions_of(LogQuery(under=stream, upto_position=upto_position))
            )
        _sort(positions)
        experiments = set()
        for rows in rows_at(session.log, positions):
            for fact in facts_of(row[:-1] for row in rows):
                if fact.writer_id is not None:
                    writers.add(writer_stream(fact.writer_id))
                if fact.topic == "run.created" and fact.data is not None:
                    experiments.add(experiment_stream(fact.data["experiment_name"]))
        found.extend(positions)
        return experiments

    experiments = take(map(run_stream, selected_runs(session, selection, upto_position)))
    take([WORKSPACE_STREAM, *experiments])
    take(sorted(writers))
    _sort(found)
    return found


def _sort(positions: array[int]) -> None:
    """Sorts them where they are: a list would take ten times the memory."""
    import numpy as np

    if positions:
        np.frombuffer(positions, np.int64).sort()


def rows_at(log: EventLog, positions: Sequence[int]) -> Iterator[Sequence[StoredRow]]:
    """The rows at these positions, which ascend, a page at a time.

    Raises LogCorrupt if the log lacks one of them.
    """
    for first, last in _stretches(positions):
        while first <= last:
            rows = log.read_log(LogQuery(after_position=first - 1, limit=PAGE, upto_position=last))
            if not rows or rows[-1].position - first + 1 != len(rows):
                raise LogCorrupt(
                    f"the log lacks events at positions {first} to {last}; look at it with "
                    "`runlore audit verify`"
                )
            first = rows[-1].position + 1
            yield rows


def _stretches(positions: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of positions that follow each other."""
    if isinstance(positions, range):
        if positions:
            yield positions[0], positions[-1]
        return
    for _, stretch in groupby(enumerate(positions), lambda one: one[1] - one[0]):
        members = [position for _, position in stretch]
        yield members[0], members[-1]


def selected_runs(session: Session, selection: Selection, upto_position: int) -> set[str]:
    """The ids of the selected runs, by three questions of which each narrows the one before.

    Raises as `selected_positions`.
    """
    reader = session.reader().at(upto_position)
    found: set[str] | None = None

    def narrow(ids: Iterable[str]) -> None:
        nonlocal found
        found = set(ids) if found is None else found.intersection(ids)

    if selection.run is not None:
        RunHandle.existing(session, selection.run)
        below: Iterable[Any] = ()
        if selection.descendants:
            below = reader.runs(RunFilter(below_run=selection.run, include_children=True))
        narrow([selection.run, *(row.run_id for row in below)])
    if selection.experiment is not None:
        narrow(runs_of_experiment(session, selection.experiment, upto_position))
    if selection.since is not None or selection.until is not None:
        narrow(_runs_between(session, selection.since, selection.until, upto_position))
    assert found is not None, "a selection of everything is not asked for its runs"
    return found


def runs_of_experiment(session: Session, name: str, upto_position: int) -> Iterable[str]:
    """The ids of the runs of all experiments that ever had the name, newest first in each.

    Raises ExperimentNotFound.
    """
    reader = session.reader().at(upto_position)
    found = reader.experiments(view="all", name=check_experiment_name(name))
    ids = [row.experiment_id for row in found]
    if not ids:
        raise ExperimentNotFound(name, f"workspace {session.workspace.name!r}")
    for experiment_id in ids:
        for row in reader.runs(RunFilter(experiment_id=experiment_id, include_children=True)):
            yield row.run_id


def _runs_between(
    session: Session, since: Moment | None, until: Moment | None, upto_position: int
) -> Iterable[str]:
    first = 1 if since is None else _first_position(session, since)
    last = upto_position if until is None else _last_position(session, until)
    position = first - 1
    while rows := session.log.read_plain(
        LogQuery(after_position=position, limit=PAGE, upto_position=min(last, upto_position))
    ):
        position = rows[-1][0]
        for row in rows:
            run_id = run_id_of(row[1])
            if run_id is not None:
                yield run_id


def _first_position(session: Session, since: Moment) -> int:
    if isinstance(since, datetime):
        return session.log.position_at(_microseconds("since", since) - 1) + 1
    return _position("since", since)


def _last_position(session: Session, until: Moment) -> int:
    if isinstance(until, datetime):
        return session.log.position_at(_microseconds("until", until))
    return _position("until", until)


def _position(name: str, given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidType(
            f"{name} takes an aware datetime or a position, got {type(given).__name__} {given!r}"
        )
    if given < 0:
        raise InvalidInput(f"{name} is {given}; positions start at 1")
    return given


def _microseconds(name: str, time: datetime) -> int:
    if time.tzinfo is None:
        raise InvalidInput(
            f"{name} is {time.isoformat()} without a time zone; add one, such as tzinfo=UTC"
        )
    since_1970 = time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_1970.days * 86_400 + since_1970.seconds) * 1_000_000 + since_1970.microseconds
