"""Commands that only read."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.cli.conftest import start
from tests.cli.shell import in_new_process, in_this_process, runlore
from tests.records import KEYS


def ids(*arguments: str, project: Path) -> list[str]:
    ran = in_this_process("run", "list", *arguments, cwd=project)
    assert (ran.code, ran.err) == (0, "")
    return [record["run_id"] for record in ran.data]


def test_run_list_shows_records_newest_first_without_children(project: Path) -> None:
    records = runlore("run", "list", cwd=project).data

    assert [record["run_id"] for record in records] == ["running", "other", "poor", "fantastic"]
    assert all(list(record) == KEYS for record in records)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-e", "experiment", "--last", "1"], ["running"]),
        (["--tag", "quality"], ["poor", "fantastic"]),
        (["--tags", "quality=poor", "--tag", "worth another look"], ["poor"]),
        (["--property", "author=somebody [else]"], ["other"]),
        (["--properties", "author"], ["other", "poor", "fantastic"]),
        (["--status", "running", "--status", "Failed"], ["running"]),
        (["--recursive", "--status", "Failed"], ["child"]),
        (["--parent-run-id", "oth"], ["child"]),
        (["--compute-target-name", "gpu-cluster"], []),
        (["--sort", "run_id"], ["fantastic", "other", "poor", "running"]),
        (["--sort=-run_id", "--last=2"], ["running", "poor"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_run_list_filters(project: Path, arguments: list[str], expected: list[str]) -> None:
    assert ids(*arguments, project=project) == expected


def test_a_trailing_query_is_the_same_as_one_after_its_option(project: Path) -> None:
    query = "[?properties.author=='azureml-user'].run_id"

    after_option = runlore("run", "list", "--query", query, cwd=project)
    at_the_end = runlore("run", "list", "-e", "experiment", query, cwd=project)

    assert after_option.data == at_the_end.data == ["poor", "fantastic"]


def test_run_list_minimal_has_seven_fields(project: Path) -> None:
    [record] = runlore("run", "list", "--minimal", "--last", "1", cwd=project).data

    assert list(record) == "RunId RunType Status StartTime EndTime Target Tags".split()  # noqa: SIM905


def test_run_show_takes_the_beginning_of_an_id(project: Path) -> None:
    shown = runlore("run", "show", "-r", "fan", cwd=project).data

    assert shown["run_id"] == "fantastic"
    [listed] = runlore("run", "list", "--tag=quality=fantastic run", cwd=project).data
    assert shown == {**listed, "alerts": [], "environment": {}}


def test_run_show_shows_alerts(own_project: Path) -> None:
    with Workspace.open(own_project / "myworkspace") as ws:
        ws.get_run("running").alert("loss jumped", "at step 3", level="warning")

    [alert] = runlore("run", "show", "-r", "running", cwd=own_project).data["alerts"]
    assert (alert["level"], alert["title"], alert["text"]) == (
        "warning",
        "loss jumped",
        "at step 3",
    )
    shown = runlore("run", "show", "-r", "running", "-o", "table", cwd=own_project).out
    assert re.search(r"alerts +\d{4}-\d\d-\d\d \S+ warning: loss jumped \(at step 3\)", shown)


def test_run_metrics_summarises(project: Path) -> None:
    loss, fpr, tpr = runlore("run", "metrics", "-r", "fantastic", cwd=project).data

    assert loss == {
        **{"metric": "loss", "column": None, "count": 2, "last": 0.25},
        **{"min": 0.25, "max": 0.5, "mean": 0.375, "last_step": 1},
    }
    assert [(row["metric"], row["column"], row["last"]) for row in (fpr, tpr)] == [
        ("roc", "fpr", 0.1),
        ("roc", "tpr", 0.7),
    ]


@pytest.mark.parametrize("option", [["--csv"], ["-o", "csv"]], ids=" ".join)
def test_run_metrics_as_csv_holds_every_value(project: Path, option: list[str]) -> None:
    text = runlore("run", "metrics", "-r", "fantastic", *option, cwd=project).out

    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["metric"], row["column"], row["step"], row["value"]) for row in rows] == [
        ("loss", "", "0", "0.5"),
        ("loss", "", "1", "0.25"),
        ("roc", "fpr", "0", "0.1"),
        ("roc", "tpr", "0", "0.7"),
    ]
    assert all(row["time"].endswith("Z") for row in rows)


def test_nan_is_text_in_json(project: Path) -> None:
    [row] = runlore("run", "metrics", "-r", "poor", "--values", cwd=project).data

    assert row["value"] == "nan"


def test_run_compare_shows_runs_side_by_side(project: Path) -> None:
    rows = runlore("run", "compare", "fantastic", "poor", cwd=project).data

    by_name = {(row["kind"], row["name"]): row for row in rows}
    assert by_name["tag", "quality"] == {
        **{"kind": "tag", "name": "quality", "equal": False},
        **{"fantastic": "fantastic run", "poor": "poor"},
    }
    assert by_name["property", "author"]["equal"]
    assert by_name["tag", "worth another look"]["poor"] is True
    assert by_name["metric", "loss"]["fantastic"] == 0.25
    assert by_name["metric", "roc.tpr"]["poor"] is None


def test_run_compare_can_leave_out_equal_rows(project: Path) -> None:
    rows = runlore("run", "compare", "fantastic", "poor", "--differing", cwd=project).data

    assert ("property", "author") not in {(row["kind"], row["name"]) for row in rows}


def test_run_history_says_who_changed_what(project: Path) -> None:
    changes = runlore("run", "history", "-r", "poor", cwd=project).data

    assert [change["what"] for change in changes] == (
        ["created", "property_added", "tag_set", "tag_set", "values_logged", "completed"]
    )


def test_run_tree_nests_children(project: Path) -> None:
    [tree] = runlore("run", "tree", "-r", "other", cwd=project).data
    trees = runlore("run", "tree", "--query", "[].[run_id, children[].run_id]", cwd=project).data

    assert [child["run_id"] for child in tree["children"]] == ["child"]
    assert ["other", ["child"]] in trees


def test_run_tree_is_drawn_for_people(project: Path) -> None:
    drawn = runlore("run", "tree", "-r", "other", "-o", "table", cwd=project).out

    shown = re.sub(r"\d\.\d\d s", "<time>", drawn)
    assert shown == "other  Completed  <time>\n└── child  Failed  <time>\n"


def test_run_watch_once_shows_a_list(project: Path) -> None:
    shown = runlore("run", "watch", "--once", "--last=2", "--query=[].run_id", cwd=project).data

    assert shown == ["running", "other"]


def test_run_watch_ends_when_all_runs_have_ended(project: Path) -> None:
    shown = runlore("run", "watch", "--tag=quality", "-o", "table", cwd=project).out

    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["poor", "fantasti"]
    assert "✓ Completed" in shown and "loss 0.25" in shown


def test_run_list_shows_metrics_and_sorts_and_filters_by_them(project: Path) -> None:
    arguments = ("run", "list", "--metric=loss", "--metric=loss.max", "--sort=-metrics.loss.max")

    shown = runlore(*arguments, "--where", "has(m.loss)", cwd=project).data
    assert [record["run_id"] for record in shown] == ["fantastic", "poor"]
    assert [record["_metrics"] for record in shown] == [
        {"loss": 0.25, "loss.max": 0.5},
        {"loss": "nan", "loss.max": None},
    ]
    table = runlore(*arguments, "--last=1", "-o", "table", cwd=project).out.splitlines()
    assert table[0].split() == [
        *("run_id", "name", "status", "started", "duration"),
        *("loss", "loss.max", "target", "tags"),
    ]
    assert " 0.25 0.5 " in " ".join(table[2].split())


def test_run_list_without_an_experiment_lists_those_of_all(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        for name in ("nets", "trees"):
            start(Experiment(ws, name), f"{name}-0123456789-abc").complete()
            start(Experiment(ws, name), f"{name}-0123456789-abd").complete()

    listed = runlore("run", "list", "-w", "./lab", "-o", "table", cwd=tmp_path).out
    assert [line.split()[:2] for line in listed.splitlines()[2:]] == [
        ["trees-0123456789-abd", "trees"],
        ["trees-0123456789-abc", "trees"],
        ["nets-0123456789-abd", "nets"],
        ["nets-0123456789-abc", "nets"],
    ]
    narrowed = runlore(
        "run", "list", "-w", "./lab", "-e", "nets", "--where", "number = 1", "-o", "table",
        cwd=tmp_path,
    ).out  # fmt: skip
    assert "experiment" not in narrowed
    whole = runlore("run", "list", "-w", "./lab", "[].run_id", cwd=tmp_path).data
    assert whole[0] == "trees-0123456789-abd"


def test_a_listed_id_is_as_short_as_it_is_unique(tmp_path: Path) -> None:
    ids = ["0123456789", "01234567ab", "0123", "aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb"]
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        for run_id in ids:
            start(Experiment(ws, "nets"), run_id).complete()

    listed = runlore("run", "list", "-w", "./lab", "-o", "table", cwd=tmp_path).out
    shown = [line.split()[0] for line in listed.splitlines()[2:]]
    assert shown == ["bbbbbbbb", "aaaaaaaa", "0123", "01234567a", "012345678"]
    for prefix in shown[:2]:
        found = runlore("run", "show", "-w", "./lab", "-r", prefix, cwd=tmp_path).data
        assert found["run_id"].startswith(prefix)


def test_experiment_list_gives_names_times_and_tags(project: Path) -> None:
    [record] = runlore("experiment", "list", cwd=project).data

    assert list(record) == ["id", "name", "created", "archived", "tags"]
    assert (record["name"], record["archived"], record["tags"]) == ("experiment", None, {})
    assert runlore("experiment", "list", "--archived", cwd=project).data == []


def test_workspaces_are_shown_and_listed(project: Path) -> None:
    shown = runlore("workspace", "show", cwd=project).data
    listed = runlore("workspace", "list", cwd=project).data

    assert shown["name"] == "myworkspace"
    assert shown["folder"] == shown["storageAccount"] and shown["runs"] == 5
    [details] = listed
    assert details.items() <= shown.items()


def test_a_workspace_is_found_from_a_subfolder_and_by_path(project: Path) -> None:
    below = project / "src" / "deep"
    below.mkdir(parents=True, exist_ok=True)

    assert runlore("workspace", "show", cwd=below).data["name"] == "myworkspace"
    elsewhere = runlore("workspace", "show", "--path", str(project), cwd=Path("/"))
    assert elsewhere.data["name"] == "myworkspace"


def test_compute_targets_are_listed_and_shown(project: Path) -> None:
    listed = runlore("computetarget", "list", cwd=project).data
    shown = runlore("computetarget", "show", "-n", "local", cwd=project).data

    assert [target["name"] for target in listed] == ["local"]
    assert (shown["name"], shown["status"]["queued"]) == ("local", 0)


def test_sql_gives_rows_by_column(project: Path) -> None:
    query = "SELECT run_id, status FROM runs WHERE run_id = 'child'"

    assert runlore("sql", query, cwd=project).data == [{"run_id": "child", "status": "Failed"}]
    assert runlore("sql", query, "-o", "csv", cwd=project).out == "run_id,status\nchild,Failed\n"
    assert runlore("sql", query, "-o", "tsv", cwd=project).out == "child\tFailed\n"
    assert "child" in runlore("sql", query, "-o", "table", cwd=project).out
    nothing = runlore("sql", f"{query} AND false", "-o", "csv", cwd=project)
    assert nothing.out == "run_id,status\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(project: Path, shell: str) -> None:
    assert "_RUNLORE_COMPLETE" in runlore("completion", shell, cwd=project).out


def test_completion_completes(project: Path) -> None:
    completed = in_new_process(
        cwd=project,
        _RUNLORE_COMPLETE="bash_complete",
        COMP_WORDS="runlore run sub",
        COMP_CWORD="2",
    )

    assert completed.out == "plain,submit-script\n"


def test_the_version_is_shown(project: Path) -> None:
    from runlore import VERSION

    assert runlore("--version", cwd=project).out == f"runlore {VERSION}\n"
