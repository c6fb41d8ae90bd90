"""The streams with a state: those of runs, experiment names, compute targets and saved views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runlore.domain import compute_target, experiment, run_state, view
from runlore.domain.ids import (
    check_view_name,
    compute_target_stream,
    experiment_stream,
    run_stream,
    view_stream,
)
from runlore.storage.journal import StreamState

if TYPE_CHECKING:
    from runlore.engine.session import Session

RunStream = StreamState[run_state.RunState | None]
ExperimentStream = StreamState[experiment.NameState]
TargetStream = StreamState[compute_target.TargetState | None]
ViewStream = StreamState[view.ViewState | None]


def stream_of_run(run_id: str) -> RunStream:
    """A run's stream, not read yet."""
    return StreamState(run_stream(run_id), run_state.fold, None)


def stream_of_experiment(name: str) -> ExperimentStream:
    """The stream of an experiment's name, not read yet."""
    return StreamState(experiment_stream(name), experiment.fold, experiment.NameState())


def stream_of_target(name: str) -> TargetStream:
    """The stream of a compute target's name, not read yet."""
    return StreamState(compute_target_stream(name), compute_target.fold, None)


def stream_of_view(name: str) -> ViewStream:
    """The stream of a saved view's name, not read yet."""
    return StreamState(view_stream(name), view.fold, None)


def saved_view(session: Session, name: str) -> view.ViewState | None:
    """The view that a name stands for, newly read; None if there is none."""
    return session.journal.refresh(stream_of_view(name))


def change_experiment(
    session: Session, stream: ExperimentStream, command: experiment.Command
) -> None:
    """Run a command on the experiments of a name."""
    session.writable().change(stream, lambda state: experiment.decide(state, command))


def change_target(session: Session, stream: TargetStream, command: compute_target.Command) -> None:
    """Run a command on a compute target."""
    session.writable().change(stream, lambda state: compute_target.decide(state, command))


def change_view(session: Session, command: view.Command) -> None:
    """Save or delete the view of a name. Raises InvalidInput for its name or definition."""
    stream = stream_of_view(check_view_name(command.name))
    session.writable().change(stream, lambda state: view.decide(state, command))
