"""`init(resume=...)`: the run that goes on, found by its id or by its display name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from runlore.domain.errors import (
    AlreadyExists,
    ExperimentNotFound,
    InvalidInput,
    NotFound,
    RunNotFound,
)
from runlore.domain.filtering.expressions import Value
from runlore.engine.runs.ending import has_ended
from runlore.engine.runs.going_on import resume as resume_run
from runlore.engine.runs.leaving import settle
from runlore.experiment import Experiment
from runlore.projections.filters import RunFilter
from runlore.run.run import Run, handle_of
from runlore.workspace import Workspace, session_of

Resume = Literal["allow", "must", "never"]

_CHOICES: Final = ("allow", "must", "never")


def check_resume(resume: str | None, run_id: str | None, name: str | None) -> None:
    """Raise InvalidInput for another choice, and for one of which no run is named."""
    if resume is not None and resume not in _CHOICES:
        raise InvalidInput(
            f"resume={resume!r:.80} is not known; it takes 'allow' (go on with the run if there "
            "is one), 'must' (it has to exist) or 'never' (it must not exist)"
        )
    if resume is not None and run_id is None and name is None:
        raise InvalidInput(
            f"resume={resume!r} does not say which run; give run_id, or the name that its "
            "init(name=...) had"
        )


def run_to_resume(
    workspace: Workspace,
    experiment: str,
    resume: Resume | None,
    run_id: str | None,
    name: str | None,
) -> Run | None:
    """The run that is to go on; None if a new one is to be started.

    By its id, in whichever experiment it is; else the newest one of this display name in the
    experiment that is neither archived nor a child. Raises NotFound if it must exist and does not,
    AlreadyExists if it must not and does.
    """
    if resume is None:
        return None
    found = (
        _by_id(workspace, run_id)
        if run_id is not None
        else _newest_named(workspace, experiment, name or "")
    )
    if resume == "must" and found is None:
        if run_id is not None:
            raise RunNotFound(run_id, f"workspace {workspace.name!r}")
        raise NotFound(
            f"no run named {name!r} in experiment {experiment!r}, and resume='must'; "
            "resume='allow' starts one"
        )
    if resume == "never" and found is not None:
        raise AlreadyExists(
            f"run {found.id} exists, and resume='never'; go on with it by resume='allow', or give "
            "the new run another id or name"
        )
    return found


def go_on(run: Run, reason: str, add: Callable[[], None], *, end_at_exit: bool) -> None:
    """Take part in a run, which is resumed if it has ended, after `add` was called.

    So what cannot be added leaves the run as it is.
    """
    handle = handle_of(run)
    add()
    if settle(handle):  # Its process may be dead, and nobody has noticed yet.
        resume_run(handle, reason)
    handle.join()  # Another process may have resumed it.
    if has_ended(handle):  # Its last process left before it could see this one.
        resume_run(handle, reason)
    handle.end_with_process(end_at_exit)


def _by_id(workspace: Workspace, run_id: str) -> Run | None:
    try:
        return Run.get(workspace, run_id)
    except RunNotFound:
        return None


def _newest_named(workspace: Workspace, experiment: str, name: str) -> Run | None:
    try:
        parent = Experiment.find(workspace, experiment)
    except ExperimentNotFound:
        return None
    which = RunFilter(experiment_id=parent.id, where=f"name = {Value.quoted_text(name)}")
    row = next(iter(session_of(workspace).reader().runs(which)), None)
    return None if row is None else Run.get(workspace, row.run_id)
