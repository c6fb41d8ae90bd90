"""Copied folders are only read; adopted they are workspaces of their own, moved ones go on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.fact import utc_time
from runlore.engine.repair import adopt, condition_of, lose_runs_of_dead_writers, settle_moved
from runlore.exceptions import UserErrorException
from runlore.run.run import handle_of
from runlore.storage.errors import LogReadOnly
from runlore.storage.held_path import hold
from runlore.storage.spool_folder import is_copied
from runlore.storage.writers import Life, writers_in
from runlore.workspace import session_of
from tests.processes import in_child
from tests.workspaces import start

UNKNOWN = "unknown (copied workspace)"


@pytest.fixture
def lab(folder_ws: Workspace) -> Path:
    assert folder_ws.path is not None
    return folder_ws.path


@pytest.fixture
def run(folder_ws: Workspace) -> Run:
    """A run that is executing, with a value that is in the spool only."""
    run = start(Experiment(folder_ws, "e"))
    run.log("loss", 0.5)
    return run


@pytest.fixture
def copy(lab: Path, run: Run) -> Iterator[Workspace]:
    """The workspace's copy, made while the run was executing."""
    folder = shutil.copytree(lab, lab.with_name("copy"))
    with Workspace.open(folder) as opened:
        yield opened


def folder_of(ws: Workspace) -> Path:
    assert ws.path is not None
    return ws.path


def content_of(folder: Path) -> dict[str, bytes]:
    """All files but the log's, which SQLite tidies up for readers, too."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("log.sqlite")
    }


def losses_of(ws: Workspace, run_id: str) -> list[dict[str, object]]:
    facts = handle_of(ws.get_run(run_id)).session.journal.facts(f"run/{run_id}")
    return [fact.data["evidence"] for fact in facts if fact.topic == "run.lost" and fact.data]


# --- reading --------------------------------------------------------------------------------------


def test_reading_a_copy_changes_nothing(lab: Path, run: Run) -> None:
    folder = shutil.copytree(lab, lab.with_name("copy"))
    (folder / "runs" / "some-run").mkdir(parents=True)  # What a supervisor leaves.
    (folder / "runs" / "some-run" / "supervisor.lock").write_text('["host", "boot"]')
    before = content_of(folder)
    head = session_of(run.experiment.workspace).log.head()
    with Workspace.open(folder) as copy:
        found = copy.get_run(run.id)
        assert found.get_metrics() == {"loss": 0.5}
        assert found.get_status() == found.get_details()["status"] == UNKNOWN
        assert [row.id for row in Experiment(copy, "e").get_runs()] == [run.id]
        assert copy.sql("SELECT count(*) FROM events").fetchall() == [(head.position,)]
        session_of(copy).writable().recover_values()
        session_of(copy).writable().look_after(at_once=True)
        assert session_of(copy).log.head() == head
    assert content_of(folder) == before


def test_asking_a_copy_as_of_a_time_writes_nothing(copy: Workspace) -> None:
    log = session_of(copy).log
    last = utc_time(log.head().recorded_at)
    held = log.head(), content_of(folder_of(copy))

    before = copy.as_of(last - timedelta(microseconds=1))
    assert before.position < log.head().position
    with pytest.raises(LogReadOnly, match="in a copied workspace reading cannot"):
        before.as_of(datetime.now(UTC))
    with pytest.raises(LogReadOnly, match="in a copied workspace reading cannot"):
        copy.as_of(datetime.now(UTC))

    assert (log.head(), content_of(folder_of(copy))) == held


def test_original_is_no_copy(lab: Path, run: Run) -> None:
    with Workspace.open(lab) as again:
        assert again.get_run(run.id).get_status() == "Running"
    found = condition_of(hold(lab))
    assert not found.is_copy and len(found.alive) == len(found.waiting) == 1


def test_waiting_for_a_run_in_a_copy_does_not_go_on_for_ever(copy: Workspace, run: Run) -> None:
    with pytest.raises(UserErrorException, match="in the original only"):
        copy.get_run(run.id).wait_for_completion()


def test_run_that_is_started_in_a_copy_is_running_there(copy: Workspace, run: Run) -> None:
    own = start(Experiment(copy, "e"))
    assert copy.get_run(own.id).get_status() == "Running"
    assert copy.get_run(run.id).get_status() == UNKNOWN
    own.complete()
    assert own.get_status() == "Completed"


# --- adopting -------------------------------------------------------------------------------------


def test_adopted_copy_is_a_workspace_of_its_own(copy: Workspace, lab: Path, run: Run) -> None:
    session = session_of(copy).writable()
    origin = session.workspace.workspace_id
    adopted = adopt(session, "for the paper")
    assert adopted != origin
    assert (session.workspace.workspace_id, session.workspace.origin_id) == (adopted, origin)
    assert copy.sql("SELECT value FROM metric_points").fetchall() == [(0.5,)]
    found = copy.get_run(run.id)
    assert found.get_status() == "Failed"
    assert origin in found.get_details()["error"]["error"]["message"]
    assert losses_of(copy, run.id) == [{"origin": origin}]
    assert writers_in(hold(folder_of(copy))) == [session.journal.writer_id]
    assert not is_copied(hold(folder_of(copy)))

    run.complete()  # The original goes on, and has each value once.
    assert run.get_status() == "Completed" and not is_copied(hold(lab))
    original = run.experiment.workspace
    assert original.sql("SELECT value FROM metric_points").fetchall() == [(0.5,)]
    assert session_of(original).workspace.workspace_id == origin


def test_adoption_is_in_the_log_with_its_note(copy: Workspace) -> None:
    adopt(session_of(copy).writable())
    copy.close()
    with Workspace.open(folder_of(copy)) as again:
        _, adoption = session_of(again).journal.facts("workspace")
        assert adoption.topic == "workspace.adopted" and adoption.data is not None
        assert adoption.data["note"] == str(folder_of(copy))
        assert session_of(again).workspace.origin_id == adoption.data["origin_id"]


@pytest.mark.processes
def test_workspace_in_use_is_not_adopted(lab: Path, run: Run) -> None:
    def adopt_it() -> str:
        with Workspace.open(lab) as again, pytest.raises(UserErrorException) as refused:
            adopt(session_of(again).writable())
        return str(refused.value)

    assert "is in use by" in in_child(adopt_it)
    assert run.get_status() == "Running"


# --- moving ---------------------------------------------------------------------------------------


def test_moved_workspace_keeps_its_id_and_loses_runs_of_the_original(
    copy: Workspace, run: Run
) -> None:
    session = session_of(copy).writable()
    before = session.workspace
    own = start(Experiment(copy, "e"))
    assert settle_moved(session) == [run.id]
    assert session.workspace == before
    found = copy.get_run(run.id)
    assert found.get_status() == "Failed" and own.get_status() == "Running"
    assert copy.sql("SELECT value FROM metric_points").fetchall() == [(0.5,)]
    [evidence] = losses_of(copy, run.id)
    assert evidence["writer"] == session_of(run.experiment.workspace).journal.writer_id
    assert not is_copied(hold(folder_of(copy))) and settle_moved(session) == []


# --- dead writers ---------------------------------------------------------------------------------


@pytest.mark.processes
def test_run_of_a_dead_process_is_lost_with_the_evidence(folder_ws: Workspace) -> None:
    def die() -> tuple[str, str]:  # It ends by `os._exit`, and leaves its lock file.
        run = start(Experiment(folder_ws, "e"))
        run.log("loss", 0.5)
        run.flush()
        return run.id, session_of(folder_ws).journal.writer_id

    run_id, writer_id = in_child(die)
    session = session_of(folder_ws).writable()
    assert lose_runs_of_dead_writers(session) == [run_id]
    [evidence] = losses_of(folder_ws, run_id)
    assert (evidence["writer"], evidence["lock"]) == (writer_id, "free")
    assert folder_ws.get_run(run_id).get_status() == "Failed"
    assert lose_runs_of_dead_writers(session) == []


@pytest.mark.processes
def test_run_in_which_another_process_lives_is_not_lost(folder_ws: Workspace) -> None:
    def die() -> str:
        return str(start(Experiment(folder_ws, "e")).id)

    run_id = in_child(die)
    folder_ws.get_run(run_id).log("loss", 0.5)
    session = session_of(folder_ws).writable()
    assert lose_runs_of_dead_writers(session) == []


def test_run_whose_process_closed_the_workspace_is_left_as_it_is(
    folder_ws: Workspace, lab: Path
) -> None:
    run_id = start(Experiment(folder_ws, "e")).id
    folder_ws.close()
    with Workspace.open(lab) as again:
        assert lose_runs_of_dead_writers(session_of(again).writable()) == []
        assert again.get_run(run_id).get_status() == "Running"


def test_condition_tells_the_writers_and_what_waits(copy: Workspace, lab: Path) -> None:
    (folder_of(copy) / "spools" / "x.spool2.damaged").touch()
    found = condition_of(hold(folder_of(copy)))
    [(writer_id, state)] = found.writers.items()
    assert (state.life, state.in_copy, found.waiting) == (Life.UNKNOWN, True, (writer_id,))
    assert [path.name for path in found.damaged] == ["x.spool2.damaged"]
