"""A schema for each test, on the server of tests/conftest.py."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def schema() -> str:
    """The name of a schema that nobody uses yet."""
    return f"test_{os.urandom(8).hex()}"
