"""Tests on a real Ray head: collected only where RUNLORE_RAY names a `ray` (`make test-ray`)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.ray.head import VARIABLE, Head, running_head

collect_ignore_glob = [] if os.environ.get(VARIABLE) else ["test_*.py"]


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """A head that all tests share; those that harm one make their own."""
    with running_head() as head:
        yield head
