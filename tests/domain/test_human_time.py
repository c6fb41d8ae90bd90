"""Times and durations as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from runlore.domain.human_time import duration_of, has_zone, time_of

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)

UNITS = {
    1: ("s", "sec", "secs", "second", "seconds"),
    60: ("m", "min", "mins", "minute", "minutes"),
    3_600: ("h", "hr", "hrs", "hour", "hours"),
    86_400: ("d", "day", "days"),
    604_800: ("w", "week", "weeks"),
}


@pytest.mark.parametrize(
    ("unit", "seconds"), [(unit, seconds) for seconds, units in UNITS.items() for unit in units]
)
def test_each_unit_has_its_length(unit: str, seconds: int) -> None:
    assert duration_of(f"2{unit}") == duration_of(f" 2 {unit.upper()} ") == 2 * seconds
    assert time_of(f"3 {unit} ago", NOON) == NOON - timedelta(seconds=3 * seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("1.5", 1.5), ("1h30m", 5_400.0), ("1 d 1s", 86_401.0), ("0.5 min", 30.0)],
)
def test_parts_of_a_duration_add_up(text: str, seconds: float) -> None:
    assert duration_of(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1x", "1h and 2m", "1e3", "1h -2m", "1_000"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert duration_of(text) is None
    assert time_of(f"{text} ago", NOON) is None


def test_days_begin_at_midnight_of_the_zone() -> None:
    east = timezone(timedelta(hours=13))
    assert time_of("today", NOON, UTC) == datetime(2026, 3, 3, tzinfo=UTC)
    assert time_of("Yesterday", NOON, UTC) == datetime(2026, 3, 2, tzinfo=UTC)
    assert time_of("today", NOON, east) == datetime(2026, 3, 4, tzinfo=east)
    assert time_of("now", NOON) == NOON


def test_a_time_without_a_zone_is_in_that_of_the_machine_and_one_with_it_is_not() -> None:
    east = timezone(timedelta(hours=5))
    assert time_of("2026-01-01", NOON, east) == datetime(2026, 1, 1, tzinfo=east)
    assert time_of("2026-01-01T00:00+00:00", NOON, east) == datetime(2026, 1, 1, tzinfo=UTC)
    assert has_zone("2026-01-01T00:00Z")
    assert not has_zone("2026-01-01")
    assert not has_zone("today")


@pytest.mark.parametrize("text", ["2026-13-01", "2026-02-30", "soon", "999999999 weeks ago"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert time_of(text, NOON, UTC) is None
