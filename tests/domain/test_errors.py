"""Errors: their messages, their standard base classes, and pickling."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

from runlore.domain import errors

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
EXAMPLES: tuple[errors.RunloreError, ...] = (
    errors.RunloreError("broken", ValueError("inner")),
    errors.InvalidInput("no"),
    errors.WorkspaceClosed("lab"),
    errors.PropertyConflict("r", "k", "1", "2", "w", NOON),
    errors.RunGone("r"),
    errors.NotErasable("lab"),
    errors.ErasureIncomplete(["r"], ["a spool"]),
    errors.RunEnded("r", "Failed", "Running"),
    errors.TransitionRefused("r", "Finalizing", "Running"),
    errors.RunNotFound("r", "workspace 'lab'"),
    errors.ExperimentNotFound("e", "workspace 'lab'"),
    errors.WorkspaceNotFound("nothing here"),
    errors.AlreadyExists("taken"),
)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_from_a_worker_process_as_it_was(error: errors.RunloreError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    assert {**vars(back), "inner_exception": None} == {**vars(error), "inner_exception": None}


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        (errors.MomentInFuture, {"asked": 2, "now": 1}),
        (
            errors.PropertyConflict,
            {
                **{"run_id": "r", "key": "k", "held": "1", "refused": "2", "held_by": "w"},
                **{"held_since": NOON, "correction": "a typo", "held_for": "ann"},
            },
        ),
        (
            errors.ConfigConflict,
            {"run_id": "r", "key": "k", "refused": "2", "held_key": "k", "held": "1"},
        ),
        (errors.RunGone, {"run_id": "r"}),
        (errors.RunNotFound, {"run_id": "r", "where": "w"}),
        (errors.ExperimentNotFound, {"wanted": "e", "where": "w"}),
        (errors.PastIsReadOnly, {"position": 7}),
        (errors.WorkspaceClosed, {"name": "lab"}),
        (errors.RunEnded, {"run_id": "r", "status": "Failed", "asked": "Running"}),
        (errors.TransitionRefused, {"run_id": "r", "status": "Finalizing", "asked": "Running"}),
    ],
)
def test_an_error_keeps_the_facts_that_it_tells(
    kind: type[errors.RunloreError], facts: dict[str, object]
) -> None:
    error = kind(**facts)  # type: ignore[arg-type]  # each kind has facts of its own
    kept = {name: value for name, value in facts.items() if name != "where"}
    assert {name: getattr(error, name) for name in kept} == kept


@pytest.mark.parametrize(
    ("kind", "standard"),
    [
        (errors.InvalidInput, ValueError),
        (errors.InvalidType, TypeError),
        (errors.NotFound, LookupError),
        (errors.PropertyConflict, errors.UserError),
    ],
)
def test_errors_are_also_what_callers_would_expect(
    kind: type[Exception], standard: type[Exception]
) -> None:
    assert issubclass(kind, errors.RunloreError)
    assert issubclass(kind, standard)


def test_a_conflict_can_give_its_holder_a_readable_name() -> None:
    conflict = errors.PropertyConflict("r", "k", "1", None, None, NOON)
    assert "set by an unknown writer at 2024-01-01" in str(conflict)
    named = conflict.attributed("ann@host (pid 7)")
    assert "set by ann@host (pid 7) at 2024-01-01" in str(named)
    assert (named.key, named.held, named.refused) == ("k", "1", None)
