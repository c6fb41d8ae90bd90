"""Leaving an interactive run: the last of its processes writes the end, and the worst end wins.

A process that leaves writes down how, then looks at the others. Whoever finds that nobody is left
ends the run, with the worst of what all wrote down. If several leave at the same moment, each may
find that, and the first event is the end: they decide the same, as each wrote before it looked. A
process that was killed holds nobody up, since its lock is free; one that left nothing behind makes
the run lost, with the evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Final

from runlore.domain.errors import RunloreError
from runlore.domain.events import RunLost
from runlore.domain.ids import run_stream
from runlore.domain.leaving import Death, Outcome, end_of, reason_of
from runlore.domain.run_state import RunState
from runlore.domain.status import TERMINAL, Status
from runlore.engine.caller_warning import warn_caller
from runlore.engine.participants.others import forget_outcomes, others_in, show_outcome
from runlore.engine.runs.ending import has_ended, keep_end, note_end
from runlore.engine.runs.files import keep_watched
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.logs import keep_console
from runlore.storage import interruptions
from runlore.storage.participants import Part, remove_parts

_ERROR_MAX_CHARS: Final = 100_000


def leave(run: RunHandle, status: Status, error: Mapping[str, str] | None = None) -> bool:
    """Leave a run with an outcome, and end it if no other process takes part any more.

    Keeps the watched folders and writes buffered values. Returns whether the run has ended. Does
    nothing but that in a process that does not execute the run: a reader, a forked child, or the
    script of a submitted run, whose supervisor ends it.

    If the log or the disk does not take it, the outcome stays in the spool with a warning, and
    whoever drains the spool records it. A call that interrupts another one keeps it there as well,
    and is put off.
    """
    error = None if error is None else {key: _storable(text) for key, text in error.items()}
    if interruptions.interrupts():
        note_end(run, status, error)
        interruptions.put_off(partial(leave, run, status, error))
        return False
    session = run.session.writable()
    own = Outcome(status, error, session.log.now_us())
    executes = session.participation.executes(run.id)
    try:
        _keep(run)
        if executes:
            return _leave(run, own)
        session.flush()
        return run.fetch().status in TERMINAL
    except Exception as problem:  # Whatever it is, the process ends: nothing can be tried again.
        if executes:
            keep_end(run, status, error)
        warn_caller(f"the end of run {run.id} is not recorded yet: {problem}", RuntimeWarning)
        return False


def _leave(run: RunHandle, own: Outcome) -> bool:
    session = run.session.writable()
    participation, state = session.participation, run.fetch()
    if state.submitted:
        session.flush()
        return state.status in TERMINAL
    others = others_in(session.held, session.journal, state)
    participation.leave(run.id, own.at)
    if others:
        # Before it looks again: of two that leave at once, at least one sees both outcomes.
        _show_outcome(run, own)
    ended = _settle(run, own)
    if not ended and not others:  # Another one has joined since the first look.
        _show_outcome(run, own)
        ended = _settle(run, own)
    if ended:
        participation.end(run.id)
    else:
        session.flush()
        participation.forget(run.id)
    return ended


def _show_outcome(run: RunHandle, own: Outcome) -> None:
    session = run.session.writable()
    session.flush()  # Whoever ends the run by this outcome ends it after the last values.
    since = session.participation.since(run.id) or own.at
    part = Part(session.journal.writer_id, since, outcome=own)
    show_outcome(session.held, session.log, run.id, part)


def settle(run: RunHandle, *, gone: Collection[str] = ()) -> bool:
    """End an interactive run that all of its processes left or died in; say whether it has ended.

    For recovery: a process may be killed before it writes how it leaves, or before it ends the run.
    A run whose processes all closed the workspace without leaving it goes on: nothing is known of
    it. `gone` are writers of another folder that this one was copied from, if that one is gone.
    """
    session = run.session.writable()
    if session.participation.since(run.id) is not None:
        return has_ended(run)
    return _settle(run, None, gone)


def _settle(run: RunHandle, own: Outcome | None, gone: Collection[str] = ()) -> bool:
    session = run.session.writable()
    state = run.fetch()
    if state.submitted or _is_over(state, own):
        return state.status in TERMINAL
    others = others_in(session.held, session.journal, state, gone=gone)
    if any(other.outcome is None and not other.may_be_alive for other in others):
        # What they had logged comes before the end, and their outcomes may be in their spools.
        session.recover_values(waits=True)
        others = others_in(session.held, session.journal, state, gone=gone)
    # A forked child does not hold up its parent's end, but it shows that the run is not lost.
    if any(other.may_be_alive and not (own and other.forked) for other in others):
        return run.fetch().status in TERMINAL  # One that left at the same moment may have ended it.
    outcomes = [other.outcome for other in others if other.outcome is not None]
    if own is not None:
        outcomes.append(own)
    deaths = [other.death for other in others if other.died]
    state = run.fetch()  # Another one may have ended it since the look at the others.
    if _is_over(state, own):
        return True
    if own is not None and state.lost:
        deaths += _death_told(run)
    command = end_of(outcomes, deaths)
    if command is None:
        return run.fetch().status in TERMINAL
    facts = run.change(command, flush_values=True, reason=reason_of(command))
    keep_console(run, of_dead=True)
    if session.held is not None:
        ended_at = max((fact.observed_at for fact in facts), default=None)
        remove_parts(session.held, run.id, ended_at=ended_at, wipe=session.erasable)
    forget_outcomes(session.log, run.id, others)
    return True


def _death_told(run: RunHandle) -> list[Death]:
    """The death of another process for which the log says that the run is lost.

    Whoever recorded it has removed its traces, and the loss is undone by who leaves after it.
    """
    journal = run.session.journal
    for fact in reversed(journal.facts(run_stream(run.id))):
        if fact.topic == RunLost.topic and fact.data is not None:
            error, evidence = fact.data["error"], fact.data["evidence"]
            of_another = evidence.get("writer") not in (None, journal.writer_id)
            return [Death(error.get("message", ""), evidence)] if of_another else []
    return []


def _is_over(state: RunState, own: Outcome | None) -> bool:
    """Whether a run has ended. A loss that was recorded before this process left is undone.

    Whoever recorded one afterwards knew the outcome of this process, and that another one died.
    """
    if state.status not in TERMINAL:
        return False
    return own is None or not state.lost or own.at <= (state.ended_at or 0)


def _keep(run: RunHandle) -> None:
    """Keep the watched folders. A problem must not keep the end from being written."""
    run.session.writable().settle_capture(run.id)
    keep_console(run)
    try:
        keep_watched(run)
    except (RunloreError, OSError) as problem:
        warn_caller(
            f"run {run.id} is left, but not all of its files were kept: {problem}", RuntimeWarning
        )


def _storable(text: str) -> str:
    """The end of a text, as the log takes it: a process that ends cannot correct its error."""
    return text[-_ERROR_MAX_CHARS:].encode("utf-8", "replace").decode()
