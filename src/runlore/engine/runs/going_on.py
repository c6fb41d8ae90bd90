"""What happens to a run after its end, and what is said of it: resume, rewind, archive, config."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from runlore.domain.run_commands import (
    AddConfig,
    ArchiveRun,
    CorrectConfig,
    ReactivateRun,
    ResumeRun,
    RewindRun,
)
from runlore.engine.capture.parts import Part, parts_of
from runlore.engine.participants.others import others_in
from runlore.engine.runs.handle import RunHandle
from runlore.storage.interruptions import deferrable
from runlore.storage.participants import remove_part


@deferrable
def resume(run: RunHandle, reason: str) -> None:
    """Let a run that has ended go on in this process; does nothing if it is executing.

    Its last end stays in its history, and automatic steps go on after the last ones. Processes that
    took part before and are gone count no more. Raises InvalidInput for a submitted run.
    """
    session = run.session.writable()
    facts = run.change(ResumeRun(reason), flush_values=True, reason=reason)
    if not facts:
        return
    state, resumed_at = run.fetch(), facts[-1].observed_at
    if session.held is not None:
        for other in others_in(session.held, session.journal, state):
            # One that joined since then, and left, has an outcome in the run that goes on.
            if not other.is_alive and other.joined_at < resumed_at:
                remove_part(session.held, run.id, other.writer_id, wipe=session.erasable)
    session.participation.resume(run.id)
    session.go_on(run.id)
    if Part.SYSTEM in parts_of(None, session.captures.parts_of(run.id), os.environ):
        session.sample_system(run.id)


@deferrable
def rewind(run: RunHandle, step: int) -> None:
    """Void the values of later steps, as when training goes on from a checkpoint of this step.

    Values that this process logged before the call are void as well; those that another process
    still holds count as logged after it. Automatic steps go on after the last one that is left.
    """
    session = run.session.writable()
    run.change(RewindRun(step), flush_values=True)
    session.go_on(run.id)


def archive(run: RunHandle, reason: str | None = None) -> None:
    """Hide a run from lists. It can be read and written as before."""
    run.change(ArchiveRun(), reason=reason)


def reactivate(run: RunHandle, reason: str | None = None) -> None:
    """Show an archived run in lists again."""
    run.change(ReactivateRun(), reason=reason)


def add_config(run: RunHandle, config: Mapping[str, Any]) -> None:
    """Give the run's config keys, nested as JSON: all, or none if one has another value.

    Raises ConfigConflict, InvalidInput or InvalidType.
    """
    run.change(AddConfig(config))


def correct_config(run: RunHandle, key: str, value: Any, reason: str) -> None:
    """Replace the wrong value of a flattened key; the log keeps the old one, and the reason."""
    run.change(CorrectConfig(key, value, reason), reason=reason)
