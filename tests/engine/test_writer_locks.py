"""A session's writer lock: from its first change to its close, values or not."""

from __future__ import annotations

import pytest

from runlore import Experiment, Workspace
from runlore.storage.held_path import hold
from runlore.storage.writers import Life, state_of, writers_in
from runlore.workspace import session_of
from tests.processes import in_child
from tests.workspaces import start


def test_interactive_run_without_values_has_a_living_writer(folder_ws: Workspace) -> None:
    start(Experiment(folder_ws, "e"))
    files, writer_id = session_of(folder_ws).files, session_of(folder_ws).journal.writer_id
    assert files is not None
    assert state_of(hold(files), writer_id).life is Life.ALIVE
    folder_ws.close()
    assert state_of(hold(files), writer_id).life is Life.LEFT


def test_reader_makes_no_lock(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    session = session_of(folder_ws)
    assert session.files is not None
    with Workspace.open(session.files) as again:
        assert again.get_run(run.id).get_status() == "Running"
        assert len(list(Experiment(again, "e").get_runs())) == 1
        assert writers_in(hold(session.files)) == [session.journal.writer_id]


@pytest.mark.processes
def test_forked_child_that_writes_is_a_writer_of_its_own(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    session = session_of(folder_ws)
    assert session.files is not None
    parent, files = session.journal.writer_id, session.files

    def tag() -> tuple[str, list[str]]:
        run.tag("seen", "by the child")
        return session.journal.writer_id, writers_in(hold(files))

    child, seen = in_child(tag)
    assert seen == sorted([parent, child])
    assert state_of(hold(files), parent).life is Life.ALIVE
    assert state_of(hold(files), child).life is Life.DEAD  # It ended by `os._exit`.


# --- lock files of the dead -----------------------------------------------------------------------


@pytest.mark.processes
def test_lock_of_a_dead_writer_goes_when_nothing_of_its_is_open(folder_ws: Workspace) -> None:
    parent = start(Experiment(folder_ws, "e"))
    session = session_of(folder_ws)
    assert session.files is not None
    own = session.journal.writer_id

    def tag() -> None:  # And end by `os._exit`, as worker processes do.
        parent.tag("seen", "by the child")

    def start_run() -> tuple[str, str]:
        return start(Experiment(folder_ws, "e")).id, session.journal.writer_id

    in_child(tag)
    run_id, starter = in_child(start_run)
    assert len(writers_in(hold(session.files))) == 3
    assert folder_ws.get_run(run_id).get_status() == "Failed"  # Lost, with its process.
    assert starter not in writers_in(hold(session.files))
    with Workspace.open(session.files) as again:
        list(Experiment(again, "e").get_runs())
        assert writers_in(hold(session.files)) == [own]
