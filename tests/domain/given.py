"""`given(events).when(command).then(events)`: a decision about a run in three steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from runlore.domain import run, run_commands
from runlore.domain.decision import Decision
from runlore.domain.errors import RunloreError
from runlore.domain.events import Event, RunCreated
from runlore.domain.run_state import RunState, fold
from runlore.domain.status import Status
from tests.strategies import fact_of_event

ALICE = "a" * 32
BOB = "b" * 32


def created(status: Status = Status.RUNNING, **fields: object) -> RunCreated:
    """The first event of run `r`."""
    names = {"run_id": "r", "experiment_id": "e", "experiment_name": "lab", "root_id": "r"}
    return RunCreated.of_stored({**names, "status": status, **fields})


def given(*events: Event, writer: str = ALICE) -> Given:
    """A run with these events, all of one writer."""
    facts = [fact_of_event(event, version, writer) for version, event in enumerate(events, 1)]
    return Given(fold(None, facts))


class Given:
    """A run's state, before a command."""

    def __init__(self, state: RunState | None) -> None:
        self.state = state

    def when(self, command: run_commands.Command, writer: str = ALICE) -> When:
        """Issue the command as this writer."""
        return When(self.state, lambda: run.decide(self.state, command, writer), writer)


class When:
    """A command and the state that it meets."""

    def __init__(self, state: RunState | None, decide: Callable[[], Decision], writer: str) -> None:
        self._state = state
        self._decide = decide
        self._writer = writer

    def then(self, *events: Event) -> Given:
        """The command is accepted, with exactly these events."""
        decision = self._decide()
        assert decision == Decision(events)
        return self._after(decision)

    def then_refused(self, error: type[RunloreError], *events: Event) -> Given:
        """The command is refused with this error, after exactly these events."""
        decision = self._decide()
        assert type(decision.refused) is error
        assert decision.events == events
        return self._after(decision)

    def events(self) -> tuple[Event, ...]:
        """The events with which the command is accepted."""
        decision = self._decide()
        assert decision.refused is None
        return decision.events

    def then_refusal(self) -> RunloreError:
        """The error with which the command is refused."""
        decision = self._decide()
        assert decision.refused is not None
        return decision.refused

    def then_raises(self, error: type[RunloreError], match: str) -> None:
        """The command is invalid: it raises, and nothing can be written."""
        with pytest.raises(error, match=match):
            self._decide()

    def _after(self, decision: Decision) -> Given:
        version = self._state.version if self._state else 0
        facts = [
            fact_of_event(event, number, self._writer)
            for number, event in enumerate(decision.events, version + 1)
        ]
        return Given(fold(self._state, facts))
