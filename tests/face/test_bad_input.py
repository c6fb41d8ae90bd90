from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidInput, InvalidType, RunloreError, WorkspaceClosed
from runlore.exceptions import UserErrorException
from runlore.workspace import session_of
from tests.workspaces import start

# --- a closed workspace -----------------------------------------------------------------------

WORKSPACE_USES: dict[str, Callable[[Workspace], object]] = {
    "experiments": lambda ws: ws.experiments,
    "compute_targets": lambda ws: ws.compute_targets,
    "get_run": lambda ws: ws.get_run("r"),
    "get_details": lambda ws: ws.get_details(),
    "sql": lambda ws: ws.sql("SELECT 1"),
    "write_config": lambda ws: ws.write_config(),
    "with": lambda ws: ws.__enter__(),
    "Experiment": lambda ws: Experiment(ws, "e"),
    "Experiment.list": lambda ws: Experiment.list(ws),
    "Run.get": lambda ws: Run.get(ws, "r"),
}

EXPERIMENT_USES: dict[str, Callable[[Experiment], object]] = {
    "start_logging": lambda exp: exp.start_logging(),
    "get_runs": lambda exp: exp.get_runs(),
    "Run.list": lambda exp: Run.list(exp),
    "Run": lambda exp: Run(exp, "r"),
    "archive": lambda exp: exp.archive(),
    "reactivate": lambda exp: exp.reactivate(),
    "tag": lambda exp: exp.tag("a"),
    "set_tags": lambda exp: exp.set_tags({"a": "b"}),
    "remove_tags": lambda exp: exp.remove_tags(["a"]),
    "refresh": lambda exp: exp.refresh(),
    "tags": lambda exp: exp.tags,
    "archived_time": lambda exp: exp.archived_time,
}

RUN_USES: dict[str, Callable[[Run], object]] = {
    "log": lambda run: run.log("m", 1),
    "log another": lambda run: run.log("another", 1),
    "log_metrics": lambda run: run.log_metrics({"m": 1}),
    "log_batch": lambda run: run.log_batch("m", [1]),
    "log_list": lambda run: run.log_list("m", [1]),
    "log_row": lambda run: run.log_row("m", x=1),
    "log_table": lambda run: run.log_table("m", {"x": [1]}),
    "log_image": lambda run: run.log_image("m", path="a.png"),
    "log_residuals": lambda run: run.log_residuals("m", {}),
    "get_metrics": lambda run: run.get_metrics(),
    "get_metrics recursive": lambda run: run.get_metrics(recursive=True),
    "values": lambda run: run.values("m"),
    "flush": lambda run: run.flush(),
    "tag": lambda run: run.tag("a"),
    "set_tags": lambda run: run.set_tags({"a": "b"}),
    "remove_tags": lambda run: run.remove_tags(["a"]),
    "add_properties": lambda run: run.add_properties({"a": "b"}),
    "get_status": lambda run: run.get_status(),
    "get_tags": lambda run: run.get_tags(),
    "get_properties": lambda run: run.get_properties(),
    "get_details": lambda run: run.get_details(),
    "get_details_with_logs": lambda run: run.get_details_with_logs(),
    "get_detailed_status": lambda run: run.get_detailed_status(),
    "display_name": lambda run: run.display_name,
    "display_name =": lambda run: setattr(run, "display_name", "x"),
    "description": lambda run: run.description,
    "description =": lambda run: setattr(run, "description", "x"),
    "number": lambda run: run.number,
    "history": lambda run: run.history(),
    "start": lambda run: run.start(),
    "start_queued": lambda run: run.start_queued(),
    "complete": lambda run: run.complete(),
    "finish": lambda run: run.finish(),
    "fail": lambda run: run.fail(),
    "cancel": lambda run: run.cancel(),
    "wait_for_completion": lambda run: run.wait_for_completion(),
    "child_run": lambda run: run.child_run(),
    "create_children": lambda run: run.create_children(count=1),
    "get_children": lambda run: run.get_children(),
    "upload_file": lambda run: run.upload_file("a", io.BytesIO(b"a")),
    "upload_files": lambda run: run.upload_files(["a"], ["a.png"]),
    "upload_folder": lambda run: run.upload_folder("a", "."),
    "add_reference": lambda run: run.add_reference("a", "s3://bucket/key"),
    "fetch_reference": lambda run: run.fetch_reference("a", allow=[]),
    "download_file": lambda run: run.download_file("a"),
    "download_files": lambda run: run.download_files(),
    "get_file_names": lambda run: run.get_file_names(),
    "get_all_logs": lambda run: run.get_all_logs(),
    "take_snapshot": lambda run: run.take_snapshot("src"),
    "restore_snapshot": lambda run: run.restore_snapshot(),
    "get_snapshot_id": lambda run: run.get_snapshot_id(),
}


@pytest.fixture
def files(project: Path) -> None:
    (project / "a.png").write_bytes(b"picture")
    (project / "src").mkdir()


@pytest.mark.parametrize("use", WORKSPACE_USES.values(), ids=WORKSPACE_USES)
def test_a_closed_workspace_says_that_it_is_closed(
    ws: Workspace, use: Callable[[Workspace], object]
) -> None:
    ws.close()

    with pytest.raises(WorkspaceClosed, match=r"workspace 'lab' is closed; open it again with"):
        use(ws)


@pytest.mark.parametrize("use", EXPERIMENT_USES.values(), ids=EXPERIMENT_USES)
def test_an_experiment_of_a_closed_workspace_says_that_it_is_closed(
    exp: Experiment, use: Callable[[Experiment], object], project: Path
) -> None:
    exp.workspace.close()

    with pytest.raises(WorkspaceClosed):
        use(exp)

    assert list(project.iterdir()) == []


@pytest.mark.parametrize("use", RUN_USES.values(), ids=RUN_USES)
def test_a_run_of_a_closed_workspace_says_that_it_is_closed(
    run: Run, use: Callable[[Run], object], files: None
) -> None:
    run.log("m", 1)
    run.experiment.workspace.close()

    with pytest.raises(WorkspaceClosed):
        use(run)


def test_a_list_that_is_continued_after_the_close_says_that_it_is_closed(exp: Experiment) -> None:
    start(exp).create_children(count=600)
    runs = exp.get_runs(include_children=True)
    next(runs)
    exp.workspace.close()

    with pytest.raises(WorkspaceClosed):
        list(runs)


def test_attributes_that_need_no_read_still_work_after_the_close(run: Run) -> None:
    ws, exp = run.experiment.workspace, run.experiment
    run.tag("a", "b")

    ws.close()

    assert (ws.name, ws.location, ws.tags) == ("lab", ws.location, {})
    assert repr(ws).startswith("Workspace.create(name='lab'")
    assert (exp.name, repr(exp)) == (
        "explore-runs",
        "Experiment(Name: explore-runs,\nWorkspace: lab)",
    )
    assert exp == exp
    assert run.id in run.get_portal_url()
    assert (run.status, run.tags, run.properties) == ("Running", {"a": "b"}, {})
    assert run == run


def test_a_value_that_is_logged_after_the_close_is_dropped(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.log("m", 1)
    folder_ws.close()

    for _ in range(3):
        with pytest.raises(WorkspaceClosed):
            run.log("m", 2)

    assert Workspace.open(folder_ws.uri).get_run(run.id).get_metrics() == {"m": 1}


# --- names, texts and ids at the start --------------------------------------------------------

BAD_STARTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"name": ""}, InvalidInput, "run name is empty"),
    ({"name": 5}, InvalidType, "run name must be a str, got int 5"),
    ({"display_name": "a\nb"}, InvalidInput, "display name .* holds control characters"),
    ({"display_name": "x" * 1001}, InvalidInput, "has 1001 characters; the limit is 1000"),
    ({"display_name": b"x"}, InvalidType, "display name must be a str, got bytes"),
    ({"description": "\ud800"}, InvalidInput, "description .* lone surrogate"),
    ({"description": "x" * (2**20 + 1)}, InvalidInput, "description has 1048577 bytes"),
    ({"description": 5}, InvalidType, "description must be a str"),
    ({"tags": "a"}, InvalidType, "tags must be a dict, got str 'a'"),
    ({"tags": ["a"]}, InvalidType, "tags must be a dict, got list"),
    ({"tags": {"": "x"}}, InvalidInput, "tag key is empty"),
    ({"tags": {"a": "\ud800"}}, InvalidInput, "value of tag 'a'"),
    ({"run_id": 5}, InvalidType, "run id must be a str, got int 5"),
    ({"run_id": "a/b"}, InvalidInput, "'a/b' is not a valid run id; it takes 1 to 256 letters"),
    ({"run_id": "\ud800"}, InvalidInput, "is not a valid run id"),
    ({"run_id": ""}, InvalidInput, "'' is not a valid run id"),
]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    BAD_STARTS,
    ids=[f"{next(iter(options))}-{n}" for n, (options, _, _) in enumerate(BAD_STARTS)],
)
def test_a_bad_argument_starts_no_run_and_keeps_no_file(
    exp: Experiment,
    project: Path,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    (project / "train.py").write_text("")
    root = session_of(exp.workspace).writable().artifact_backend.folder
    assert root is not None

    with pytest.raises(error, match=message) as raised:
        exp.start_logging(**options)

    assert isinstance(raised.value, UserErrorException)
    assert list(exp.get_runs()) == []
    assert [path.name for path in project.iterdir()] == ["train.py"]
    assert not root.exists() or root.names() == []


@pytest.mark.parametrize("run_id", ["a/b", "../x", "a\\b", "", "x" * 257, "\ud800", "a\0b"])
def test_a_bad_run_id_is_refused_everywhere(exp: Experiment, run: Run, run_id: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: exp.workspace.get_run(run_id),
        lambda: Run(exp, run_id),
        lambda: run.child_run(run_id=run_id),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match="is not a valid run id"):
            call()


@pytest.mark.parametrize("name", ["", "x" * 1001, "a\0", "\ud800", 5, None], ids=range(6))
def test_a_bad_display_name_changes_nothing(run: Run, name: Any) -> None:
    with pytest.raises((InvalidInput, InvalidType), match="display name"):
        run.display_name = name

    assert run.display_name == run.id


@pytest.mark.parametrize("text", ["x" * (2**20 + 1), "\ud800", 5, None], ids=range(4))
def test_a_bad_description_changes_nothing(run: Run, text: Any) -> None:
    with pytest.raises((InvalidInput, InvalidType), match="description"):
        run.description = text

    assert run.description is None


@pytest.mark.parametrize("path", [5, None, b"lab", ["lab"]], ids=repr)
def test_a_workspaces_path_of_another_type_is_refused(path: Any) -> None:
    with pytest.raises(InvalidType, match="a workspace's path must be a str or a path"):
        Workspace.open(path)


def test_a_path_with_a_null_character_is_refused(project: Path) -> None:
    with pytest.raises(InvalidInput, match="null character"):
        Workspace.open("a\0b")
    with pytest.raises(InvalidInput, match="null character"):
        Workspace.create("lab", path="a\0b")


@pytest.mark.parametrize(
    "query", ["", "DELETE FROM runs", "SELECT 1; SELECT 2", "nonsense", 5, "SELECT * FROM nobody"]
)
def test_a_failing_query_says_why(ws: Workspace, query: Any) -> None:
    with pytest.raises(UserErrorException, match=r"sql\(\)"):
        ws.sql(query)


def test_every_error_is_caught_by_azures_root(ws: Workspace) -> None:
    calls: list[Callable[[], object]] = [
        lambda: Experiment(ws, ""),
        lambda: ws.get_run("nobody"),
        lambda: Workspace.open("nowhere"),
        lambda: ws.sql("nonsense"),
        lambda: ws.delete(),
    ]
    for call in calls:
        with pytest.raises(RunloreError) as raised:
            call()
        assert len(raised.value.message) > 20
