"""Times of facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from runlore.domain.events import RunStarted
from runlore.domain.fact import utc_time
from tests.strategies import fact_of_event

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.integers(0, 250_000_000_000_000_000))
def test_microseconds_become_exact_utc_times(microseconds: int) -> None:
    assert utc_time(microseconds) == EPOCH + timedelta(microseconds=microseconds)
    assert utc_time(microseconds).utcoffset() == timedelta(0)


def test_a_fact_has_the_time_of_its_recording() -> None:
    assert fact_of_event(RunStarted(), 7).time.isoformat() == "2023-11-14T22:13:20.000007+00:00"
