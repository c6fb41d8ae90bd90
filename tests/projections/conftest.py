"""What all tests of projections share."""

from __future__ import annotations

import pytest

from runlore.projections import reader


@pytest.fixture(autouse=True)
def only_asked_for_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine any catch-up may take long enough to be published."""
    monkeypatch.setattr(reader, "PUBLISH_AFTER_S", float("inf"))
