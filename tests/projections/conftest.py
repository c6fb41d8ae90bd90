"""What all tests of projections share."""

from __future__ import annotations

import pytest

from runlore.projections import own_projection


@pytest.fixture(autouse=True)
def only_asked_for_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine any catch-up may take long enough to be published."""
    monkeypatch.setattr(own_projection, "PUBLISH_AFTER_S", float("inf"))
