"""Experiments of any name, and their renames: events of an id in the streams of both names."""

from __future__ import annotations

from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import AlreadyExists, ExperimentNotFound, InvalidInput
from runlore.domain.ids import experiment_stream
from runlore.engine.experiments import current_name, rename_experiment
from runlore.engine.streams import stream_of_experiment
from runlore.workspace import session_of


def rename(workspace: Workspace, name: str, to: str) -> None:
    found = Experiment(workspace, name)
    rename_experiment(session_of(workspace), stream_of_experiment(name), found.id, to)


def start(experiment: Experiment, run_id: str) -> Run:
    return experiment.start_logging(run_id=run_id, outputs=False, snapshot_directory=None)


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create("lab", path=tmp_path / "lab")


@pytest.mark.parametrize(
    "name", ["two words", "cv/fold 1", "50%", "a%2Fb", "  x", "実験\n2", "x" * 500]
)
def test_an_experiment_may_have_any_name(ws: Workspace, name: str) -> None:
    experiment = Experiment(ws, name)
    run = start(experiment, "r")
    run.log("loss", 1.0)
    assert Experiment(ws, name).id == experiment.id
    assert [found.name for found in Experiment.list(ws)] == [name]
    assert run.experiment.name == name
    assert [found.id for found in experiment.get_runs()] == ["r"]
    assert ws.sql("select experiment from runs").fetchall() == [(name,)]


def test_an_experiment_does_not_contain_those_whose_names_begin_with_its(ws: Workspace) -> None:
    for name in ("a", "a/b"):
        Experiment(ws, name)
    assert [e.stream for e in ws.events(stream="experiment/a")] == ["experiment/a"]


def test_a_rename_takes_the_runs_and_tags_along_and_frees_the_old_name(ws: Workspace) -> None:
    old = Experiment(ws, "old")
    old.tag("stage", "first")
    run = start(old, "r1")
    child = run.child_run(run_id="c1")
    position = len(list(ws.events()))
    rename(ws, "old", "new/name")

    assert old.name == "old" and old.tags == {"stage": "first"}  # Reading follows the rename.
    assert old.name == "new/name"
    assert ws.get_run("r1").experiment.name == "new/name"
    assert ws.get_run("c1").experiment.id == old.id
    assert child.child_run(run_id="c2").experiment.name == "new/name"
    start(old, "r2")
    assert ws.get_run("r2").get_details()["runId"] == "r2"
    old.tag("stage", "second")
    assert Experiment(ws, "new/name").tags == {"stage": "second"}

    fresh = Experiment(ws, "old")
    assert fresh.id != old.id
    assert fresh.tags == {}
    assert ws.as_of(position).get_run("r1").experiment.name == "old"


def test_both_streams_get_the_event_in_one_commit(ws: Workspace) -> None:
    Experiment(ws, "old")
    rename(ws, "old", "new")
    renamed = [e for e in ws.events() if e.topic == "experiment.renamed"]
    assert [event.stream for event in renamed] == [
        experiment_stream("old"),
        experiment_stream("new"),
    ]
    assert renamed[0].position + 1 == renamed[1].position
    assert renamed[0].data == renamed[1].data


def test_renames_are_followed_and_may_go_back(ws: Workspace) -> None:
    experiment = Experiment(ws, "a")
    for before, after in (("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")):
        rename(ws, before, after)
        assert current_name(session_of(ws), before, experiment.id) == after
    assert Experiment(ws, "d").id == experiment.id
    with pytest.raises(ExperimentNotFound):
        rename_experiment(session_of(ws), stream_of_experiment("x"), experiment.id, "y")


def test_a_taken_name_is_not_given_and_nothing_is_recorded(ws: Workspace) -> None:
    Experiment(ws, "a").tag("which", "a")
    Experiment(ws, "b")
    events = len(list(ws.events()))
    with pytest.raises(AlreadyExists, match="'a' cannot be renamed to 'b'"):
        rename(ws, "a", "b")
    with pytest.raises(InvalidInput, match="limit is 500"):
        rename(ws, "a", "x" * 501)
    rename(ws, "a", "a")
    assert len(list(ws.events())) == events
    Experiment(ws, "b").archive()
    rename(ws, "a", "b")
    assert Experiment(ws, "b").tags == {"which": "a"}


def test_of_two_processes_that_rename_at_once_one_wins(ws: Workspace, tmp_path: Path) -> None:
    """The second has read the streams before the first renames."""
    with Workspace.open(tmp_path / "lab") as other:
        experiment = Experiment(ws, "a")
        session, names = session_of(other), stream_of_experiment("a")
        session.journal.refresh(names)
        append = session.journal.append

        def beaten(*args: object, **options: object) -> None:
            session.journal.append = append  # type: ignore[method-assign]
            rename(ws, "a", "mine")
            append(*args, **options)  # type: ignore[arg-type]

        session.journal.append = beaten  # type: ignore[method-assign]
        rename_experiment(session, names, experiment.id, "yours")
    assert current_name(session_of(ws), "a", experiment.id) == "yours"
    assert [e.stream for e in ws.events() if e.topic == "experiment.renamed"] == [
        "experiment/a",
        "experiment/mine",
        "experiment/mine",
        "experiment/yours",
    ]
