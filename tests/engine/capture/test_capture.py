"""What a run that this process starts records of its surroundings, and when."""

import json
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Run, Workspace, init
from runlore.domain.events import EnvironmentRecorded
from runlore.domain.run_commands import RecordEnvironment
from runlore.engine.capture.beside import Captures
from runlore.engine.capture.parts import Capture, Part
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.log_query import LogQuery
from runlore.testing.children import in_child
from runlore.workspace import session_of
from tests.fresh_python import run_python
from tests.git_repositories import environ as environ
from tests.git_repositories import fresh_git_answers as fresh_git_answers
from tests.git_repositories import git

pytestmark = pytest.mark.processes  # Git is one.


def start(exp: Experiment, capture: Capture = None, **options: object) -> Run:
    return exp.start_logging(
        outputs=False,
        snapshot_directory=None,
        capture=capture,
        **options,  # type: ignore[arg-type]
    )


def recorded(run: Run) -> list[dict[str, object]]:
    """The documents that were recorded for a run, in order."""
    facts = session_of(run.experiment.workspace).journal.facts(f"run/{run.id}")
    return [
        fact.data["environment"]
        for fact in facts
        if fact.topic == EnvironmentRecorded.topic and fact.data is not None
    ]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> Path:
    """The working folder, with one commit of `train.py`, which is what this process executes."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["train.py", "--token", "abc", "--lr", "0.1"])
    (folder / "train.py").write_text("lr = 0.1\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def test_a_run_knows_its_surroundings(exp: Experiment, repository: Path) -> None:
    with start(exp) as run:
        pass

    found = run.environment
    assert found["script"] == "train.py"
    assert found["argv"] == ["--token", "***", "--lr", "0.1"]
    assert found["cwd"] == str(repository)
    assert found["git"] == {
        "commit": git(repository, "rev-parse", "HEAD"),
        "branch": "main",
        "dirty": False,
    }
    assert found["python"]["version"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cpu_count"] >= 1
    assert run.get_properties() == {}
    run.download_file("system/packages.txt")
    listed = (repository / "packages.txt").read_text().splitlines()
    assert len(listed) == found["packages"]["count"] > 10


def test_the_start_waits_for_nothing_that_takes_time(exp: Experiment, repository: Path) -> None:
    with start(exp) as run:
        pass

    at_once, whole = recorded(run)
    assert at_once.keys() == {"script", "cwd", "python"}
    assert at_once.keys() < whole.keys()


def test_what_is_known_is_recorded_at_the_next_start(exp: Experiment, repository: Path) -> None:
    start(exp).complete()
    run = start(exp)
    [at_once] = recorded(run)
    run.complete()

    assert {"argv", "git", "packages"} <= at_once.keys()
    assert recorded(run) == [at_once]
    assert run.get_file_names() == ["system/packages.txt"]


def test_the_list_of_packages_is_stored_once(folder_ws: Workspace, repository: Path) -> None:
    exp = Experiment(folder_ws, "explore-runs")
    for _ in range(3):
        start(exp, "packages").complete()

    folder = session_of(folder_ws).require_files() / "artifacts"
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize(
    ("part", "keys"),
    [
        ("program", {"script", "argv", "cwd", "python"}),
        ("git", {"git"}),
        ("machine", {"host", "platform", "cpu_count", "memory_nbytes"}),
        ("packages", {"packages"}),
    ],
)
def test_each_part_can_be_switched_off(
    exp: Experiment, repository: Path, part: str, keys: set[str]
) -> None:
    with start(exp, {part: False}) as without, start(exp, part) as alone:
        pass

    assert not keys & without.environment.keys()
    assert keys <= alone.environment.keys()
    assert not without.environment.keys() & alone.environment.keys()


@pytest.mark.parametrize("off", ["argument", "variable"])
def test_nothing_is_recorded_if_all_is_off(
    exp: Experiment, repository: Path, monkeypatch: pytest.MonkeyPatch, off: str
) -> None:
    if off == "variable":
        monkeypatch.setenv("RUNLORE_CAPTURE", "none")
    with start(exp, "none" if off == "argument" else True) as run:
        pass

    assert run.environment == {}
    assert [change.what for change in run.history()] == ["created", "completed"]
    assert not run.get_file_names()
    assert threading.active_count() == 1 or "runlore-capture" not in {
        thread.name for thread in threading.enumerate()
    }


def test_changes_since_the_commit_are_kept_on_request(exp: Experiment, repository: Path) -> None:
    (repository / "train.py").write_text("lr = 0.2\n")
    with start(exp, {"diff": True}) as run:
        pass

    assert run.environment["git"]["dirty"] is True
    run.download_file("system/changes.diff", str(repository / "got.diff"))
    assert "-lr = 0.1\n+lr = 0.2\n" in (repository / "got.diff").read_text()


def test_a_diff_runs_nothing_that_the_repository_names(exp: Experiment, repository: Path) -> None:
    mark = repository.parent / "executed"
    program = repository.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    for key in ("diff.external", "diff.odd.textconv", "diff.odd.command", "filter.odd.clean"):
        git(repository, "config", key, str(program))
    git(repository, "config", "core.fsmonitor", str(program))
    (repository / ".gitattributes").write_text("*.py diff=odd filter=odd\n")
    (repository / "train.py").write_text("lr = 0.2\n")
    with start(exp, {"diff": True}) as run:
        pass

    assert "system/changes.diff" in run.get_file_names()
    assert not mark.exists()


def test_children_are_captured_as_their_parent_is(exp: Experiment, repository: Path) -> None:
    with start(exp, "program") as parent, parent.child_run("child") as child:
        pass

    assert child.environment == parent.environment
    assert "git" not in child.environment


class Told:
    """A run that notes the surroundings it is told."""

    def __init__(self, run_id: str) -> None:
        self.id = run_id
        self.environments: list[Mapping[str, Any]] = []

    def change(self, command: RecordEnvironment) -> None:
        self.environments.append(command.environment)

    @property
    def artifacts(self) -> ArtifactStore:
        raise AssertionError("the program has no files")


def test_what_is_found_while_a_run_is_created_is_recorded_of_it(repository: Path) -> None:
    captures, parts = Captures(), frozenset({Part.PROGRAM})
    earlier, later = Told("earlier"), Told("later")
    first, second = captures.at_start(earlier, parts), captures.at_start(later, parts)

    captures.after_start(first)
    captures.settle()
    captures.after_start(second)
    captures.settle()

    [whole] = earlier.environments
    assert "argv" in whole
    assert later.environments == [whole]


def test_a_repository_that_does_not_answer_ends_no_run(
    exp: Experiment, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with start(exp) as run:
        pass

    assert "git" not in run.environment
    assert run.environment["script"] == "train.py"


def test_a_store_without_room_keeps_the_digest(
    folder_ws: Workspace, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (session_of(folder_ws).require_files() / "artifacts").write_text("a file is in the way")
    with start(Experiment(folder_ws, "explore-runs")) as run:
        pass

    assert run.environment["packages"]["count"] > 0
    assert run.get_status() == "Completed"
    assert run.get_file_names() == []


def test_a_fork_waits_for_the_thread_and_the_parent_goes_on(
    folder_ws: Workspace, repository: Path
) -> None:
    exp = Experiment(folder_ws, "explore-runs")
    run = start(exp)
    threads = in_child(lambda: [thread.name for thread in threading.enumerate()])
    run.complete()

    assert threads == ["MainThread"]
    assert {"script", "packages", "host"} <= run.environment.keys()


def test_a_child_can_capture_its_own_runs(folder_ws: Workspace, repository: Path) -> None:
    exp = Experiment(folder_ws, "explore-runs")
    start(exp)

    def captured() -> dict[str, object]:
        with start(exp) as run:
            pass
        return dict(run.environment)

    assert in_child(captured).keys() >= {"script", "git", "packages"}


@pytest.mark.long
def test_a_process_that_ends_at_once_has_recorded_all(tmp_path: Path) -> None:
    run_python(
        "import runlore; runlore.init('x', workspace='ws')", cwd=tmp_path, RUNLORE_CAPTURE="all"
    )
    with Workspace.open(tmp_path / "ws") as ws:
        [found] = ws.sql("SELECT environment FROM environments").fetchall()
    assert {"script", "packages", "host"} <= json.loads(found[0]).keys()


def test_init_captures_and_can_be_told_not_to(tmp_path: Path, repository: Path) -> None:
    with init("x", workspace=tmp_path / "ws") as run:
        pass
    with init("x", workspace=tmp_path / "ws", capture="none") as silent:
        pass

    assert run.environment["git"]["branch"] == "main"
    assert silent.environment == {}


def test_the_history_names_what_was_recorded(exp: Experiment, repository: Path) -> None:
    with start(exp, "program") as run:
        pass

    told = [(c.what, c.key, c.new) for c in run.history() if c.what == "environment_recorded"]
    assert told == [
        ("environment_recorded", "script, cwd, python", None),
        ("environment_recorded", "argv", '["--token","***","--lr","0.1"]'),
    ]


def test_no_secret_reaches_the_workspace(tmp_path: Path, repository: Path) -> None:
    sys.argv[1:] = ["--password", "hunter2hunter2", "--url=https://me:hunter2hunter2@host/x"]
    with init("x", workspace=tmp_path / "ws") as run:
        run.log("loss", 1)
    run.experiment.workspace.close()

    for path in (tmp_path / "ws").rglob("*"):
        if path.is_file():
            assert b"hunter2hunter2" not in path.read_bytes(), path


def test_events_of_a_run_that_was_killed_at_once_name_its_script(tmp_path: Path) -> None:
    run_python(
        "import os, runlore; runlore.init('x', workspace='ws'); os._exit(0)",
        cwd=tmp_path,
        RUNLORE_CAPTURE="all",
    )
    with Workspace.open(tmp_path / "ws") as ws:
        log = session_of(ws).log
        assert log.count_events(LogQuery(topics=(EnvironmentRecorded.topic,))) >= 1
