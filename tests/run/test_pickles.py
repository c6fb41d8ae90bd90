"""Workspaces, experiments and runs in pickles and copies: by URI and id."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from runlore import Experiment, Run, ScriptRun, Workspace
from runlore.exceptions import PastIsReadOnly, UserErrorException
from runlore.workspace import session_of
from tests.workspaces import start


@pytest.fixture
def ws(tmp_path: Path) -> Workspace:
    return Workspace.create("lab", path=tmp_path / "lab", actor="ada")


@pytest.fixture
def run(ws: Workspace) -> Run:
    return start(Experiment(ws, "explore-runs"))


WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda each: pickle.loads(pickle.dumps(each)),
    "cloudpickle": lambda each: pickle.loads(cloudpickle.dumps(each)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_copied_is_the_same_in_the_log(ws: Workspace, run: Run, way: str) -> None:
    workspace, experiment, copied = WAYS[way]([ws, run.experiment, run])

    assert workspace.uri == ws.uri
    assert experiment.id == run.experiment.id
    assert copied.id == run.id
    assert copied.experiment.workspace is workspace
    copied.log("loss", 0.5)
    copied.tag("quality", "good")
    assert run.get_tags() == {"quality": "good"}
    assert run.get_metrics() == {"loss": 0.5}
    workspace.close()
    run.log("loss", 0.25)
    assert run.get_metrics() == {"loss": [0.5, 0.25]}


def test_the_actor_stays(ws: Workspace, run: Run) -> None:
    copied = pickle.loads(pickle.dumps(run))
    copied.tag("by", "a copy")

    assert run.history()[-1].who.startswith("ada@")


def test_a_view_of_the_past_stays_one(ws: Workspace, run: Run) -> None:
    position = ws.position
    run.tag("later", "1")

    past = pickle.loads(pickle.dumps(ws.as_of(position).get_run(run.id)))

    assert past.get_tags() == {}
    with pytest.raises(PastIsReadOnly):
        past.tag("a", "b")


def test_a_copied_object_goes_on_with_its_series(run: Run) -> None:
    run.log("loss", 1)
    shallow = copy.copy(run)
    shallow.log("loss", 2)
    run.log("loss", 3)

    assert session_of(shallow.experiment.workspace) is session_of(run.experiment.workspace)
    assert run.values("loss").steps.tolist() == [0, 1, 2]


def test_kinds_of_runs_stay(run: Run) -> None:
    assert type(pickle.loads(pickle.dumps(run))) is Run
    assert ScriptRun.__reduce__ is Run.__reduce__


def test_a_workspace_in_memory_says_why_it_cannot_be_sent() -> None:
    run = Run.get_context()

    with pytest.raises(UserErrorException, match="is in the memory of this process"):
        pickle.dumps(run)


def test_an_experiment_that_was_renamed_is_found(run: Run) -> None:
    pickled = pickle.dumps(run)

    assert pickle.loads(pickled).experiment.name == "explore-runs"


def log_in_worker(run: Run, number: int) -> int:
    run.log("from a worker", number)
    run.flush()
    return len(run.get_metrics("from a worker"))


@pytest.mark.processes
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_workers_get_the_run_as_an_argument(run: Run, method: str) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
        list(pool.map(log_in_worker, [run] * 4, range(4)))

    assert sorted(run.get_metrics("from a worker")["from a worker"]) == [0, 1, 2, 3]
