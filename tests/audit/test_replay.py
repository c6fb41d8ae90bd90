"""A replay that a signal handler ends."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from runlore.projections import rebuild_check
from runlore.projections.projection_of_runs import RunsProjection
from runlore.projections.runner import catch_up

A_SECOND = "SELECT count(*) FROM range(300_000_000) WHERE range % 7 = 3"


@pytest.mark.parametrize("error", [TimeoutError("the alarm"), KeyboardInterrupt()], ids=repr)
def test_a_replay_ends_with_what_the_handler_raised(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def slowly(rebuilt: RunsProjection, *rest: Any, **options: Any) -> int:
        rebuilt.view.connection.execute(A_SECOND).fetchall()
        return catch_up(rebuilt, *rest, **options)

    def raising(*_: object) -> None:
        raise error

    before = signal.signal(signal.SIGTERM, raising)
    try:
        with Workspace.create("lab", path=tmp_path / "lab") as ws:
            Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None).complete()
            ws.audit.replay()
            monkeypatch.setattr(rebuild_check, "catch_up", slowly)
            timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGTERM])
            with pytest.raises(type(error)) as raised:
                timer.start()
                try:
                    ws.audit.replay()
                finally:
                    timer.join()
            assert raised.value is error
            monkeypatch.undo()
            assert ws.audit.replay().holds
    finally:
        signal.signal(signal.SIGTERM, before)
