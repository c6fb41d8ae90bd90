"""Which events a query asks for."""

from __future__ import annotations

import pytest

from runlore.storage.log_query import LogQuery


@pytest.mark.parametrize(
    ("query", "taken"),
    [
        (LogQuery(), ["run/a", "run/a/values/w", "run/ab", "writer/a"]),
        (LogQuery(under="run/a"), ["run/a", "run/a/values/w"]),
        (LogQuery(prefix="run/a"), ["run/a", "run/a/values/w", "run/ab"]),
        (LogQuery(under="run/a", prefix="run/a/"), ["run/a/values/w"]),
    ],
    ids=["all", "under", "prefix", "both"],
)
def test_a_query_takes_the_streams_of_both_conditions(query: LogQuery, taken: list[str]) -> None:
    streams = ["run/a", "run/a/values/w", "run/ab", "writer/a"]
    assert [stream for stream in streams if query.takes(stream)] == taken


def test_an_empty_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="every stream"):
        LogQuery(prefix="")


def test_a_query_within_an_earlier_log_ends_there() -> None:
    assert LogQuery(limit=3).within(7) == LogQuery(limit=3, upto_position=7)
    assert LogQuery(upto_position=9).within(7) == LogQuery(upto_position=7)
    assert LogQuery(upto_position=5).within(7) == LogQuery(upto_position=5)
