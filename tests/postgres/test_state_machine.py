"""The log in PostgreSQL, the memory log and plain dicts, driven together: all three must agree."""

from __future__ import annotations

import os
from typing import ClassVar

import pytest
from hypothesis import settings

from runlore.storage.event_log import EventLog
from runlore.testing.logs import Clock
from tests.examples import few
from tests.postgres.logs import ServerClock, log_at
from tests.postgres.server import Server
from tests.storage.test_state_machine import Agreement

pytestmark = pytest.mark.processes


class AgreementOnServer(Agreement):
    """The same with a log in a schema of its own for each example."""

    server: ClassVar[Server]

    def new_clock(self) -> Clock:
        self.schema = f"test_{os.urandom(8).hex()}"
        self.server_clock = ServerClock(self.server, self.schema)
        return self.server_clock

    def new_log(self) -> EventLog:
        log = log_at(self.server.uri(self.schema))
        self.server_clock.take_over()
        return log

    def teardown(self) -> None:
        super().teardown()
        self.server_clock.close()


@pytest.fixture(autouse=True)
def _server(server: Server) -> None:
    AgreementOnServer.server = server


TestAgreementOnServer = AgreementOnServer.TestCase
TestAgreementOnServer.settings = settings(max_examples=few(10), stateful_step_count=25)
