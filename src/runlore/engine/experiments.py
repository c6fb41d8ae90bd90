"""Experiments whose names change: each name has a stream of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from runlore.domain.errors import ExperimentNotFound
from runlore.domain.events import ExperimentRenamed
from runlore.domain.experiment import (
    ExperimentState,
    NameState,
    Rename,
    decide,
    decide_arrival,
)
from runlore.domain.ids import owner_of
from runlore.engine.streams import ExperimentStream, stream_of_experiment
from runlore.storage.errors import VersionConflict
from runlore.storage.journal import Pending

if TYPE_CHECKING:
    from runlore.engine.session import Session

_ROUNDS: Final = 20
_RENAMES_MAX: Final = 1_000


def experiments_named(session: Session, names: ExperimentStream) -> NameState:
    """The experiments of a name, newly read.

    Those whose creation is damaged are known from their runs, which say what they belong to.
    """
    state = session.journal.refresh(names)
    if names.at.damage is None:
        return state
    missing = tuple(
        ExperimentState(
            experiment_id=row.experiment_id,
            name=row.name,
            created_at=row.created_at,
            archived_at=row.archived_at,
        )
        for row in session.reader().experiments(view="all", name=owner_of(names.stream))
        if state.get(row.experiment_id) is None
    )
    state = replace(state, experiments=(*missing, *state.experiments))
    names.at = names.at._replace(state=state)
    return state


def current_names(
    session: Session, names: ExperimentStream, experiment_id: str
) -> ExperimentStream:
    """The newest stream of the name that an experiment has now, from that of an earlier name.

    Raises ExperimentNotFound if the experiment never had that name.
    """
    for _ in range(_RENAMES_MAX):
        held = experiments_named(session, names).get(experiment_id)
        if held is None:
            raise ExperimentNotFound(experiment_id, f"workspace {session.workspace.name!r}")
        if held.renamed_to is None:
            return names
        names = stream_of_experiment(held.renamed_to)
    raise ExperimentNotFound(experiment_id, f"{_RENAMES_MAX} names that each lead to another one")


def current_name(session: Session, name: str, experiment_id: str) -> str:
    """The name that an experiment has now (in a session of the past: had then), by an earlier one.

    The given name if the log does not hold the experiment.
    """
    try:
        return owner_of(current_names(session, stream_of_experiment(name), experiment_id).stream)
    except ExperimentNotFound:
        return name


def rename_experiment(
    session: Session, names: ExperimentStream, experiment_id: str, name: str
) -> ExperimentStream:
    """Give an experiment another name, in the streams of both names in one commit.

    Returns the stream of the new name. Raises AlreadyExists if the name is taken; InvalidInput for
    an archived experiment or an invalid name.
    """
    session = session.writable()
    for last in [*[False] * (_ROUNDS - 1), True]:
        leaves = current_names(session, names, experiment_id)
        events = decide(leaves.state, Rename(experiment_id, name)).events
        if not events:
            return leaves
        [renamed] = events
        assert isinstance(renamed, ExperimentRenamed), "it is what a rename decides"
        arrives = stream_of_experiment(name)
        session.journal.refresh(arrives)
        pending = [
            Pending(leaves.stream, leaves.version + 1, renamed),
            *[
                Pending(arrives.stream, arrives.version + 1, event)
                for event in decide_arrival(arrives.state, renamed).events
            ],
        ]
        try:
            session.journal.append(pending)
        except VersionConflict:  # Another process changed one of the experiments: decide anew.
            if last:
                raise
            continue
        session.journal.refresh(arrives)
        return arrives
    raise AssertionError("the last round returns or raises")
