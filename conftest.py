"""What the examples in docstrings may use without importing it."""

from __future__ import annotations

from typing import Any

import pytest

from runlore import Experiment, ViewType, Workspace, init


@pytest.fixture(autouse=True)
def _names_in_examples(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(
        Experiment=Experiment, ViewType=ViewType, Workspace=Workspace, init=init
    )
