"""What the tables show as of a time is the same for ever, whatever the writers' clocks say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.domain.errors import MomentInFuture
from runlore.domain.fact import utc_time
from runlore.domain.ids import run_stream
from runlore.engine.moments import position_of
from runlore.storage.clock import SKEW_US
from tests.examples import few
from tests.projections.histories import History, reader_of

pytestmark = pytest.mark.filterwarnings("ignore:this machine's clock says:RuntimeWarning")

TAGS = "SELECT value, set_at FROM tags WHERE key = 'n'"
clocks = st.sampled_from([0, 0, 0, -7, 9, 3_650 * SKEW_US, -3_650 * SKEW_US])
steps = st.lists(st.tuples(clocks, st.none() | st.integers(-3, 40)), min_size=3, max_size=20)


@settings(max_examples=few(12))
@given(steps)
def test_tables_as_of_a_time_never_change(steps: Sequence[tuple[int, int | None]]) -> None:
    history = History()
    history.experiment()
    history.run("r")
    now = history.clock.now
    shown: dict[Any, Any] = {}
    with reader_of(history.log) as reader:
        for number, (offset, ago) in enumerate(steps):
            now += 5
            history.clock.now = now + offset
            if ago is None:
                history.clock.now -= 1_000  # Which the history adds.
                history.say(run_stream("r"), ev.TagSet(key="n", value=str(number)))
                [(_, set_at)] = reader.sql(TAGS).fetchall()
                assert set_at == utc_time(now + offset)
                continue
            time = utc_time(now - ago)
            try:
                position = position_of(history.log, time)
            except MomentInFuture:
                continue
            answer = position, reader.at(position).sql(TAGS).fetchall()
            assert shown.setdefault(time, answer) == answer
        for time, answer in shown.items():
            position = position_of(history.log, time)
            assert (position, reader.at(position).sql(TAGS).fetchall()) == answer


def test_one_clock_ten_years_ahead_hides_nothing_from_the_next_answer() -> None:
    history = History()
    history.experiment()
    history.run("before")
    now = history.clock.now
    history.clock.now += 3_650 * SKEW_US
    history.run("of-2036")
    history.clock.now = now
    history.run("after")
    history.clock.now += 1_000

    position = position_of(history.log, utc_time(history.clock.now))

    with reader_of(history.log) as reader:
        runs = reader.at(position).sql("SELECT run_id, created_at FROM runs ORDER BY number")
        assert runs.fetchall() == [
            ("before", utc_time(now)),
            ("of-2036", utc_time(now + 3_650 * SKEW_US + 1_000)),
            ("after", utc_time(now + 1_000)),
        ]
