"""The end of a run whose job is over, as its engine tells it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from runlore import Workspace
from runlore.domain.run_commands import EndRun
from runlore.domain.run_state import RunState
from runlore.domain.status import Status
from runlore.execution.targets.engines.engine import TIME_LIMIT, JobState, Phase
from runlore.execution.targets.engines.on_engine import EngineTarget, on_engine
from runlore.workspace import session_of
from tests.engines import Processes

STOPPED = JobState(Phase.ENDED, "TIMEOUT", TIME_LIMIT)
DAY_S = 86_400


@pytest.mark.parametrize(
    ("limit_s", "status"), [(60.0, Status.CANCELED), (DAY_S / 2, Status.FAILED)]
)
@pytest.mark.parametrize("off_s", [-DAY_S, 0, DAY_S])
def test_whether_a_run_had_used_up_its_time_is_told_by_the_logs_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_s: float, status: Status, off_s: int
) -> None:
    (tmp_path / "jobs").mkdir()
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        session = session_of(ws).writable()
        kind: type[EngineTarget] = on_engine(Processes)
        target = kind(session, "cluster", {"folder": str(tmp_path / "jobs"), "this_machine": True})
        now_us = session.log.now_us()
        monkeypatch.setattr(session.log, "now_us", lambda: now_us)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + off_s)
        state = RunState(
            run_id="r",
            experiment_id="e",
            experiment_name="e",
            root_id="r",
            created_at=0,
            version=1,
            status=Status.RUNNING,
            running_since=now_us - 3_600_000_000,
            definition={"max_run_duration_s": limit_s},
        )

        end = target.end_by(state, STOPPED)

        assert isinstance(end, EndRun)
        assert end.status is status
