"""The fixtures of tests/workspaces.py, and a web server that answers as it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web_server import Server
from tests.workspaces import folder_ws as folder_ws


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running
