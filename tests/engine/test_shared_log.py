"""One log for all openings of a workspace in a process."""

from __future__ import annotations

import gc
import os
import re
import shutil
import threading
import time
import weakref
from contextlib import closing
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidType, PropertyConflict, WorkspaceClosed
from runlore.domain.events import TagSet
from runlore.domain.run_commands import (
    SetTags,
)
from runlore.domain.run_state import RunState
from runlore.engine.runs.handle import RunHandle
from runlore.engine.session import LiveSession
from runlore.engine.shared_log import SharedLog
from runlore.engine.streams import stream_of_run
from runlore.storage import interruptions
from runlore.storage.errors import DiskFull, LogReadOnly
from runlore.storage.filesystem import UnsafeFileSystem
from runlore.storage.held_folder import UnsafeEntry
from runlore.workspace import session_of
from tests.cached import cached
from tests.descriptors import open_below
from tests.fresh_python import run_python
from tests.processes import LIMIT_S, in_child, wait_until
from tests.ranks import folder_of
from tests.workspaces import in_memory, start


def opened(ws: Workspace, **options: object) -> Workspace:
    return Workspace.open(ws.uri, **options)  # type: ignore[arg-type]  # whatever the test gives


def live(ws: Workspace) -> LiveSession:
    return session_of(ws).writable()


def spools_of(ws: Workspace) -> list[Path]:
    return list(((ws.path or Path()) / "spools").iterdir())


def writers_of(ws: Workspace) -> int:
    return sum(event.topic == "writer.opened" for event in ws.events())


def written(ws: Workspace, run_id: str) -> object:
    """The values in the log, without those in spools."""
    live(ws).recover_values()
    found = 'SELECT value FROM metric_points WHERE run_id = ? ORDER BY position, "index"'
    return ws.sql(found, [run_id]).fetchall()


# --- one log, counted -------------------------------------------------------------------------


@pytest.mark.on_disk
def test_openings_of_a_workspace_share_one_log_writer_and_spool(folder_ws: Workspace) -> None:
    other = opened(folder_ws)
    first, second = start(Experiment(folder_ws, "e")), start(Experiment(other, "e"))
    first.log("loss", 0.5)
    second.log("loss", 0.25)

    assert session_of(other).log is session_of(folder_ws).log
    assert writers_of(folder_ws) == 1
    assert (
        len({path.name.split("-")[0] for path in (folder_ws.path or Path()).rglob("spools/*")}) == 1
    )
    other.close()


@pytest.mark.on_disk
def test_closing_a_workspace_closes_no_other(folder_ws: Workspace) -> None:
    other = opened(folder_ws)
    mine, theirs = start(Experiment(folder_ws, "e")), start(Experiment(other, "e"))
    for value in (1.0, 2.0):
        mine.log("loss", value)
        theirs.log("loss", value)

    other.close()

    assert written(folder_ws, theirs.id) == [(1.0,), (2.0,)]
    for late in (
        lambda: theirs.log("loss", 3.0),
        lambda: theirs.log("loss", 3.0, step=7),
        lambda: theirs.log("new", "text"),
        lambda: theirs.log_metrics({"a": 1.0, "b": 2.0}),
        lambda: theirs.log_row("t", a=1.0, b=2.0),
        lambda: theirs.tag("late"),
        lambda: other.sql("SELECT 1"),
    ):
        with pytest.raises(WorkspaceClosed):
            late()
    mine.log("loss", 3.0)
    mine.tag("still", "open")
    folder_ws.close()
    with opened(folder_ws) as again:
        assert written(again, mine.id) == [(1.0,), (2.0,), (3.0,)]
        assert written(again, theirs.id) == [(1.0,), (2.0,)]


@pytest.mark.on_disk
def test_the_last_close_releases_everything(folder_ws: Workspace) -> None:
    folder = folder_of(folder_ws)
    before = set(threading.enumerate())  # Perhaps with some of other tests.
    others = [opened(folder_ws) for _ in range(3)]
    for number, ws in enumerate([folder_ws, *others]):
        start(Experiment(ws, "e")).log("loss", float(number))
        ws.sql("SELECT 1")
    for ws in [folder_ws, *others]:
        ws.close()

    assert open_below(folder) == []
    assert spools_of(folder_ws) == []
    assert not set(threading.enumerate()) - before


@pytest.mark.on_disk
def test_two_openings_of_one_run_continue_its_steps(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    with opened(folder_ws) as other:
        again = other.get_run(run.id)
        for value in range(3):
            run.log("loss", float(value))
            again.log("loss", float(value))
        assert run.values("loss").steps.tolist() == [0, 1, 2, 3, 4, 5]


def test_workspaces_in_memory_share_nothing() -> None:
    with in_memory("lab") as first, in_memory("lab") as second:
        assert session_of(first).log is not session_of(second).log


# --- which log is the same --------------------------------------------------------------------


@pytest.mark.on_disk
def test_a_folder_that_takes_the_place_of_another_has_its_own_log(tmp_path: Path) -> None:
    old = Workspace.create("lab", path=tmp_path / "lab")
    start(Experiment(old, "e"))
    (tmp_path / "lab").rename(tmp_path / "moved")
    new = Workspace.create("lab", path=tmp_path / "lab")

    assert session_of(new).log is not session_of(old).log
    assert new.experiments == {}
    with Workspace.open(tmp_path / "moved") as moved:
        assert session_of(moved).log is not session_of(old).log
        assert [*moved.experiments] == ["e"]
    old.close()
    new.close()


@pytest.mark.on_disk
def test_a_copy_of_hard_links_is_another_log(folder_ws: Workspace, tmp_path: Path) -> None:
    start(Experiment(folder_ws, "e"))
    with pytest.raises(UnsafeEntry, match="log.sqlite-wal: it has 2 names"):
        shutil.copytree(folder_ws.path or "", tmp_path / "linked", copy_function=os.link)
        Workspace.open(tmp_path / "linked")
    shutil.rmtree(tmp_path / "linked")
    folder_ws.close()
    shutil.copytree(folder_ws.path or "", tmp_path / "backup", copy_function=os.link)
    with Workspace.open(folder_ws.path or "") as again, Workspace.open(tmp_path / "backup") as two:
        assert session_of(two).log is not session_of(again).log
        assert [*two.experiments] == ["e"]
        with pytest.raises(LogReadOnly, match="2 names"):
            Experiment(two, "e").tag("written")


@pytest.mark.on_disk
def test_a_link_to_the_folder_leads_to_the_same_log(folder_ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder_ws.path or "")
    with Workspace.open(tmp_path / "link") as linked:
        assert session_of(linked).log is session_of(folder_ws).log


@pytest.mark.on_disk
def test_an_unchecked_file_system_is_checked_for_an_opening_that_asks_for_it(
    folder_ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise UnsafeFileSystem(folder, "nfs", "a network mount")

    folder_ws.close()
    monkeypatch.setattr("runlore.entry.wiring.check_file_system", refuse)
    with opened(folder_ws, allow_network_file_system=True) as first:
        with pytest.raises(UnsafeFileSystem):
            opened(folder_ws)
        start(Experiment(first, "e")).log("loss", 1.0)
        monkeypatch.setattr("runlore.entry.wiring.check_file_system", lambda folder: None)
        opened(folder_ws).close()
        monkeypatch.setattr("runlore.entry.wiring.check_file_system", refuse)
        opened(folder_ws).close()  # Checked once.


# --- many runs --------------------------------------------------------------------------------

_MANY = """
import gc, os, resource, threading
import runlore
from runlore import Workspace

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
runs = [runlore.init("many", snapshot_directory=None) for _ in range(200)]
children = runs[0].create_children(800)  # In one commit: syncs take most of the time.
spaces = [Workspace.open(".runlore") for _ in children]
runs += [ws.get_run(child.id) for ws, child in zip(spaces, children)]
for number, run in enumerate(runs):
    run.log("loss", float(number))
print(len(os.listdir("/proc/self/fd")), threading.active_count())
for ws in spaces[::2]:
    ws.close()
runs[0].log("loss", 1000.0)
print(runs[1].experiment.workspace.sql("SELECT count(*) FROM runs").fetchall())
for run in runs[:20]:
    run.complete()
del run, runs[:150], spaces[1:100]
gc.collect()
runs[0].log("loss", 1001.0)
"""


@pytest.mark.long
@pytest.mark.processes
@pytest.mark.on_disk
def test_a_thousand_open_runs_take_a_handful_of_descriptors(project: Path) -> None:
    counts, runs, *_ = run_python(_MANY, cwd=project).splitlines()

    descriptors, threads = map(int, counts.split())
    assert descriptors < 20
    assert threads == 2
    assert runs == "[(1000,)]"
    with Workspace.open(project / ".runlore") as ws:
        assert ws.sql("SELECT value FROM metric_points ORDER BY value").fetchall() == [
            (float(number),) for number in range(1_002)
        ]
        assert writers_of(ws) == 1
        assert spools_of(ws) == []


_TOO_MANY = """
import os, resource
import runlore
from runlore.engine.streams import stream_of_run
from runlore.storage.errors import TooManyOpenFiles

runlore.init("e", workspace="other").complete()  # Imports open files as well.
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(64 - len(os.listdir("/proc/self/fd")) + 1)]
try:
    runlore.init("e", workspace="lab")
except TooManyOpenFiles as error:
    print(error)
for fd in kept:
    os.close(fd)
runlore.init("e", workspace="lab").complete()
"""


@pytest.mark.processes
@pytest.mark.on_disk
def test_a_process_without_descriptors_is_told_so_and_can_go_on(project: Path) -> None:
    said = run_python(_TOO_MANY, cwd=project)
    assert "this process has as many files open as it may, 64 (of them 62 in /dev" in said
    assert "close those that it no longer needs, or raise the limit with `ulimit -n`" in said


# --- sessions that are gone -------------------------------------------------------------------


@pytest.mark.on_disk
def test_values_of_an_abandoned_session_are_written_by_those_that_stay(
    folder_ws: Workspace,
) -> None:
    other = opened(folder_ws)
    run = start(Experiment(other, "e"), end_at_exit=False)
    run.log("loss", 0.5)
    run_id, gone = run.id, weakref.ref(session_of(other))
    del other, run
    gc.collect()

    assert gone() is None
    assert written(folder_ws, run_id) == [(0.5,)]


@pytest.mark.on_disk
def test_the_last_abandoned_session_writes_its_values_and_lets_go(folder_ws: Workspace) -> None:
    run = start(Experiment(opened(folder_ws), "e"), end_at_exit=False)
    run.log("loss", 0.5)
    run_id, uri = run.id, folder_ws.uri
    folder_ws.close()
    del run
    gc.collect()

    assert spools_of(folder_ws) == []
    with Workspace.open(uri) as again:
        assert written(again, run_id) == [(0.5,)]


@pytest.mark.on_disk
def test_a_session_can_be_abandoned_within_a_call_on_its_log(folder_ws: Workspace) -> None:
    """The collector may run between any two bytecodes, here in the middle of a transaction."""
    run = start(Experiment(folder_ws, "e"))
    other = [opened(folder_ws)]
    other[0].sql("SELECT 1")
    start(Experiment(other[0], "e")).log("loss", 0.5)

    def decide(_: RunState | None) -> Decision:
        other.clear()
        gc.collect()
        return Decision((TagSet(key="a", value="b"),))

    live(folder_ws).change(stream_of_run(run.id), decide, flush_values=True)
    assert other == []
    assert run.get_tags() == {"a": "b"}


@pytest.mark.on_disk
def test_a_log_is_not_closed_within_a_call_on_another_one(
    folder_ws: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call holds locks, for which a thread may wait that the close would wait for."""
    run = start(Experiment(folder_ws, "e"))
    other = [Workspace.create("other", path=tmp_path / "other")]
    start(Experiment(other[0], "e"), end_at_exit=False).log("loss", 0.5)
    close, held = SharedLog.close, []

    def close_without_locks(self: SharedLog, workspace: str) -> None:
        held.append(interruptions.interrupts())
        close(self, workspace)

    def decide(_: RunState | None) -> Decision:
        other.clear()
        gc.collect()
        return Decision((TagSet(key="a", value="b"),))

    monkeypatch.setattr(SharedLog, "close", close_without_locks)
    live(folder_ws).change(stream_of_run(run.id), decide, flush_values=True)
    assert held == [False]
    assert not list((tmp_path / "other" / "spools").iterdir())


@pytest.mark.on_disk
def test_the_last_session_can_be_abandoned_in_the_draining_thread(
    folder_ws: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_ws.close()
    ws = [Workspace.open(folder_ws.uri)]
    run = start(Experiment(ws[0], "e"), end_at_exit=False)
    run_id, log, journal = run.id, session_of(ws[0]).log, type(live(ws[0]).journal)
    write, collected = journal.write, threading.Event()

    def write_and_collect(self: object, *args: object, **options: object) -> object:
        if threading.current_thread().name == "runlore-values" and not collected.is_set():
            ws.clear()
            gc.collect()
            collected.set()
        return write(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(journal, "write", write_and_collect)
    run.log("loss", 0.5)
    del run
    assert collected.wait(LIMIT_S)
    wait_until(lambda: not spools_of(folder_ws), "the log is closed")

    assert capsys.readouterr().err == ""
    assert log.drained_marks()
    log.close()
    with Workspace.open(folder_ws.uri) as again:
        assert written(again, run_id) == [(0.5,)]


# --- threads, forks, full disks ---------------------------------------------------------------


@pytest.mark.on_disk
def test_threads_open_log_and_close_at_once(folder_ws: Workspace) -> None:
    errors: list[Exception] = []
    ids: list[str] = []
    uri = folder_ws.uri
    Experiment(folder_ws, "e")
    folder_ws.close()

    def use() -> None:
        try:
            for _ in range(5):
                with Workspace.open(uri) as ws:
                    run = start(Experiment(ws, "e"))
                    ids.append(run.id)
                    run.log("loss", 0.5)
        except Exception as error:  # noqa: BLE001  (shown by the main thread)
            errors.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + LIMIT_S
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))

    assert not [thread for thread in threads if thread.is_alive()], "they wait for each other"
    assert errors == []
    with Workspace.open(uri) as ws:
        found = ws.sql("SELECT run_id, count(*) FROM metric_points GROUP BY run_id").fetchall()
        assert sorted(found) == sorted((run_id, 1) for run_id in ids)
        assert spools_of(ws) == []


@pytest.mark.processes
@pytest.mark.on_disk
def test_a_forked_child_shares_logs_of_its_own(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.log("loss", 0.5)
    waiting = opened(folder_ws)
    start(Experiment(waiting, "e")).log("loss", 0.25)

    def child() -> tuple[str, str, bool]:
        with opened(folder_ws) as first, opened(folder_ws) as second:
            shared = session_of(first).log is session_of(second).log
            own = start(Experiment(first, "e"))
            own.log("loss", 2.0)
        run.log("loss", 3.0)
        waiting.close()
        folder_ws.close()
        return own.id, str(shared), True

    own_id, shared, _ = in_child(child)
    run.log("loss", 1.0)

    assert shared == "True"
    assert written(folder_ws, own_id) == [(2.0,)]
    assert sorted(written(folder_ws, run.id)) == [(0.5,), (1.0,), (3.0,)]  # type: ignore[call-overload]
    assert writers_of(folder_ws) == 3
    waiting.close()


@pytest.mark.on_disk
@pytest.mark.parametrize("is_last", [False, True])
def test_a_close_that_cannot_write_leaves_all_open(
    folder_ws: Workspace, monkeypatch: pytest.MonkeyPatch, is_last: bool
) -> None:
    reader, other = opened(folder_ws), opened(folder_ws)
    run = start(Experiment(other, "e"))
    if is_last:
        folder_ws.close()
    log = session_of(other).log
    run.log("loss", 0.5)

    def full(*_: object, **__: object) -> object:
        raise DiskFull("the disk is full")

    with monkeypatch.context() as full_disk:
        full_disk.setattr(log, "append", full)
        reader.close()
        with pytest.raises(DiskFull):
            other.close()
    run.log("loss", 0.25)
    other.close()

    with opened(folder_ws) as again:
        assert written(again, run.id) == [(0.5,), (0.25,)]


# --- actors -----------------------------------------------------------------------------------


@pytest.mark.on_disk
def test_each_change_is_attributed_to_the_actor_of_its_session(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    own = run.history()[0].who
    with opened(folder_ws, actor="ada") as ada:
        ada.get_run(run.id).tag("by", "ada")
        theirs = start(Experiment(ada, "e"))
        theirs.log("loss", 0.5)
    run.tag("by", "me")

    assert writers_of(folder_ws) == 1
    changes = {change.new: change.who for change in run.history() if change.key == "by"}
    assert changes == {"ada": own.replace(own.partition("@")[0], "ada"), "me": own}
    by_ada = [event.topic for event in folder_ws.events(actor="ada")]
    assert by_ada == ["run.tag_set", "run.created", "run.values_logged"]


@pytest.mark.on_disk
def test_the_actor_of_a_change_is_shown_wherever_a_writer_is(
    folder_ws: Workspace, tmp_path: Path
) -> None:
    run = start(Experiment(folder_ws, "e"))
    own = run.history()[0].who
    as_ada = own.replace(own.partition("@")[0], "ada")
    with opened(folder_ws, actor="ada") as ada:
        ada.get_run(run.id).add_properties({"lr": "0.1"})
        theirs = start(Experiment(ada, "e"))
        for author in (folder_ws, folder_ws, ada, ada):
            with pytest.raises(PropertyConflict, match=re.escape(f"set by {as_ada} at")):
                author.get_run(run.id).add_properties({"lr": "0.2"})

    refusals = [change.who for change in run.history() if change.what == "change_refused"]
    assert refusals == [own, as_ada]
    [listed] = [row for row in folder_ws.get_run_records() if row["run_id"] == theirs.id]
    for record in (folder_ws.get_run(theirs.id).get_record(), listed):
        assert (record["user_id"], record["created_by"]) == ("ada", {"user_name": as_ada})
    assert {change.who for change in folder_ws.diff(0) if change.run_id == theirs.id} == {as_ada}
    assert folder_ws.sql("SELECT set_by FROM properties").fetchall() == [("ada",)]
    assert folder_ws.sql("SELECT actor FROM runs ORDER BY number").fetchall()[1] == ("ada",)
    said = "SELECT actor FROM events WHERE topic = 'run.property_added'"
    assert folder_ws.sql(said).fetchall() == [("ada",)]
    folder_ws.audit.report(tmp_path / "report.html", run=theirs.id)
    assert f"by {as_ada}" in (tmp_path / "report.html").read_text()


@pytest.mark.on_disk
def test_the_actor_of_a_change_survives_a_bundle(folder_ws: Workspace, tmp_path: Path) -> None:
    run = start(Experiment(folder_ws, "e"))
    with opened(folder_ws, actor="ada") as ada:
        ada.get_run(run.id).tag("by", "ada")
    run.complete()
    folder_ws.export(tmp_path / "all.runlore")
    with Workspace.create("elsewhere", path=tmp_path / "elsewhere") as elsewhere:
        elsewhere.import_bundle(tmp_path / "all.runlore")
        changes = elsewhere.get_run(run.id).history()
        assert [change.who for change in changes] == [change.who for change in run.history()]


def test_a_session_can_act_for_somebody_else(ws: Workspace, run: Run) -> None:
    def tag(session: LiveSession) -> None:
        RunHandle.existing(session, run.id).change(SetTags({"by": session.journal.actor}))

    with closing(live(ws).acting_as("ada")) as ada:
        tag(ada)
    tag(live(ws))

    *_, first, second = ws.events()
    assert first.actor == "ada"
    assert second.actor != "ada"
    assert first.writer_id == second.writer_id


@pytest.mark.on_disk
def test_an_actor_that_is_no_text_is_refused_and_leaves_nothing_open(folder_ws: Workspace) -> None:
    folder = folder_of(folder_ws)
    with pytest.raises(InvalidType, match="actor must be a str, got 5"):
        opened(folder_ws, actor=5)
    folder_ws.close()
    with pytest.raises(InvalidType, match="actor must be a str, got 5"):
        opened(folder_ws, actor=5)
    assert open_below(folder) == []


# --- lanes ------------------------------------------------------------------------------------


def test_a_slow_query_in_a_lane_of_its_own_delays_no_other(ws: Workspace, run: Run) -> None:
    session = live(ws)
    began, go_on = threading.Event(), threading.Event()

    def slow(tables: object) -> str:
        began.set()
        assert go_on.wait(LIMIT_S)
        return "slow"

    answers: list[object] = []
    projection = session.reader("slow").projection
    thread = threading.Thread(target=lambda: answers.append(projection.ask(slow)))
    thread.start()
    assert began.wait(LIMIT_S)

    assert [row.run_id for row in session.reader().runs()] == [run.id]
    assert answers == []
    go_on.set()
    thread.join(LIMIT_S)
    assert answers == ["slow"]


@pytest.mark.on_disk
def test_a_lane_is_closed_with_the_last_of_its_users(folder_ws: Workspace) -> None:
    other = opened(folder_ws)
    slow = live(other).reader("slow").projection
    slow.refresh()
    folder_ws.sql("SELECT 1")

    assert live(folder_ws).reader().projection is live(other).reader().projection is not slow
    assert databases_open(folder_ws) == 2
    other.close()
    assert databases_open(folder_ws) == 1
    assert folder_ws.sql("SELECT 2").fetchall() == [(2,)]
    live(folder_ws).drop_projection()
    assert databases_open(folder_ws) == 0


def databases_open(ws: Workspace) -> int:
    """The number of DuckDB's files of the workspace's tables that this process has open."""
    tables = cached(ws.path)
    return len({path for path in open_below(tables) if path.endswith(".duckdb")})
