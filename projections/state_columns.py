"""The columns of `run_states` that go on from one row of a run to the next, and how they change.

The same fold as in `runlore.domain.run_state`, of a tuple instead of a whole state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, cast

from runlore.domain.status import Status

RUNNING: Final = str(Status.RUNNING)


class StateColumns(NamedTuple):
    """A run's newest state; see `schema.sql`. `ended_at` is None while the run has not ended."""

    status: str
    status_detail: str | None
    started_at: int | None
    ended_at: int | None
    ended_position: int | None
    display_name: str | None
    description: str | None
    error: str | None
    begun_at: int
    last_ended_at: int | None
    running_since: int | None
    ran_us: int
    archived_at: int | None
    before_loss: str | None


state_of: Final = cast(
    "Callable[[Iterable[Any]], StateColumns]", partial(tuple.__new__, StateColumns)
)
"""The state of all its columns. As `StateColumns._make`, in a third of the time: it is made for
each event that starts or ends a run."""


def first_state(data: Mapping[str, Any], at: int, *, erased: bool) -> StateColumns:
    """The state that a run is created in; one that was erased is created with its times."""
    status = data["status"]
    since = data["given_at"]
    if since is None and status == RUNNING and data["begun"]:
        since = at
    started_at, ended_at, ran_us = since, None, 0
    if erased:
        started_at, ended_at = data["started_at"], data["ended_at"]
        if started_at is not None and ended_at is not None:
            ran_us = max(0, ended_at - started_at)
    begun_at = at if started_at is None else started_at
    name, text = data["display_name"], data["description"]
    # fmt: off
    return state_of((
        status, None, started_at, ended_at, None, name, text, None, begun_at,
        None, since, ran_us, None, None,
    ))
    # fmt: on


# Each of these two runs for a good part of all events: a tuple with a star in it takes twice as
# long to make.
# fmt: off


def with_status(state: StateColumns, status: str, detail: str | None, at: int) -> StateColumns:
    """The state after a change of the status that does not end the run."""
    (
        _, _, started_at, ended_at, ended, name, text, error, begun_at,
        last, since, ran_us, archived_at, before_loss,
    ) = state
    if status == RUNNING and started_at is None:
        started_at = begun_at = since = at
    return state_of((
        status, detail, started_at, ended_at, ended, name, text, error, begun_at,
        last, since, ran_us, archived_at, before_loss,
    ))


def ended(
    state: StateColumns, status: str, error: str | None, at: int, position: int
) -> StateColumns:
    """The state after an end."""
    (
        _, detail, started_at, _, _, name, text, _, begun_at,
        _, since, ran_us, archived_at, before_loss,
    ) = state
    if since is not None:
        ran_us += max(0, at - since)
    return state_of((
        status, detail, started_at, at, position, name, text, error, begun_at,
        None, None, ran_us, archived_at, before_loss,
    ))


# fmt: on


def lost(
    state: StateColumns, status: str, error: str | None, at: int, position: int
) -> StateColumns:
    """The state after a loss: an end that can be undone."""
    before = json.dumps([state.running_since, state.ran_us, _last_end(state)])
    return ended(state, status, error, at, position)._replace(before_loss=before)


def found(state: StateColumns, status: str, at: int) -> StateColumns:
    """The state after a loss was undone: the run executed all along."""
    since, ran_us, last_ended_at = state.running_since, state.ran_us, _last_end(state)
    if state.before_loss is not None:
        since, ran_us, last_ended_at = json.loads(state.before_loss)
    going_on = _going_on(state, since)._replace(ran_us=ran_us, last_ended_at=last_ended_at)
    return with_status(going_on, status, state.status_detail, at)


def resumed(state: StateColumns, at: int) -> StateColumns:
    """The state after an end was followed by another span in which the run executes."""
    return with_status(_going_on(state, at), RUNNING, state.status_detail, at)


def _going_on(state: StateColumns, since: int | None) -> StateColumns:
    return state._replace(
        ended_at=None,
        ended_position=None,
        error=None,
        last_ended_at=_last_end(state),
        running_since=since,
        before_loss=None,
    )


def _last_end(state: StateColumns) -> int | None:
    return state.last_ended_at if state.ended_at is None else state.ended_at
