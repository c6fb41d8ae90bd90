"""Compute targets: what is attached under a name."""

from __future__ import annotations

import pytest

from runlore.domain.compute_target import AttachTarget, DeleteTarget, TargetState, decide, fold
from runlore.domain.errors import InvalidInput
from runlore.domain.events import ComputeTargetAttached, ComputeTargetDeleted
from tests.strategies import fact_of_event

ATTACHED = ComputeTargetAttached(name="gpu", type="pool", settings={"slots": 2})
POOL = TargetState("gpu", "pool", {"slots": 2})


def test_attaching_and_deleting_fold_into_what_is_there() -> None:
    assert fold(None, [fact_of_event(ATTACHED, 1)]) == POOL
    assert fold(POOL, [fact_of_event(ComputeTargetDeleted(name="gpu"), 2)]) is None


def test_events_of_a_newer_runlore_are_passed_over() -> None:
    newer = fact_of_event(ATTACHED, 2)._replace(data=None)
    other = fact_of_event(ATTACHED, 3)._replace(topic="compute_target.of_tomorrow")

    assert fold(POOL, [newer, other]) == POOL
    assert fold(None, [newer]) is None


def test_only_what_changes_something_is_recorded() -> None:
    attach = AttachTarget("gpu", "pool", {"slots": 2})

    assert decide(None, attach).events == (ATTACHED,)
    assert decide(POOL, attach).events == ()
    assert decide(POOL, AttachTarget("gpu", "pool", {"slots": 3})).events != ()
    assert decide(POOL, DeleteTarget("gpu")).events == (ComputeTargetDeleted(name="gpu"),)
    assert decide(None, DeleteTarget("gpu")).events == ()


def test_the_built_in_target_stays() -> None:
    for command in (AttachTarget("local", "pool", {}), DeleteTarget("local")):
        with pytest.raises(InvalidInput, match="built in and cannot be changed"):
            decide(None, command)
