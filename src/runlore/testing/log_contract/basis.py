"""The fixtures that all parts of the contract suite of recorders use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runlore.storage.event_log import EventLog
from runlore.testing.logs import Clock


class LogContract:
    """A log and its clock; a subclass overrides the fixture `log`."""

    survives_close: ClassVar[bool] = True
    """Whether a log that is used again after `close()` still holds its events."""
    is_erasable: ClassVar[bool] = False
    adds: ClassVar[Mapping[str, Any]] = {}
    """What the log adds to each event's metadata, such as the writer's name on its server."""

    @pytest.fixture
    def clock(self) -> Clock:
        """The clock by which the log records; tests set it."""
        return Clock()

    @pytest.fixture
    def log(self, clock: Clock, tmp_path: Path) -> Iterator[EventLog]:
        """An empty log that takes its times from `clock`; closed after the test."""
        raise NotImplementedError("override the fixture `log`")
