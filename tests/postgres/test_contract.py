"""The log in PostgreSQL passes the contract suite of all logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runlore.storage.event_log import EventLog
from runlore.testing.erasable_recorders import ErasableLogContract
from runlore.testing.log_contract.basis import LogContract
from runlore.testing.logs import Clock
from runlore.testing.recorders import EventLogContract
from tests.postgres.logs import ServerClock, log_at
from tests.postgres.server import Server

pytestmark = pytest.mark.processes


class OnServer(LogContract):
    """The log of a contract, in a schema of its own."""

    adds: ClassVar[Mapping[str, Any]] = {"db_user": "postgres"}

    @pytest.fixture
    def clock(self, server: Server, schema: str) -> Iterator[Clock]:
        clock = ServerClock(server, schema)
        yield clock
        clock.close()

    @pytest.fixture
    def log(
        self, clock: ServerClock, tmp_path: Path, server: Server, schema: str
    ) -> Iterator[EventLog]:
        log = log_at(server.uri(schema), erasable=self.is_erasable)
        clock.take_over()
        yield log
        log.close()


class TestPostgresLog(OnServer, EventLogContract):
    pass


@pytest.mark.long
class TestErasablePostgresLog(OnServer, ErasableLogContract):
    pass
