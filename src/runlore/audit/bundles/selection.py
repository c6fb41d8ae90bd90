"""Which events are exported: runs, by id, experiment or time, with everything they refer to."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from runlore.domain.errors import ExperimentNotFound
from runlore.domain.events import ExperimentRenamed, RunCreated
from runlore.domain.ids import (
    WORKSPACE_STREAM,
    check_experiment_name,
    experiment_stream,
    run_id_of,
    run_stream,
    writer_stream,
)
from runlore.engine.moments import first_position_since, parsed, position_in
from runlore.engine.runs.handle import RunHandle
from runlore.projections.filters import RunFilter
from runlore.storage.codec import facts_of
from runlore.storage.errors import LogCorrupt
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.engine.moments import Moment
    from runlore.engine.session import Session
    from runlore.storage.event_log import EventLog, StoredRow

PAGE: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The runs that meet every given condition; without conditions, the whole log.

    `run` is an id; its descendants are included unless `descendants` is False. `experiment` is a
    name, and means all experiments that ever had it. `since` and `until` select the runs with an
    event at or after, or at or before, that moment; all events of these runs are taken.
    """

    run: str | None = None
    descendants: bool = True
    experiment: str | None = None
    since: Moment | None = None
    until: Moment | None = None

    @property
    def is_everything(self) -> bool:
        """Whether there are no conditions."""
        return self == replace(EVERYTHING, descendants=self.descendants)

    def span(self, session: Session) -> tuple[int, int | None] | None:
        """The first and last position of `since` to `until`; None if neither is given.

        The last is None if `until` is. Raises as `position_of` does.
        """
        if self.since is None and self.until is None:
            return None
        first = 1 if self.since is None else first_position_since(session, self.since)
        return first, None if self.until is None else position_in(session, self.until)

    def resolved(self, log: EventLog) -> Selection:
        """The same with each moment as a time or a position: `2 hours ago` counts from this call.

        Raises as `parsed` does.
        """
        return replace(
            self,
            since=None if self.since is None else parsed(log, self.since),
            until=None if self.until is None else parsed(log, self.until),
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON, of a resolved selection: moments as a time or a position."""
        values: dict[str, Any] = {
            "run": self.run,
            "experiment": self.experiment,
            "since": self.since,
            "until": self.until,
        }
        given = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in values.items()
            if value is not None
        }
        return given if self.run is None else {**given, "descendants": self.descendants}


EVERYTHING: Final = Selection()


def selected_positions(session: Session, selection: Selection, upto_position: int) -> Sequence[int]:
    """The positions of the selected events, ascending, up to a position of the log.

    These are the events of the runs, of their experiments, of the writers that they name, and of
    the workspace. Raises RunNotFound, ExperimentNotFound, and as `position_of` does.
    """
    if selection.is_everything:
        return range(1, upto_position + 1)
    # Eight bytes for each event.
    selected, writers = array("q"), set[str]()

    def take(streams: Iterable[str]) -> set[str]:
        """Takes the events of the streams; returns the streams of their runs' experiments, and
        of the other names of their experiments."""
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
                if fact.topic == RunCreated.topic and fact.data is not None:
                    experiments.add(experiment_stream(fact.data["experiment_name"]))
                elif fact.topic == ExperimentRenamed.topic and fact.data is not None:
                    for name in (fact.data["previous"], fact.data["name"]):
                        experiments.add(experiment_stream(name))
        selected.extend(positions)
        return experiments

    experiments = take(map(run_stream, selected_runs(session, selection, upto_position)))
    taken = {WORKSPACE_STREAM}
    take(taken)
    while experiments := experiments - taken:
        taken |= experiments
        experiments = take(sorted(experiments))
    take(sorted(writers))
    _sort(selected)
    return selected


def _sort(positions: array[int]) -> None:
    """Sorts in place: a list would take ten times the memory."""
    import numpy as np

    if positions:
        np.frombuffer(positions, np.int64).sort()


def rows_at(log: EventLog, positions: Sequence[int]) -> Iterator[Sequence[StoredRow]]:
    """The rows at these ascending positions, a page at a time.

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
    """The first and last position of each run of consecutive positions."""
    if isinstance(positions, range):
        if positions:
            yield positions[0], positions[-1]
        return
    # Consecutive positions differ from their index by the same number.
    for _, stretch in groupby(enumerate(positions), lambda numbered: numbered[1] - numbered[0]):
        members = [position for _, position in stretch]
        yield members[0], members[-1]


def selected_runs(session: Session, selection: Selection, upto_position: int) -> set[str]:
    """The ids of the runs that meet all conditions of a selection, which must have one.

    Raises as `selected_positions` does.
    """
    reader = session.reader().at(upto_position)
    found: list[set[str]] = []
    if selection.run is not None:
        RunHandle.existing(session, selection.run)
        below: Iterable[Any] = ()
        if selection.descendants:
            below = reader.runs(RunFilter(below_run=selection.run, include_children=True))
        found.append({selection.run, *(row.run_id for row in below)})
    if selection.experiment is not None:
        found.append(set(runs_of_experiment(session, selection.experiment, upto_position)))
    span = selection.span(session)
    if span is not None:
        first, last = span
        last = upto_position if last is None else min(last, upto_position)
        found.append(set(_runs_between(session, first, last)))
    return set.intersection(*found)


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
        which = RunFilter(experiment_id=experiment_id, include_children=True, include_archived=True)
        for row in reader.runs(which):
            yield row.run_id


def _runs_between(session: Session, first: int, last: int) -> Iterator[str]:
    """The ids of the runs with an event at these positions, repeatedly."""
    position = first - 1
    while rows := session.log.read_plain(
        LogQuery(after_position=position, limit=PAGE, upto_position=last)
    ):
        position = rows[-1][0]
        for row in rows:
            run_id = run_id_of(row[1])
            if run_id is not None:
                yield run_id
