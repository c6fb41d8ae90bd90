"""Whatever the SDK tells of a workspace, it tells the same later, as of that position."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from runlore import ComputeTarget, Experiment, Run, ViewType, Workspace
from runlore.domain.errors import PastIsReadOnly, RunloreError, WorkspaceClosed
from runlore.run import get_run
from runlore.run.comparison import compare_runs
from runlore.run.guesses import GUESSES
from runlore.storage.log_query import LogQuery
from runlore.workspace import session_of
from tests.cached import cached
from tests.engine.random_history import RUNS, happen
from tests.workspaces import start

FILTERS: list[dict[str, Any]] = [
    {},
    {"tags": "a"},
    {"tags": {"a": "x"}, "include_children": True},
    {"properties": "p", "include_children": True},
    {"type": "hyperdrive", "include_children": True},
]

# --- what can be asked ------------------------------------------------------------------------


def _text(answer: object) -> object:
    """An answer that can be compared and kept: objects of the SDK by what tells them apart."""
    match answer:
        case Run() | Experiment():
            return (type(answer).__name__, answer.id)
        case ComputeTarget():
            return answer.serialize()
        case Mapping():
            return {key: _text(value) for key, value in answer.items()}
        case str():
            return answer
        case list() | tuple() | Iterator():
            return [_text(one) for one in answer]
        case _:
            return repr(answer)


def _read_file(run: Run) -> list[bytes]:
    names = run.get_file_names()
    for name in names:
        run.download_file(name, "downloaded")
    return [Path("downloaded").read_bytes() for _ in names]


def _downloaded(run: Run) -> list[str]:
    with TemporaryDirectory(dir=".") as folder:
        run.download_files(output_directory=folder)
        return sorted(path.name for path in Path(folder).glob("**/*"))


OF_RUN: dict[str, Callable[[Run], object]] = {
    "id": lambda run: run.id,
    "experiment": lambda run: run.experiment,
    "name": lambda run: run.name,
    "display_name": lambda run: run.display_name,
    "description": lambda run: run.description,
    "type": lambda run: run.type,
    "number": lambda run: run.number,
    "erased": lambda run: run.erased,
    "parent": lambda run: run.parent,
    "root": lambda run: run.root,
    "status": lambda run: run.status,
    "should_stop": lambda run: run.should_stop,
    "tags": lambda run: run.tags,
    "properties": lambda run: run.properties,
    "get_status": lambda run: run.get_status(),
    "get_detailed_status": lambda run: run.get_detailed_status(),
    "get_config": lambda run: run.get_config(),
    "get_tags": lambda run: run.get_tags(),
    "get_properties": lambda run: run.get_properties(),
    "get_alerts": lambda run: run.get_alerts(),
    "get_system_metrics": lambda run: run.get_system_metrics(),
    "environment": lambda run: run.environment,
    "get_details": lambda run: run.get_details(),
    "get_details_with_logs": lambda run: run.get_details_with_logs(),
    "get_record": lambda run: run.get_record(),
    "get_metrics": lambda run: (run.get_metrics(recursive=True), run.get_metrics("loss")),
    "rollup": lambda run: (run.rollup("loss"), run.rollup("acc", mode="min")),
    "values": lambda run: (list(run.values("loss")), list(run.values("loss", max_points=3))),
    "get_children": lambda run: [
        list(run.get_children(recursive=recursive, tags=tags))
        for recursive in (False, True)
        for tags in (None, "a")
    ],
    "history": lambda run: run.history(),
    "diff": lambda run: [run.diff(0), run.diff(run.experiment.workspace.position - 3)],
    "get_file_names": lambda run: run.get_file_names(),
    "download_file": _read_file,
    "download_files": _downloaded,
    "fetch_reference": lambda run: _answer(
        lambda run: run.fetch_reference("far", allow=["/data"]), run
    ),
    "get_all_logs": lambda run: run.get_all_logs("logs"),
    "get_snapshot_id": lambda run: run.get_snapshot_id(),
    "restore_snapshot": lambda run: run.restore_snapshot(path="snapshots"),
    "list": lambda run: Run.list(run.experiment, status="Running", include_children=True),
    "get": lambda run: get_run(run.experiment, run.id),
}
# Not the duration, as that of a run that goes on is another one a moment later.
TABLES: list[dict[str, Any]] = [
    {"columns": ["id", "status", "t.a", "c.c", "p.p", "m.acc", "m.loss.min"], "sort": "-m.acc.max"},
    {"where": "not status = Running and (m.loss < 5 or has(t.a))", "columns": ["id", "m.acc.mean"]},
]
OF_EXPERIMENT: dict[str, Callable[[Experiment], object]] = {
    "id": lambda experiment: experiment.id,
    "name": lambda experiment: experiment.name,
    "workspace": lambda experiment: experiment.workspace.name,
    "archived_time": lambda experiment: experiment.archived_time,
    "tags": lambda experiment: experiment.tags,
    "get_record": lambda experiment: experiment.get_record(),
    "get_runs": lambda experiment: [list(experiment.get_runs(**held)) for held in FILTERS],
    "runs_table": lambda experiment: [
        experiment.runs_table(include_children=True, **asked).fetchall() for asked in TABLES
    ],
    "best": lambda experiment: [
        _answer(lambda experiment: experiment.best("loss"), experiment),
        _answer(lambda experiment: experiment.best("acc", mode="min"), experiment),
    ],
}
OF_FOLDERS_NOW = {"log_nbytes", "waiting_values", "writers"}
OF_WORKSPACE: dict[str, Callable[[Workspace], object]] = {
    "name": lambda ws: ws.name,
    "position": lambda ws: ws.position,
    "tags": lambda ws: ws.tags,
    "uri": lambda ws: ws.uri,
    "path": lambda ws: ws.path,
    "location": lambda ws: ws.location,
    "subscription_id": lambda ws: ws.subscription_id,
    "resource_group": lambda ws: ws.resource_group,
    "get_details": lambda ws: ws.get_details(),
    "overview": lambda ws: {
        name: told for name, told in ws.overview().items() if name not in OF_FOLDERS_NOW
    },
    "experiments": lambda ws: ws.experiments,
    "compute_targets": lambda ws: ws.compute_targets,
    "find_run": lambda ws: [_answer(lambda ws: ws.find_run("r"), ws), ws.find_run("r0")],
    "get_run_records": lambda ws: [
        ws.get_run_records(sort="status", include_children=True),
        ws.get_run_records(tags={"a": "x"}, last=2),
        ws.get_run_records(parent_run_id="r0", include_children=True),
    ],
    "runs_table": lambda ws: [ws.runs_table(**asked).fetchall() for asked in TABLES],
    "sql": lambda ws: [
        ws.sql(f"FROM {view} ORDER BY ALL").fetchall()
        for view in (
            "experiments",
            "runs",
            "tags",
            "config",
            "metrics",
            "events",
            "tag_history",
            "run_rollup",
        )
    ],
    "events": lambda ws: [ws.events(), ws.events(2, topics="run.tag_set")],
    "diff": lambda ws: [ws.diff(0), ws.diff(ws.position // 2)],
    "log": lambda ws: [list(ws.log.read_log(LogQuery(limit=1_000))), ws.log.head().frontier],
    "Experiment.list": lambda ws: Experiment.list(ws, view_type=ViewType.All),
    "Experiment.find": lambda ws: Experiment.find(ws, "e0", archived=True),
    "ComputeTarget.get_status": lambda ws: ComputeTarget(ws, "pool").get_status().serialize(),
    "Run.list_by_compute": lambda ws: Run.list_by_compute(ComputeTarget(ws, "local")),
    "compare_runs": lambda ws: compare_runs([ws.get_run("r0"), ws.get_run("r1")]),
}


def _answer(ask: Callable[[Any], object], of: object) -> object:
    """What is answered; an error is an answer, too."""
    try:
        return _text(ask(of))
    except RunloreError as error:
        # Of what is missing it is said as of when.
        return re.sub(r" as of position \d+", "", f"{type(error).__name__}: {error}")


def answers(ws: Workspace) -> dict[str, object]:
    """All that the SDK tells of a workspace."""
    told = {f"workspace {name}": _answer(ask, ws) for name, ask in OF_WORKSPACE.items()}
    for experiment in Experiment.list(ws, view_type=ViewType.All):
        for name, ask_experiment in OF_EXPERIMENT.items():
            told[f"{experiment.id} {name}"] = _answer(ask_experiment, experiment)
    for run_id in RUNS:
        found = _answer(lambda ws: ws.get_run(run_id), ws)  # noqa: B023  (asked at once)
        told[f"{run_id} get_run"] = found
        if not isinstance(found, str):
            for name, ask_run in OF_RUN.items():
                told[f"{run_id} {name}"] = _answer(ask_run, ws.get_run(run_id))
    return told


@pytest.mark.long
@pytest.mark.slow
def test_every_answer_as_of_a_position_is_what_was_answered_there(
    ws: Workspace, project: Path
) -> None:
    (project / "source").mkdir()
    (project / "source" / "train.py").write_text("print('training')\n")
    pick = random.Random(2 if ws.path else 3)
    then = []
    for step in range(18):
        happen(ws, pick, step)
        if step % 3 == 2:
            _ = ws.log  # Values that wait are written, so that the position is theirs.
            then.append((ws.position, answers(ws)))

    for position, told in then:
        past = ws.as_of(position)
        assert past.position == position
        assert answers(past) == told


# --- what cannot be done ----------------------------------------------------------------------

CHANGES: dict[str, Callable[[Run], object]] = {
    "add_reference": lambda run: run.add_reference("far", "/data/far"),
    "register_model": lambda run: run.register_model("net"),
    "start_queued": lambda run: run.start_queued(),
    "add_config": lambda run: run.add_config({"lr": 0.1}),
    "correct_config": lambda run: run.correct_config("c", 0.2, reason="wrong"),
    "archive": lambda run: run.archive(),
    "alert": lambda run: run.alert("too hot"),
    "resume": lambda run: run.resume(reason="more"),
    "rewind": lambda run: run.rewind(0),
    "reactivate": lambda run: run.reactivate(),
    "add_properties": lambda run: run.add_properties({"k": "v"}),
    "correct_property": lambda run: run.correct_property("k", "w", reason="wrong"),
    "cancel": lambda run: run.cancel(),
    "child_run": lambda run: run.child_run(),
    "complete": lambda run: run.complete(),
    "finish": lambda run: run.finish(),
    "create_children": lambda run: run.create_children(2),
    "fail": lambda run: run.fail("because"),
    "log": lambda run: run.log("loss", 1.0),
    "log_accuracy_table": lambda run: run.log_accuracy_table("t", {"schema_type": "x"}),
    "log_batch": lambda run: run.log_batch("loss", [1.0]),
    "log_confusion_matrix": lambda run: run.log_confusion_matrix("m", {"schema_type": "x"}),
    "log_image": lambda run: run.log_image("i", "picture.png"),
    "log_list": lambda run: run.log_list("loss", [1.0]),
    "log_metrics": lambda run: run.log_metrics({"loss": 1.0}),
    "log_predictions": lambda run: run.log_predictions("p", {"schema_type": "x"}),
    "log_residuals": lambda run: run.log_residuals("r", {"schema_type": "x"}),
    "log_row": lambda run: run.log_row("row", x=1.0),
    "log_table": lambda run: run.log_table("table", {"x": [1.0]}),
    "remove_tags": lambda run: run.remove_tags(["a"]),
    "set_tags": lambda run: run.set_tags({"a": "y"}),
    "start": lambda run: run.start(),
    "submit_child": lambda run: run.submit_child(run),
    "tag": lambda run: run.tag("a", "y"),
    "take_snapshot": lambda run: run.take_snapshot("."),
    "log_artifact": lambda run: run.log_artifact("file:///data/far"),
    "upload_file": lambda run: run.upload_file("f", __file__),
    "upload_files": lambda run: run.upload_files(["f"], [__file__]),
    "upload_folder": lambda run: run.upload_folder("f", "."),
    "wait_for_completion": lambda run: run.wait_for_completion(),
    "display_name": lambda run: setattr(run, "display_name", "x"),
    "description": lambda run: setattr(run, "description", "x"),
    "with": lambda run: run.__enter__(),
    "Experiment": lambda run: Experiment(run.experiment.workspace, "another"),
    "start_logging": lambda run: run.experiment.start_logging(),
    "submit": lambda run: run.experiment.submit(run),
    "experiment.tag": lambda run: run.experiment.tag("a"),
    "experiment.set_tags": lambda run: run.experiment.set_tags({"a": "x"}),
    "experiment.remove_tags": lambda run: run.experiment.remove_tags(["a"]),
    "experiment.archive": lambda run: run.experiment.archive(),
    "experiment.reactivate": lambda run: run.experiment.reactivate(),
    "attach": lambda run: ComputeTarget.attach(run.experiment.workspace, "gpu"),
    "delete": lambda run: ComputeTarget(run.experiment.workspace, "local").delete(),
    "erase_run": lambda run: run.experiment.workspace.erase_run(run.id, reason="asked"),
    "write_config": lambda run: run.experiment.workspace.write_config(),
    "append": lambda run: run.experiment.workspace.log.append([]),
    "subscribe": lambda run: run.experiment.workspace.subscribe(),
    "append_foreign": lambda run: run.experiment.workspace.log.append_foreign([]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_of_what_was_is_refused_and_leaves_nothing(
    ws: Workspace, run: Run, project: Path, name: str
) -> None:
    (project / "picture.png").write_bytes(b"")
    past = ws.as_of(ws.position).get_run(run.id)
    run.complete()  # What was Running is still to be ended as of then, and that is refused.
    position = ws.position
    files = sorted(project.glob("**/*"))

    with pytest.raises(PastIsReadOnly, match="position"):
        CHANGES[name](past)

    assert ws.position == position
    assert sorted(project.glob("**/*")) == files


NEITHER = {
    *("add_type_provider", "get_context", "flush", "clean", "get_environment"),
    *("get_secret", "get_secrets", "list_by_compute", "input_datasets", "output_datasets"),
    *("get_portal_url", "plot"),  # One names the moment, the other draws what `values` gives.
    *GUESSES["run"],
}
"""Members of `Run` that are about no run, do nothing or are out of scope, or only raise."""


def test_every_member_of_a_run_is_read_or_refused_above() -> None:
    members = {name for name in dir(Run) if not name.startswith("_")}

    assert members - OF_RUN.keys() - CHANGES.keys() - NEITHER == set()


def test_every_question_of_an_as_of_workspace_is_asked_as_of_its_position(ws: Workspace) -> None:
    position = ws.position
    reader = session_of(ws.as_of(position)).reader()

    assert reader.position == position
    assert session_of(ws).reader().position is None


def test_an_as_of_workspace_ends_with_the_one_that_it_is_of(ws: Workspace) -> None:
    past, other = ws.as_of(ws.position), ws.as_of(ws.position)

    past.close()
    with pytest.raises(WorkspaceClosed):
        _ = past.experiments
    assert ws.experiments == other.experiments == {}
    ws.close()
    with pytest.raises(WorkspaceClosed):
        _ = other.experiments


def test_values_that_still_wait_are_not_seen_as_of_a_position(ws: Workspace, run: Run) -> None:
    run.log("loss", 1.0)
    run.flush()
    position = ws.position
    run.log("loss", 2.0)

    assert ws.as_of(position).get_run(run.id).get_metrics() == {"loss": 1.0}
    assert run.get_metrics() == {"loss": [1.0, 2.0]}


def test_what_was_can_be_asked_as_of_an_earlier_moment_from_the_same_tables(
    folder_ws: Workspace,
) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.tag("a", "x")
    early = folder_ws.position
    run.tag("a", "y")
    past = folder_ws.as_of(folder_ws.position)
    query = "SELECT value FROM tags"
    assert past.sql(query).fetchall() == [("y",)]

    assert past.as_of(early).sql(query).fetchall() == [("x",)]

    assert len(list(cached(folder_ws.path).glob("*/reader-*"))) == 1
