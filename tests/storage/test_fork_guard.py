"""Around a fork: everything lets go in order, and nothing stays behind if something fails."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from runlore.storage import fork_guard
from runlore.storage.fork_guard import ForkOrder
from tests.processes import in_child

pytestmark = pytest.mark.processes


class Thing:
    """Records the calls that it gets."""

    def __init__(self, name: str, fork_order: ForkOrder, told: list[str]) -> None:
        self.name = name
        self.fork_order = fork_order
        self.told = told
        self.broken: set[str] = set()
        fork_guard.guard(self)

    def before_fork(self) -> None:
        self._tell("before")

    def after_fork_in_parent(self) -> None:
        self._tell("parent")

    def after_fork_in_child(self) -> None:
        self._tell("child")

    def _tell(self, moment: str) -> None:
        self.told.append(f"{moment} {self.name}")
        if moment in self.broken:
            raise RuntimeError(f"{moment} {self.name}")


@pytest.fixture
def unraisable() -> Iterator[list[str]]:
    """What Python could not raise, because it came from a fork's hook."""
    seen: list[str] = []

    def remember(event: Any) -> None:
        seen.append(str(event.exc_value))

    before = sys.unraisablehook
    sys.unraisablehook = remember
    yield seen
    sys.unraisablehook = before


def test_things_let_go_in_their_order_and_take_up_in_reverse() -> None:
    told: list[str] = []
    things = [Thing("log", ForkOrder.LOG, told), Thing("values", ForkOrder.VALUES, told)]

    in_the_child = in_child(lambda: list(told))

    before = ["before values", "before log"]
    assert in_the_child == [*before, "child log", "child values"]
    assert told == [*before, "parent log", "parent values"]
    assert len(things) == 2


def test_a_thing_that_is_gone_is_not_asked() -> None:
    told: list[str] = []
    thing = Thing("log", ForkOrder.LOG, told)
    del thing
    in_child(lambda: None)
    assert told == []


def test_a_thing_that_cannot_let_go_hinders_neither_the_others_nor_the_next_fork(
    unraisable: list[str],
) -> None:
    told: list[str] = []
    first, broken, last = (
        Thing(name, order, told) for name, order in zip("abc", ForkOrder, strict=False)
    )
    broken.broken = {"before"}

    in_the_child = in_child(lambda: list(told))

    assert in_the_child == ["before a", "before b", "child c", "child b", "child a"]
    assert told == ["before a", "before b", "parent a"]
    assert unraisable == ["before b"]
    broken.broken.clear()
    assert in_child(lambda: "the next fork") == "the next fork"
    assert (first.name, last.name) == ("a", "c")


def test_a_thing_that_cannot_take_up_hinders_neither_the_others_nor_the_next_fork(
    unraisable: list[str],
) -> None:
    told: list[str] = []
    first, broken, last = (
        Thing(name, order, told) for name, order in zip("abc", ForkOrder, strict=False)
    )
    broken.broken = {"parent"}

    in_child(lambda: None)

    assert told[-3:] == ["parent c", "parent b", "parent a"]
    assert unraisable == ["parent b"]
    broken.broken.clear()
    assert in_child(lambda: "the next fork") == "the next fork"
    assert (first.name, last.name) == ("a", "c")
