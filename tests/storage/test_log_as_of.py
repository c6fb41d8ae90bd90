"""A log as of a position is the log that ended there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from runlore.domain.errors import PastIsReadOnly
from runlore.storage.event_log import EventLog, ForeignEvent
from runlore.storage.log_as_of import LogAsOf
from runlore.storage.log_query import LogQuery
from runlore.storage.memory_log import MemoryLog
from runlore.storage.recorder import LogRecorder
from runlore.testing.logs import NOON, Clock, new_event, new_events
from tests.examples import few
from tests.projections.histories import Happening, History, histories


def told(log: EventLog) -> list[Any]:
    """All that a log tells."""
    return [
        log.head(),
        log.last_position(),
        [log.position_at(NOON + later) for later in range(0, 12_000, 500)],
        list(log.read_log(LogQuery(limit=1_000))),
        list(log.read_plain(LogQuery(limit=1_000))),
        list(log.read_plain(LogQuery(after_position=2, limit=2, upto_position=9))),
        list(
            log.read_log(LogQuery(limit=9, under="run/r0", topics=("run.tag_set", "run.created")))
        ),
        list(log.read_stream("run/r0", after_version=1)),
        list(log.read_log(LogQuery(prefix="run/", topics=("run.values_logged",)))),
        log.count_events(LogQuery(prefix="run/")),
        list(log.positions_of(LogQuery(under="run/r0"))),
        list(LogRecorder(log).select_events("run/r0", desc=True, limit=2)),
        list(LogRecorder(log).select_notifications(1, 5)),
    ]


@settings(deadline=None, max_examples=few(30))
@given(histories)
def test_a_log_as_of_a_position_tells_what_was_told_when_it_ended_there(
    appends: Sequence[Sequence[Happening]],
) -> None:
    history = History()
    then = []
    for append in appends:
        position = history.add(*append)
        then.append((position, told(history.log)))

    for position, everything in then:
        assert told(LogAsOf(history.log, position)) == everything


def test_nothing_is_appended_to_what_was() -> None:
    log = MemoryLog()
    log.append(new_events("run/r", [1, 2]))
    past = LogAsOf(log, 1)

    with pytest.raises(PastIsReadOnly, match="position 1"):
        past.append([new_event("run/s")])
    with pytest.raises(PastIsReadOnly):
        past.append_decided(lambda read_stream: [new_event("run/s")])
    with pytest.raises(PastIsReadOnly):
        past.append_foreign([ForeignEvent("run/s", 1, "topic", b"")])
    assert log.last_position() == 2


def test_a_log_as_of_a_position_leaves_the_other_open() -> None:
    log = MemoryLog(clock=Clock())
    past = LogAsOf(log, 0)

    past.close()

    assert list(past.read_log(LogQuery(limit=1))) == []
    log.append(new_events("run/r", [1]))
