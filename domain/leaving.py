"""The end of a run whose processes leave one by one, and the signs that it is alive. Pure.

Several processes may take part in a run. The last one that leaves it writes the run's end, and the
worst of their ends wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from runlore.domain.decision import Decision
from runlore.domain.events import Event, RunStarted
from runlore.domain.fact import Fact
from runlore.domain.run import (
    decide,
)
from runlore.domain.run_commands import (
    Alert,
    ArchiveRun,
    BeginRun,
    ChangeStatus,
    Command,
    CreateRun,
    EndRun,
    EraseRun,
    FindRun,
    LoseRun,
    ReactivateRun,
    RequestCancel,
    ResumeRun,
)
from runlore.domain.run_state import RunState, fold
from runlore.domain.status import Status

_WORST_FIRST: Final = (Status.FAILED, Status.CANCELED, Status.COMPLETED)
_BEGIN_NOTHING: Final = (
    ArchiveRun,
    BeginRun,
    CreateRun,
    EraseRun,
    FindRun,
    LoseRun,
    ReactivateRun,
    RequestCancel,
    ResumeRun,
)


class Outcome(NamedTuple):
    """How a process left a run, at a time of its clock (µs since 1970 UTC)."""

    status: Status
    error: Mapping[str, str] | None
    at: int


class Death(NamedTuple):
    """A process that died without leaving the run: the text for people, and the evidence."""

    message: str
    evidence: Mapping[str, str | int | None]


def end_of(outcomes: Iterable[Outcome], deaths: Sequence[Death]) -> EndRun | LoseRun | None:
    """The command that ends a run of which no process is left; None if nothing is known.

    Failed is worse than Canceled, and Canceled than Completed; of several that failed, the first
    one tells why. A death counts as Failed, but an outcome says more: others often fail because a
    process died.
    """
    by_time = sorted(outcomes, key=lambda outcome: outcome.at)
    worst = min(by_time, key=lambda outcome: _WORST_FIRST.index(outcome.status), default=None)
    if deaths and (worst is None or worst.status is not Status.FAILED):
        return LoseRun(*deaths[0])
    return None if worst is None else EndRun(worst.status, worst.error)


def reason_of(end: EndRun | LoseRun) -> str | None:
    """The reason of an end that the run's history shows: why it was canceled."""
    if isinstance(end, EndRun) and end.status is Status.CANCELED and end.error:
        return end.error.get("message")
    return None


def is_wrongly_lost(state: RunState, since: int | None, left_at: int | None = None) -> bool:
    """Whether a run counts as lost while a process is alive that took part before the loss.

    The process takes part since then (µs since 1970 UTC); None if it does not. After `left_at` it
    has said how it left, so whoever records a loss knows of it. A submitted run stays lost: its
    supervisor is gone, and nobody else can end it.
    """
    if since is None or not state.lost or state.submitted:
        return False
    ended_at = state.ended_at
    return ended_at is None or (since <= ended_at and (left_at is None or ended_at < left_at))


def heard(state: RunState, since: int | None, left_at: int | None = None) -> tuple[Event, ...]:
    """The events that a sign of life of a run makes true, before whatever it brings.

    The sign is of a process that takes part since then (µs since 1970 UTC) until it left, or of
    somebody else (None). It undoes the loss of the run if the process took part before. Any sign
    begins a run that waits for it, now or when the process began to take part.
    """
    if is_wrongly_lost(state, since, left_at):
        return decide(state, FindRun(), None).events
    return decide(state, BeginRun(since), None).events if state.waits_to_begin else ()


def decide_heard(
    state: RunState | None,
    command: Command,
    writer_id: str | None,
    since: int | None,
    left_at: int | None = None,
) -> Decision:
    """The decision about a command that is a sign of life as well; times as for `heard`."""
    if state is None or state.erased:
        return decide(state, command, writer_id)
    first = heard(state, since, left_at)
    begins = any(isinstance(event, RunStarted) for event in first)
    if not first or (begins and _begins_nothing(command)):
        return decide(state, command, writer_id)
    decision = decide(_after(state, first), command, writer_id)
    if begins and not decision.events and command != ChangeStatus(Status.RUNNING):
        return decision
    return Decision((*first, *decision.events), decision.refused)


def _begins_nothing(command: Command) -> bool:
    if isinstance(command, ChangeStatus | EndRun) and command.status is Status.CANCELED:
        return True
    if isinstance(command, Alert) and command.found_by is not None:  # The run itself is silent.
        return True
    return isinstance(command, _BEGIN_NOTHING)


def _after(state: RunState, events: Iterable[Event]) -> RunState:
    """The state after events that are not in the log yet; the times in it are of no use."""
    facts = [
        Fact(0, "", state.version, event.topic, event.__dict__, None, 0, 0, None)
        for event in events
    ]
    after = fold(state, facts)
    assert after is not None, "it was created"
    return after
