"""The fixtures of tests/workspaces.py; here the surroundings of runs are captured."""

import pytest

from tests.workspaces import exp as exp
from tests.workspaces import folder_ws as folder_ws
from tests.workspaces import ws as ws


@pytest.fixture(autouse=True)
def captures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNLORE_CAPTURE")
