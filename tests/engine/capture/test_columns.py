"""Lists, SQL, filters and commands show the script and the commit of runs."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from runlore import Experiment, Run, Workspace
from runlore.cli.run.columns import RUN_FIELDS
from runlore.domain.run_commands import RecordEnvironment
from runlore.engine.runs.creation import start_run
from runlore.run.run import handle_of
from runlore.workspace import session_of

OF_TRAINING = {
    "script": "train.py",
    "argv": ["--lr", "0.1"],
    "git": {"commit": "c0ffee", "branch": "main", "dirty": True},
    "host": "node-7",
}


def recorded(exp: Experiment, environment: Mapping[str, object], **properties: str) -> Run:
    run = exp.start_logging(outputs=False, snapshot_directory=None, capture="none")
    handle_of(run).change(RecordEnvironment(environment))
    run.add_properties(properties)
    return run


def columns(ws: Workspace, run: Run) -> tuple[object, ...]:
    query = "SELECT script, git_commit, user = actor, host IS NOT NULL FROM runs WHERE run_id = ?"
    return ws.sql(query, [run.id]).fetchall()[0]


def test_sql_shows_them(folder_ws: Workspace) -> None:
    run = recorded(Experiment(folder_ws, "explore-runs"), OF_TRAINING)
    assert columns(folder_ws, run) == ("train.py", "c0ffee", True, True)


@pytest.mark.parametrize(
    "environment", [{}, {"script": 3, "git": "c0ffee"}, {"git": {"commit": ["c0ffee"]}}]
)
def test_what_is_no_text_is_not_shown(
    folder_ws: Workspace, environment: Mapping[str, object]
) -> None:
    run = recorded(Experiment(folder_ws, "explore-runs"), environment)
    assert columns(folder_ws, run)[:2] == (None, None)


def test_the_commit_of_a_snapshot_counts_without_surroundings(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "explore-runs")
    handle = start_run(
        session_of(folder_ws),
        exp.id,
        exp.name,
        outputs=False,
        properties={"azureml.git.commit": "c0ffee"},
        capture="none",
    )
    [(commit,)] = folder_ws.sql(
        "SELECT git_commit FROM runs WHERE run_id = ?", [handle.id]
    ).fetchall()
    assert commit == "c0ffee"


def test_filters_and_tables_know_them(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "explore-runs")
    run = recorded(exp, OF_TRAINING)
    recorded(exp, {"script": "other.py"})

    table = folder_ws.runs_table(where="git_commit ~ 'c0f' and script = 'train.py'")
    [row] = table.polars().to_dicts()
    assert (row["id"], row["script"], row["git_commit"]) == (run.id, "train.py", "c0ffee")


def test_as_of_a_moment_they_are_what_was_recorded_then(folder_ws: Workspace) -> None:
    run = recorded(Experiment(folder_ws, "explore-runs"), {"script": "first.py"})
    then = run.history()[-1].time
    handle_of(run).change(RecordEnvironment(OF_TRAINING))

    with folder_ws.as_of(then + timedelta(microseconds=1)) as past:
        assert columns(past, run)[:2] == ("first.py", None)
        assert past.get_run(run.id).environment == {"script": "first.py"}
    assert columns(folder_ws, run)[:2] == ("train.py", "c0ffee")


def test_run_show_names_program_and_commit(folder_ws: Workspace) -> None:
    run = recorded(Experiment(folder_ws, "explore-runs"), OF_TRAINING)
    record = {**run.get_record(), "environment": dict(run.environment)}
    shown = {head: field(record) for head, field in RUN_FIELDS}
    assert shown["script"] == "train.py --lr 0.1"
    assert shown["commit"] == "c0ffee (main, files were changed)"
    assert shown["host"] == "node-7"


@pytest.mark.parametrize("environment", [{"argv": 3, "script": "a"}, {"git": {"commit": "c"}}, {}])
def test_run_show_survives_odd_surroundings(
    folder_ws: Workspace, environment: Mapping[str, object]
) -> None:
    run = recorded(Experiment(folder_ws, "explore-runs"), environment)
    record = {**run.get_record(), "environment": environment}
    for _, field in RUN_FIELDS:
        field(record)
