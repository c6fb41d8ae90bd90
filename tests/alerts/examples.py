"""Alerts for tests of how they are delivered."""

from __future__ import annotations

from datetime import UTC, datetime

from runlore.alerts.alert import AboutRun, Alert

HOSTILE = 'a\'; touch pwned; echo $(id) `id` \x1b]0;t\x07\n<!channel> \u202e{{7*7}} %s \\ "q"'


def alert(title: str = "run failed", message: str = "no data", kind: str = "failed") -> Alert:
    return Alert(
        kind=kind,
        level="error",
        title=title,
        message=message,
        run=AboutRun("run-1", "first", "mnist", "Failed"),
        workspace="lab",
        workspace_id="w" * 32,
        position=7,
        time=datetime(2026, 3, 3, 12, tzinfo=UTC),
    )
