"""The leaf of an event is computed from what the log returns for it."""

from __future__ import annotations

import pytest

from runlore.storage.log_query import LogQuery
from runlore.storage.memory_log import MemoryLog
from runlore.storage.stamp import leaf_at, leaf_of
from runlore.testing.logs import new_events


def test_the_leaf_at_a_position_is_that_of_its_event() -> None:
    log = MemoryLog()
    log.append(new_events("run/a", range(1, 4)))

    rows = log.read_log(LogQuery())

    assert [leaf_at(log, row.position) for row in rows] == [row.leaf for row in rows]
    assert len({row.leaf for row in rows}) == 3
    assert [leaf_of(row) for row in rows] == [row.leaf for row in rows]


@pytest.mark.parametrize("position", [0, 4, 2**40])
def test_there_is_no_leaf_outside_of_the_log(position: int) -> None:
    log = MemoryLog()
    log.append(new_events("run/a", range(1, 4)))
    assert leaf_at(log, position) is None
