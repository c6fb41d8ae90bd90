"""Starting a queued run because the user says so, although this user did not submit it here.

After a restart of the machine, or in a copied workspace, a queued run waits for this: what its log
says may be anybody's.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from runlore.domain.definition import Definition
from runlore.domain.errors import UserError
from runlore.domain.status import Status
from runlore.engine.runs.handle import RunHandle
from runlore.exceptions import ExperimentExecutionException
from runlore.execution.launch import environment_for
from runlore.execution.targets.pool import Pool
from runlore.execution.targets.queue import digest_of_state


class QueuedWork(NamedTuple):
    """What a queued run would execute, as its log says now. `words` are for the shell if a text."""

    run_id: str
    submitted_by: str
    target: str
    words: list[str] | str
    definition: Definition
    snapshot_manifest: str
    digest: str


def queued_work(run: RunHandle) -> QueuedWork:
    """What a queued run would execute. Raises UserError if it does not wait in a pool's queue."""
    state = run.fetch()
    if state.status is not Status.QUEUED or state.definition is None:
        raise UserError(
            f"run {run.id} is {run.shown_status}, not Queued, so there is nothing to start; "
            f"`runlore run resubmit -r {run.id}` executes a submitted run again"
        )
    if Pool.of(run.session.writable(), state.target or "") is None:
        raise UserError(
            f"run {run.id} waits for compute target {state.target!r}, which is not a pool of this "
            "machine; it is started there"
        )
    try:
        definition = Definition.model_validate(state.definition)
        words = definition.words()
    except (ValueError, AssertionError) as error:  # A log may say anything.
        raise UserError(
            f"run {run.id} cannot be executed, as its definition in the log is damaged: {error}"
        ) from error
    return QueuedWork(
        run.id,
        run.session.journal.name_of(state.created_by, state.created_for),
        state.target or "",
        words,
        definition,
        state.snapshot_manifest or "",
        digest_of_state(state),
    )


def start_queued(run: RunHandle, work: QueuedWork) -> None:
    """Order that a queued run executes this work, as this user, with this process's environment.

    It starts now, or when its turn comes. Raises ExperimentExecutionException if a secret is
    missing, another user's process takes care of the run, or it cannot be started.
    """
    session = run.session.writable()
    session.require_held().folder.check_in_place()
    pool = Pool.of(session, work.target)
    if pool is None:
        raise ExperimentExecutionException(f"{work.target!r} is not a pool any more")
    owner = pool.queue.owner_of(run.id)
    if owner not in (None, os.geteuid()):
        raise ExperimentExecutionException(
            f"run {run.id} is of user {owner}, whose own processes start it; to execute the same "
            f"as yourself, submit it again: `runlore run resubmit -r {run.id}`"
        )
    missing = [name for name in work.definition.secret_variables if name not in os.environ]
    if missing:
        raise ExperimentExecutionException(
            f"run {run.id} was submitted with {', '.join(missing)}, whose values are kept nowhere; "
            "set them in this process's environment and start it again"
        )
    if work.definition.secret_arguments:
        raise ExperimentExecutionException(
            f"run {run.id} was submitted with the arguments "
            f"{', '.join(work.definition.secret_arguments)}, whose values are kept nowhere; cancel "
            "it, and submit its script with them anew"
        )
    secrets = {name: os.environ[name] for name in work.definition.secret_variables}
    overrides = {**work.definition.environment_variables, **secrets}
    placement = pool.prepare(run.id, environment_for(overrides, work.digest), work.definition)
    try:
        placement.announce()
    except BaseException:
        placement.release()
        raise
    try:
        placement.place()
    except OSError as error:
        raise ExperimentExecutionException(
            f"run {run.id} waits on, as it could not be started: {error}", error
        ) from error
