"""Erasing runs: afterwards no byte of the workspace tells what was kept of them."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.audit.verify import verify_folder
from runlore.domain.errors import (
    AlreadyExists,
    ErasureIncomplete,
    InvalidInput,
    InvalidType,
    NotErasable,
    PastIsReadOnly,
    RunGone,
    RunNotFound,
)
from runlore.projections import slots
from runlore.projections.cached_tables import tables_in
from runlore.projections.filters import RunFilter
from runlore.projections.own_projection import OwnProjection
from runlore.testing.logs import check_head
from runlore.testing.submitted import Project, wait_until_gone
from runlore.workspace import session_of
from tests.audit.erasures import SECRETS, fill, found_in
from tests.cached import cache, cached
from tests.processes import start_python, wait_until


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder, which snapshots are taken of, and the cache are not the workspace's."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab", erasable=True) as workspace:
        yield workspace


def start(ws: Workspace) -> Run:
    return Experiment(ws, "lab").start_logging(outputs=False, snapshot_directory=None)


def folder_of(ws: Workspace) -> Path:
    assert ws.path is not None
    return ws.path


def found_of(ws: Workspace) -> list[str]:
    """Where a secret is, in the workspace or in what the cache keeps of it."""
    return [*found_in(folder_of(ws)), *found_in(cache())]


def filled_by_another(ws: Workspace, *, last_words: str = "") -> str:
    """A run that another process filled with secrets; `last_words` is code that ends it."""
    code = f"""
import sys, os, signal
from tests.audit.erasures import fill
from runlore import Workspace
ws = Workspace.open(sys.argv[1])
run = fill(ws)
ws.sql("FROM metric_points").fetchall()
print(run.id, flush=True)
{last_words}
ws.close()
"""
    process = start_python(code, ws.path)
    out, _ = process.communicate(timeout=60)
    return out.strip()


# --- what is left -----------------------------------------------------------------------------


def test_no_byte_of_the_workspace_tells_what_was_in_an_erased_run(ws: Workspace) -> None:
    run = fill(ws)
    kept = fill(ws, marker="KEPT")
    ws.sql("FROM metric_points").fetchall()
    session_of(ws).writable().drop_projection()
    assert found_of(ws) != []  # In tables, as they must be in the clear.

    ws.erase_run(run.id, reason="consent was withdrawn")

    assert found_of(ws) == []
    ws.sql("FROM metric_points").fetchall()
    session_of(ws).writable().drop_projection()
    assert found_of(ws) == []
    assert kept.get_tags() == {"note": "KEPT tag"}
    kept.download_file("secret.txt", "back.txt")
    assert Path("back.txt").read_bytes().startswith(b"KEPT file")


def test_all_lanes_of_all_openings_in_this_process_drop_erased_data(ws: Workspace) -> None:
    run = fill(ws)
    with Workspace.open(ws.uri) as other:
        lanes = [session_of(other).reader(lane) for lane in ("default", "slow")]
        for lane in lanes:
            lane.sql("FROM metric_points").fetchall()

        ws.erase_run(run.id, reason="consent was withdrawn", timeout_s=0.1)

        assert found_in(folder_of(ws)) == []
        for lane in lanes:
            assert lane.sql("SELECT value FROM tags").fetchall() == []
        assert found_in(folder_of(ws)) == []


def test_neither_are_values_that_a_killed_process_had_spooled(ws: Workspace) -> None:
    run_id = filled_by_another(
        ws,
        last_words="""
from runlore import Experiment
late = ws.get_run(run.id)
for number in range(1_000):
    late.log("spooled", SECRETS_IN_SPOOL if number % 2 else 1234.5678)
os.kill(os.getpid(), signal.SIGKILL)
""".replace("SECRETS_IN_SPOOL", repr(SECRETS[0].decode())),
    )

    ws.erase_run(run_id, reason="consent was withdrawn")

    assert found_of(ws) == []
    assert struct.pack("<d", 1234.5678) not in b"".join(
        path.read_bytes() for path in folder_of(ws).rglob("*.spool2")
    )
    assert ws.get_run(run_id).get_metrics() == {}


def test_neither_are_drained_values_in_the_spool_of_a_process_that_lives(ws: Workspace) -> None:
    run = start(ws)
    other = start(ws)
    run.log("metric", SECRETS[0].decode())
    session_of(ws).flush()
    other.log("metric", "later in the same segment")
    run.complete()

    ws.erase_run(run.id, reason="consent was withdrawn")

    assert found_of(ws) == []
    assert other.get_metrics() == {"metric": "later in the same segment"}


def test_values_behind_wiped_ones_survive_the_death_of_their_process(ws: Workspace) -> None:
    run = start(ws)
    code = f"""
import os, signal, sys
from runlore import Workspace
ws = Workspace.open(sys.argv[1])
run = ws.get_run({run.id!r})
for number in range(3):
    run.log("scalar", float(number))
    run.log_row("row", a=number, b="text")
    run.flush()
run.log("scalar", 3.0)
run.log_row("row", a=3, b="text")
os.kill(os.getpid(), signal.SIGKILL)
"""
    start_python(code, ws.path).communicate(timeout=60)

    expected = {"scalar": [0.0, 1.0, 2.0, 3.0], "row": {"a": [0, 1, 2, 3], "b": ["text"] * 4}}
    assert run.get_metrics() == expected
    session_of(ws).recover_values()
    assert list(folder_of(ws).rglob("*.spool2")) == []
    assert run.get_metrics() == expected


@pytest.mark.parametrize("step", ["_remove_spooled", "_empty_wal"])
def test_an_erasure_that_was_killed_is_finished_by_the_next(ws: Workspace, step: str) -> None:
    run_id = filled_by_another(ws)
    code = f"""
import os, signal, sys
from runlore import Workspace
from runlore.engine import erasure
erasure.{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
Workspace.open(sys.argv[1]).erase_run(sys.argv[2], reason="consent was withdrawn")
"""
    killed = start_python(code, ws.path, run_id)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    run = ws.get_run(run_id)
    assert run.erased and run.get_tags() == {}

    ws.erase_run(run_id, reason="again")

    assert found_of(ws) == []
    assert [change.reason for change in run.history() if change.what == "erased"] == [
        "consent was withdrawn"
    ]


def test_a_submitted_run_can_be_repeated_and_erased(tmp_path: Path) -> None:
    project = Project(tmp_path / "submitted", erasable=True)
    ws = project.ws
    secret = SECRETS[0].decode()
    run = project.ended(f"print({secret!r}); open('outputs/x', 'w').write({secret!r})")
    again = project.exp.submit(run)
    again.wait_for_completion()
    for one in (run, again):
        assert one.get_status() == "Completed"
        assert secret in one.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"]
        wait_until_gone(one)

    ws.erase_run(run.id, reason="consent was withdrawn")

    assert again.get_details_with_logs()["logFiles"] != {}
    ws.erase_run(again.id, reason="consent was withdrawn")
    assert found_of(ws) == []
    ws.close()


# --- what remains -----------------------------------------------------------------------------


def test_an_erased_run_keeps_its_place_status_and_times(ws: Workspace) -> None:
    parent, neighbour = start(ws), start(ws)
    child = parent.child_run()
    child.fail("a secret")
    parent.complete()
    before = {key: child.get_record()[key] for key in PLACE}

    ws.erase_run(child.id, reason="asked to")

    assert {key: child.get_record()[key] for key in PLACE} == before
    [listed] = ws.get_run_records(parent_run_id=parent.id)
    assert {key: listed[key] for key in PLACE} == before
    assert (child.erased, child.get_record()["error"], parent.erased) == (True, None, False)
    assert ws.sql("SELECT run_id FROM runs WHERE erased").fetchall() == [(child.id,)]
    assert neighbour.number == 2


PLACE = ("run_id", "run_number", "parent_run_id", "root_run_id", "status", "_experiment_name") + (
    "created_utc",
    "start_time_utc",
    "end_time_utc",
    "created_by",
)


def test_the_erasure_is_told_with_its_reason_by_history_and_sql(ws: Workspace) -> None:
    run = start(ws)
    run.complete()
    ws.erase_run(run.id, reason="consent was withdrawn")

    *_, last = run.history()
    assert (last.what, last.reason) == ("erased", "consent was withdrawn")
    told = ws.sql("SELECT run_id, reason FROM events WHERE topic = 'run.erased'").fetchall()
    assert told == [(run.id, "consent was withdrawn")]


def test_earlier_positions_show_nothing_of_an_erased_run_either(ws: Workspace) -> None:
    run = start(ws)
    run.tag("note", "secret")
    position = ws.log.head().position
    run.complete()
    ws.erase_run(run.id, reason="asked to")

    reader = session_of(ws).reader()
    assert list(reader.at(position).runs(RunFilter(tags={"note": "secret"}))) == []
    assert [row.run_id for row in reader.at(position).runs()] == [run.id]


def test_what_remains_is_so_from_the_creation_on_and_a_diff_does_not_tell_the_erasure(
    ws: Workspace,
) -> None:
    run = start(ws)
    running = ws.position
    run.complete()
    run.tag("note", "secret")
    before = ws.position
    ws.erase_run(run.id, reason="asked to")

    assert ws.as_of(running).get_run(run.id).get_status() == "Completed"
    assert ws.diff(running) == ws.diff(before) == []
    assert [one.position for one in ws.events(before)] == [run.history()[-1].position]


def test_a_workspace_as_of_a_position_before_the_erasure_shows_what_remains(
    ws: Workspace,
) -> None:
    run = fill(ws)
    past = ws.as_of(ws.log.head().position)
    assert past.get_run(run.id).get_tags() == {"note": "PLANTED tag"}

    ws.erase_run(run.id, reason="asked to")

    then = past.get_run(run.id)
    assert (then.get_tags(), then.get_metrics(), then.get_properties()) == ({}, {}, {})
    assert past.sql("SELECT * FROM tags").fetchall() == []
    assert then.get_file_names() == []
    with pytest.raises(PastIsReadOnly):
        past.erase_run(run.id, reason="again")


def test_the_log_verifies_after_an_erasure(ws: Workspace) -> None:
    run = fill(ws)
    before = ws.log.head()
    ws.erase_run(run.id, reason="asked to")
    check_head(ws.log)
    ws.close()

    verified = verify_folder(folder_of(ws))
    assert verified.holds
    assert verified.log.size > before.size


def test_children_stay_unless_all_are_asked_for(ws: Workspace) -> None:
    parent = start(ws)
    child = parent.child_run()
    child.tag("note", "kept")
    child.complete()
    parent.complete()

    ws.erase_run(parent.id, reason="asked to")
    assert child.get_tags() == {"note": "kept"}

    ws.erase_run(parent.id, reason="asked to", recursive=True)
    assert child.erased


# --- what is refused --------------------------------------------------------------------------


def test_an_erased_run_takes_no_change(ws: Workspace) -> None:
    run = start(ws)
    run.complete()
    ws.erase_run(run.id, reason="asked to")

    with pytest.raises(RunGone, match="was erased"):
        run.tag("note", "new")
    with pytest.raises(RunGone):
        run.upload_file("x", io.BytesIO(b"x"))
    run.log("metric", 1.0)
    session_of(ws).flush()
    assert run.get_metrics() == {}
    assert run.get_file_names() == []


def test_an_erased_run_takes_no_change_from_who_has_not_heard_of_it(ws: Workspace) -> None:
    run = start(ws)
    run.complete()
    before = ws.get_run(run.id)
    assert before.get_tags() == run.get_tags()
    ws.erase_run(run.id, reason="asked to")
    position = ws.position

    with pytest.raises(RunGone):
        before.tag("note", "new")
    with pytest.raises(RunGone):
        before.remove_tags(["note"])

    assert ws.position == position


def test_a_run_that_has_not_ended_is_not_erased(ws: Workspace) -> None:
    run = start(ws)
    run.tag("note", "kept")

    with pytest.raises(InvalidInput, match="is Running, and only runs that have ended"):
        ws.erase_run(run.id, reason="asked to")

    assert run.get_tags() == {"note": "kept"}


def test_all_or_none_of_a_tree_are_erased(ws: Workspace) -> None:
    parent = start(ws)
    child = parent.child_run()
    parent.complete()

    with pytest.raises(InvalidInput, match=child.id):
        ws.erase_run(parent.id, reason="asked to", recursive=True)

    assert not parent.erased


def test_an_erasure_needs_a_reason(ws: Workspace) -> None:
    run = start(ws)
    run.complete()

    with pytest.raises(InvalidInput, match="an erasure needs a reason"):
        ws.erase_run(run.id, reason=" ")

    assert not run.erased


def test_a_run_that_is_not_there_is_not_erased(ws: Workspace) -> None:
    with pytest.raises(RunNotFound):
        ws.erase_run("nobody", reason="asked to")


def test_a_workspace_that_was_not_made_erasable_says_why_it_erases_nothing(tmp_path: Path) -> None:
    with Workspace.create("plain", path=tmp_path / "plain") as plain:
        run = start(plain)
        run.complete()

        with pytest.raises(NotErasable, match="payloads unencrypted.*erasable=True"):
            plain.erase_run(run.id, reason="asked to")

        assert not plain.erasable
    with pytest.raises(AlreadyExists, match="was not created erasable"):
        Workspace.create("plain", path=tmp_path / "plain", erasable=True, exist_ok=True)


# --- other processes --------------------------------------------------------------------------

READER = """
import sys
from runlore import Workspace
ws = Workspace.open(sys.argv[1])
for line in sys.stdin:
    print(ws.sql("SELECT count(*) FROM tags").fetchall(), flush=True)
"""


def ask(reader: subprocess.Popen[str]) -> str:
    assert reader.stdin is not None and reader.stdout is not None
    reader.stdin.write("?\n")
    reader.stdin.flush()
    return reader.stdout.readline().strip()


def test_a_process_that_has_read_the_run_is_named_and_drops_it_at_its_next_query(
    ws: Workspace,
) -> None:
    run = fill(ws)
    reader = start_python(READER, ws.path)
    assert ask(reader) == "[(1,)]"

    with pytest.raises(ErasureIncomplete, match=f"tables that process {reader.pid} has open"):
        ws.erase_run(run.id, reason="asked to", timeout_s=0.1)

    assert found_of(ws) == []  # By name nothing is there already.
    assert ask(reader) == "[(0,)]"
    ws.erase_run(run.id, reason="asked to", timeout_s=0.1)
    reader.communicate(timeout=60)
    assert found_of(ws) == []


def test_values_that_a_stopped_process_has_not_written_yet_are_named(ws: Workspace) -> None:
    run = start(ws)
    run.complete()
    code = f"""
import os, signal, sys
from runlore import Workspace
run = Workspace.open(sys.argv[1]).get_run({run.id!r})
run.log("metric", 0.0)
run.flush()
run.log("metric", {SECRETS[0].decode()!r})
os.kill(os.getpid(), signal.SIGSTOP)
run.flush()
"""
    writer = start_python(code, ws.path)
    wait_until(lambda: _state_of(writer.pid) == "T", "it to stop")

    with pytest.raises(ErasureIncomplete, match=rf"pid {writer.pid}\) has logged"):
        ws.erase_run(run.id, reason="asked to", timeout_s=0.1)

    os.kill(writer.pid, signal.SIGCONT)
    ws.erase_run(run.id, reason="asked to")
    writer.communicate(timeout=60)
    assert writer.returncode == 0
    assert found_of(ws) == []
    assert run.get_metrics() == {}


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_old_pages_that_a_reader_keeps_in_the_wal_are_told_and_go_when_it_has_finished(
    ws: Workspace,
) -> None:
    run = start(ws)
    run.complete()
    code = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1] + "/log.sqlite", isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM stored_events").fetchall()
print("reads", flush=True)
sys.stdin.readline()
"""
    reader = start_python(code, ws.path)
    assert reader.stdout is not None and reader.stdout.readline() == "reads\n"

    with pytest.raises(ErasureIncomplete, match="the log's WAL, which another process is reading"):
        ws.erase_run(run.id, reason="asked to", timeout_s=0.1)

    reader.communicate("done\n", timeout=60)
    ws.erase_run(run.id, reason="asked to")
    assert (folder_of(ws) / "log.sqlite-wal").stat().st_size == 0


def test_files_that_come_while_they_are_removed_are_named_and_go_with_the_next_erasure(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fill(ws)
    kept = folder_of(ws) / "artifacts" / run.id
    rmdir = os.rmdir

    def beside_an_upload(path: str, **options: int) -> None:
        if path == kept.name:
            (kept / "late").touch()
        rmdir(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", beside_an_upload)
        with pytest.raises(ErasureIncomplete, match=f"files in {kept}"):
            ws.erase_run(run.id, reason="asked to", timeout_s=0.1)
    assert found_of(ws) == []

    ws.erase_run(run.id, reason="asked to")
    assert not kept.exists()


def test_what_a_reader_wrote_until_it_was_killed_goes_too(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fill(ws)
    ws.sql("FROM runs").fetchall()
    [tables] = tables_in(cached(ws.path))
    slot = slots.claim(tables)
    holds_from_before = slots.InUse.holds_from_before

    def killed_meanwhile(one: slots.InUse, erasure: int) -> bool:
        if one.folder == slot.folder:
            (slot.folder / "segments").mkdir(exist_ok=True)
            (slot.folder / "segments" / "late").write_bytes(SECRETS[0])
            slot.release()
        return holds_from_before(one, erasure)

    monkeypatch.setattr(slots.InUse, "holds_from_before", killed_meanwhile)
    ws.erase_run(run.id, reason="asked to")

    assert found_of(ws) == []


@pytest.mark.parametrize("timeout", ["long", -1, float("nan"), True])
def test_a_meaningless_timeout_is_refused_before_anything_is_erased(
    ws: Workspace, timeout: float
) -> None:
    run = fill(ws, marker="KEPT")

    with pytest.raises((InvalidInput, InvalidType), match="timeout_s must be"):
        ws.erase_run(run.id, reason="asked to", timeout_s=timeout)
    assert run.get_tags() == {"note": "KEPT tag"}


def test_an_erasure_can_wait_as_long_as_it_takes(ws: Workspace) -> None:
    run = fill(ws)

    ws.erase_run(run.id, reason="asked to", timeout_s=float("inf"))

    assert run.erased


def test_what_this_user_may_not_remove_is_told_and_all_else_is_removed(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fill(ws)
    ws.sql("FROM tags").fetchall()

    def refused(folder: Path, erasure: int) -> list[slots.InUse]:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder / "reader-7" / "lock"))

    with monkeypatch.context() as patch:
        patch.setattr(slots, "remove_from_before", refused)
        with pytest.raises(ErasureIncomplete, match="Permission denied.*reader-7"):
            ws.erase_run(run.id, reason="asked to")
    assert (folder_of(ws) / "log.sqlite-wal").stat().st_size == 0

    ws.erase_run(run.id, reason="asked to")
    assert found_of(ws) == []


def test_a_copy_that_a_stopped_process_is_making_is_told(ws: Workspace) -> None:
    run = fill(ws)
    ws.sql("FROM runs").fetchall()
    [tables] = tables_in(cached(ws.path))
    generations = tables / "generations"
    generations.mkdir()
    with (generations / "lock").open("w") as publishing:
        fcntl.flock(publishing, fcntl.LOCK_EX)
        with pytest.raises(ErasureIncomplete, match=f"a copy of tables in {generations}"):
            ws.erase_run(run.id, reason="asked to", timeout_s=0.1)

    ws.erase_run(run.id, reason="asked to")


def reads_it_all(ws: Workspace) -> None:
    ws.sql("FROM metric_points").fetchall()
    session_of(ws).reader().projection.publish()
    session_of(ws).writable().drop_projection()


def test_another_users_tables_go_when_they_next_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs"
    with Workspace.create("lab", path=tmp_path / "lab", erasable=True) as ws:
        run = fill(ws)
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(theirs))
    with Workspace.open(tmp_path / "lab") as ws:
        reads_it_all(ws)
        [tables] = tables_in(cached(ws.path))
    shutil.copytree(tables / "reader-0", tables / "reader-1")  # As two processes at once make.
    shutil.copytree(tables / "reader-0", tables / "gone-x")  # A process was killed in removing it.
    shutil.copytree(tables, tables.with_name("1-0123abcd-duckdb1.4.0"))
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(tmp_path / "mine"))
    with Workspace.open(tmp_path / "lab") as ws:
        reads_it_all(ws)
        assert found_of(ws) != []

        ws.erase_run(run.id, reason="asked to")

        assert found_of(ws) == []
    assert found_in(theirs) != []  # Nobody but they can remove them.
    monkeypatch.setenv("RUNLORE_CACHE_DIR", str(theirs))
    with Workspace.open(tmp_path / "lab") as ws:
        ws.sql("FROM runs LIMIT 0").fetchall()
        assert found_in(theirs) == []
    with Workspace.open(tmp_path / "lab") as ws:
        ws.sql("FROM runs LIMIT 0").fetchall()
        assert session_of(ws).reader().projection.events_read == 0, "only once"


def test_tables_of_a_copy_and_of_an_earlier_place_go_as_well(ws: Workspace, tmp_path: Path) -> None:
    run = fill(ws)
    shutil.copytree(folder_of(ws), tmp_path / "copy")
    with Workspace.open(tmp_path / "copy") as copy:
        reads_it_all(copy)
    assert found_in(cache()) != []

    ws.erase_run(run.id, reason="asked to")

    assert found_of(ws) == []


def test_tables_that_an_earlier_version_kept_in_the_workspace_go_as_well(
    ws: Workspace, tmp_path: Path
) -> None:
    run = fill(ws)
    reads_it_all(ws)
    shutil.copytree(cached(ws.path), folder_of(ws) / "projections")
    photos = tmp_path / "photos"
    (photos / "reader-0").mkdir(parents=True)
    (photos / "reader-0/a.jpg").touch()
    old = folder_of(ws) / "projections"
    (old / "1-0123abcd-duckdb1.4.0").symlink_to(photos)
    [tables] = tables_in(old)
    (tables / "reader-1").symlink_to(photos / "reader-0")
    (tables / "reader-0/spill").symlink_to(photos)

    ws.erase_run(run.id, reason="asked to")

    assert found_of(ws) == []
    assert (photos / "reader-0/a.jpg").exists()


def test_no_generation_is_published_of_what_was_erased(ws: Workspace, tmp_path: Path) -> None:
    run = fill(ws)
    # Another reader, whose tables stay as they were before the erasure, is about to publish.
    ws.sql("FROM runs").fetchall()
    projection = OwnProjection(session_of(ws).log, cached(ws.path))
    projection.refresh()
    with pytest.raises(ErasureIncomplete):
        ws.erase_run(run.id, reason="asked to", timeout_s=0.1)

    projection.publish()

    assert found_in(cached(ws.path)) == []
    projection.close()


def test_a_process_that_had_read_before_the_run_began_is_done_with_it_at_its_next_query(
    ws: Workspace,
) -> None:
    start(ws).tag("kept")
    reader = start_python(READER, ws.path)
    assert ask(reader) == "[(1,)]"
    run = fill(ws)
    with pytest.raises(ErasureIncomplete, match=f"tables that process {reader.pid} has open"):
        ws.erase_run(run.id, reason="asked to", timeout_s=0.1)

    assert ask(reader) == "[(1,)]"

    ws.erase_run(run.id, reason="asked to", timeout_s=0.1)
    reader.communicate(timeout=60)
