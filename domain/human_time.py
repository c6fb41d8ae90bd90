"""Times and durations as people write them: `yesterday`, `2 hours ago`, `1h30m`.

A time without a zone is in the zone of this machine; answers that show it say so.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo
from typing import Final

TIME_FORMS: Final = (
    "a date such as 2026-03-03, a time such as 2026-03-03T12:00:00+00:00, today, yesterday, "
    "or an age such as '2 hours ago'"
)
"""The forms of times, for messages."""

DURATION_FORMS: Final = "a number of seconds, or one with units such as 90s, 5m, 1h30m or 2d"
"""The forms of durations, for messages."""

_SECONDS: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
_UNITS: Final = "|".join(sorted(_SECONDS, key=len, reverse=True))
_ONE: Final = rf"(\d{{1,9}}(?:\.\d{{1,9}})?)\s*({_UNITS})"
_PART: Final = re.compile(rf"{_ONE}\s*")
_PARTS: Final = re.compile(rf"(?:{_ONE}\s*)+")
_NUMBER: Final = re.compile(r"\d{1,15}(?:\.\d{1,9})?")
_DAYS: Final = {"today": 0, "yesterday": 1}


def time_of(text: str, now: datetime, zone: tzinfo | None = None) -> datetime | None:
    """The aware time that a text says, or None; `zone` is this machine's if it is not given.

    >>> from datetime import UTC
    >>> noon = datetime.fromisoformat("2026-03-03T12:00:00+00:00")
    >>> [str(time_of(said, noon, UTC)) for said in ("yesterday", "90 min ago", "2026-01-01")]
    ['2026-03-02 00:00:00+00:00', '2026-03-03 10:30:00+00:00', '2026-01-01 00:00:00+00:00']
    """
    said = text.strip().lower()
    if said == "now":
        return now
    try:
        if said in _DAYS:
            day = now.astimezone(zone).date() - timedelta(days=_DAYS[said])
            return _placed(datetime(day.year, day.month, day.day), zone)
        if said.endswith("ago"):
            seconds = duration_of(said.removesuffix("ago"))
            return None if seconds is None else now - timedelta(seconds=seconds)
        return _placed(datetime.fromisoformat(text.strip()), zone)
    except (ValueError, OverflowError):  # Also a time that the calendar does not have.
        return None


def has_zone(text: str) -> bool:
    """Whether a text is an ISO 8601 time with its zone."""
    try:
        return datetime.fromisoformat(text.strip()).utcoffset() is not None
    except ValueError:
        return False


def duration_of(text: str) -> float | None:
    """The seconds that a text says, or None.

    >>> [duration_of(said) for said in ("90", "1h 30m", "2.5 days", "long")]
    [90.0, 5400.0, 216000.0, None]
    """
    said = text.strip().lower()
    if _NUMBER.fullmatch(said):
        return float(said)
    if not _PARTS.fullmatch(said):
        return None
    return float(sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(said)))


def _placed(time: datetime, zone: tzinfo | None) -> datetime:
    if time.utcoffset() is not None:
        return time
    return time.astimezone() if zone is None else time.replace(tzinfo=zone)
