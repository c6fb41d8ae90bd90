"""A clock that is some hours late, so that a run of today began two days ago."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

_TIME: Final = time.time
_TIME_NS: Final = time.time_ns


@contextmanager
def late_by(hours: float, *modules: Any) -> Iterator[None]:
    """`time.time` and `time.time_ns` are late, and `datetime.now` as these modules know it."""
    seconds = hours * 3600

    class Late(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Late:
            return cls.fromtimestamp(_TIME() - seconds, tz)

    with patch.multiple(
        time,
        time=lambda: _TIME() - seconds,
        time_ns=lambda: _TIME_NS() - int(seconds * 1e9),
    ):
        patches = [patch.object(module, "datetime", Late) for module in modules]
        for one in patches:
            one.start()
        try:
            yield
        finally:
            for one in patches:
                one.stop()
