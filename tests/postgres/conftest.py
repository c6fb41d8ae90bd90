"""One server for each process that runs tests, and a schema of its own for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.postgres.server import Server, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running server; tests that stop it make their own."""
    with running_server() as server:
        yield server


@pytest.fixture
def schema() -> str:
    """The name of a schema that nobody uses yet."""
    return f"test_{os.urandom(8).hex()}"
