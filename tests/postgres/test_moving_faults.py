"""Moves of a workspace beside full disks, and writers that do not know of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Run, Workspace
from runlore.audit.verify import verify_folder
from runlore.domain.events import RunLost
from runlore.exceptions import DiskFull, FileNotWritten, LogMoved
from runlore.storage.event_log import NewEvent
from runlore.storage.open_log import locate, open_log
from runlore.testing.logs import all_rows, new_event
from runlore.testing.waiting import LIMIT_S
from runlore.workspace import session_of
from tests.disks import Disk
from tests.postgres.server import Server, running_server
from tests.postgres.test_moving_keys import log_of, secret_run, shown
from tests.workspaces import start

pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with closing(Disk(folder)) as disk:
        yield disk


@pytest.mark.parametrize("erasable", [False, True])
def test_a_disk_that_fills_up_stops_a_move_and_the_next_one_goes_on(
    erasable: bool, disk: Disk, server: Server, schema: str
) -> None:
    """The disk of the new folder is full after each part of the move that finds room, in turns."""
    with Workspace.create("team", path=server.uri(schema), erasable=erasable) as team:
        run = secret_run(team, "in the clear")
        log_of(team).append(big_events(40))
        before, seen = [*all_rows(log_of(team).as_stored())], shown(team, run)
        stops = 0
        for leaving in range(0, 2**25, 2**18):
            disk.fill(leaving=leaving)
            try:
                team.copy_to(disk.folder / "lab")
            except (DiskFull, FileNotWritten, OSError) as error:
                assert "free" in str(error) or "No space" in str(error), error
                stops += 1
            else:
                break
            finally:
                disk.free()

        assert stops >= 3
    with Workspace.open(disk.folder / "lab") as lab:
        assert [*all_rows(log_of(lab).as_stored())] == before
        assert shown(lab, run) == seen
        assert verify_folder(disk.folder / "lab").holds


@pytest.fixture
def small_server(tmp_path: Path) -> Iterator[tuple[Server, Disk]]:
    """A server whose tables are on a small disk."""
    with running_server() as server:
        folder = server.folder / "small"
        folder.mkdir()
        with closing(Disk(folder, size_mib=24)) as disk:
            space = folder / "space"
            space.mkdir()
            if disk.mounted:
                shutil.chown(space, "nobody")
            server.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
            server.execute("ALTER ROLE postgres SET default_tablespace = small")
            yield server, disk
            server.stop(signal.SIGQUIT)


def test_a_server_whose_disk_fills_up_stops_a_move_and_the_next_one_goes_on(
    small_server: tuple[Server, Disk], tmp_path: Path
) -> None:
    server, disk = small_server
    uri = server.uri("team")
    with Workspace.create("lab", path=tmp_path / "lab", erasable=True) as lab:
        run = secret_run(lab, "in the clear")
        log_of(lab).append(big_events(40))
        before, seen = [*all_rows(log_of(lab).as_stored())], shown(lab, run)
        if disk.mounted:  # A limit on file sizes holds for this process only.
            with closing(open_log(locate(uri), erasable=True)):
                disk.fill(leaving=2**20)
            with pytest.raises(DiskFull, match="free space there and try again"):
                lab.copy_to(uri)
            with pytest.raises(LogMoved, match="incomplete copy"):
                Workspace.open(uri)
            assert shown(lab, run) == seen
            disk.free()
        lab.copy_to(uri)
    with Workspace.open(uri) as team:
        assert [*all_rows(log_of(team).as_stored())] == before
        assert shown(team, run) == seen
        assert verify_folder(uri).holds


def big_events(count: int) -> list[NewEvent]:
    """Events of a quarter of a megabyte each, which other applications' streams hold."""
    return [
        new_event("other/x", version, state=os.urandom(2**18)) for version in range(1, count + 1)
    ]


_LATE = """
import runlore, sys
from runlore.exceptions import LogMoved
run = runlore.init(experiment="late", workspace=sys.argv[1], quiet=True)
run.log("loss", 0.0)
run.flush()
print(run.id, flush=True)
sys.stdin.readline()
run.log("loss", 1.0)
try:
    run.tag("a", "b")
except LogMoved as error:
    print(error, flush=True)
run.log("loss", 2.0)
sys.stdin.readline()
"""


@pytest.mark.parametrize("end", ["Completed", "Failed"])
@pytest.mark.parametrize("to", ["postgresql", "folder"])
def test_a_writer_that_came_during_a_move_loses_nothing(
    to: str, end: str, tmp_path: Path, server: Server, schema: str
) -> None:
    places = [str(tmp_path / "lab"), server.uri(schema)]
    source, target = places if to == "postgresql" else places[::-1]
    with Workspace.create("lab", path=source) as ws:
        start(Experiment(ws, "first")).complete()
        [late], [run_id] = moved_under_writers(ws, target, 1)
        go_on(late)
        assert f"was moved to {log_of(ws).fence().place}: open" in said(late)  # type: ignore[union-attr]
        assert ws.copy_to(target).values == 0  # It lives.
        late.kill() if end == "Failed" else go_on(late)
        late.communicate(timeout=LIMIT_S)
        assert ws.copy_to(target).values == 2
        assert ws.copy_to(target).values == 0
    with Workspace.open(target) as moved:
        run = moved.get_run(run_id)
        assert run.get_metrics() == {"loss": [0.0, 1.0, 2.0]}
        assert run.get_status() == end
        assert [evidence["pid"] for evidence in losses(run)] == [late.pid] * (end == "Failed")
        assert run.get_tags() == {}
        assert verify_folder(target).holds


@pytest.mark.parametrize("to", ["postgresql", "folder"])
def test_a_run_is_lost_in_the_new_place_when_nobody_lives_in_the_old_one(
    to: str, tmp_path: Path, server: Server, schema: str
) -> None:
    places = [str(tmp_path / "lab"), server.uri(schema)]
    source, target = places if to == "postgresql" else places[::-1]
    with Workspace.create("lab", path=source) as ws:
        writers, run_ids = moved_under_writers(ws, target, 2)
        writers[0].kill()
        writers[0].communicate(timeout=LIMIT_S)
        ws.copy_to(target)
        with Workspace.open(target) as moved:
            assert [moved.get_run(one).get_status() for one in run_ids] == ["Running"] * 2
        writers[1].kill()
        writers[1].communicate(timeout=LIMIT_S)

    for _ in range(2):
        with pytest.warns(UserWarning, match="was moved to"), Workspace.open(source) as ws:
            assert ws.copy_to(target).values == 0

    with Workspace.open(target) as moved:
        for writer, run_id in zip(writers, run_ids, strict=True):
            run = moved.get_run(run_id)
            assert run.get_status() == "Failed"
            [evidence] = losses(run)
            assert (evidence["pid"], evidence["lock"]) == (writer.pid, "free")
        assert verify_folder(target).holds


def moved_under_writers(
    ws: Workspace, target: str, count: int
) -> tuple[list[subprocess.Popen[str]], list[str]]:
    """Move a workspace, to which this many writers come meanwhile; the ids of their runs."""
    writers: list[subprocess.Popen[str]] = []
    run_ids: list[str] = []
    source = session_of(ws).uri

    def come(*_: object) -> None:
        while len(writers) < count:
            command = [sys.executable, "-W", "ignore", "-c", _LATE, source]
            pipe = subprocess.PIPE
            writers.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
            run_ids.append(said(writers[-1]))

    ws.copy_to(target, progress=come)
    return writers, run_ids


def losses(run: Run) -> list[dict[str, Any]]:
    """The evidence of each recorded loss of a run."""
    facts = session_of(run.experiment.workspace).journal.facts(f"run/{run.id}")
    return [fact.data["evidence"] for fact in facts if fact.topic == RunLost.topic and fact.data]


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
