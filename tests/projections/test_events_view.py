"""The view `events`: what it shows of each event beside the payload."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from runlore.domain.events import TagSet
from tests.projections.histories import Happening, History, reader_of

SKEW_US = 7_000


def test_an_event_was_recorded_by_the_logs_clock_and_observed_by_its_writers() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    slow = history.add(Happening("run/r0", TagSet(key="a", value="1"), skew=-SKEW_US))
    right = history.add(Happening("run/r0", TagSet(key="b", value="1")))
    query = "SELECT observed_at - recorded_at FROM events WHERE position = ?"
    with tempfile.TemporaryDirectory() as name, reader_of(history.log, Path(name)) as reader:
        assert reader.sql(query, [slow]).fetchall() == [(-timedelta(microseconds=SKEW_US),)]
        assert reader.sql(query, [right]).fetchall() == [(timedelta(0),)]
