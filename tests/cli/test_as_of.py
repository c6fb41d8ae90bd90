"""`--as-of` on every command that reads, `diff` and `events`."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from runlore import Workspace
from tests.cli.conftest import fill
from tests.cli.shell import COMMAND, environment, in_this_process, runlore
from tests.cli.test_help import COMMANDS
from tests.processes import LIMIT_S
from tests.zones import zone

CHANGING = {
    "artifacts deliver",
    "artifacts place",
    "artifacts prune",
    *(
        "folder attach",
        "workspace copy",
        "workspace create",
        "workspace grant",
        "experiment archive",
        "experiment reactivate",
    ),
    *(
        "run update",
        "run tag",
        "run untag",
        "run correct-property",
        "run archive",
        "run reactivate",
        "run resume",
        "run submit-script",
        "run resubmit",
        "run start",
        "run cancel",
    ),
    *("computetarget attach", "computetarget create amlcompute", "computetarget delete"),
    "computetarget trust",
}
OF_NOW = {
    "workspace list": "lists folders",
    "run watch": "follows runs",
    "run monitor-logs": "follows a run",
    "diff": "takes two moments",
    "alert": "follows a workspace",
    "studio": "shows any moment",
    "completion": "is about the shell",
    "repair": "is about the folder",
    "trust": "is about this user's settings",
    "cache show": "is about this user's tables",
    "cache clean": "is about this user's tables",
    "cache publish": "is about this user's tables",
    **{
        name: "is about the log"
        for name in COMMANDS
        if name.startswith("audit ") and name != "audit report"
    },
}
ARGUMENTS = {
    # Without the size of the log and the processes of now, which the past has not.
    "workspace show": ["--query", "[name, events, last_event, runs, runs_by_status, tags, folder]"],
    "experiment list": ["--all"],
    "run list": ["--recursive", "--last", "50"],
    "run show": ["-r", "fantastic"],
    "run tree": [],
    "run metrics": ["-r", "fantastic"],
    "run history": ["-r", "fantastic"],
    "run compare": ["fantastic", "poor"],
    "run download-logs": ["-r", "fantastic", "-d", "logs"],
    "audit report": ["-r", "fantastic", "-o", "report.html"],
    "computetarget list": [],
    "computetarget show": ["-n", "local"],
    "sql": ["SELECT * FROM runs ORDER BY run_id"],
    "events": [],
}


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict[str, str]]:
    """A project that went on; what each reading command had shown at a position before that."""
    folder = tmp_path_factory.mktemp("as-of") / "project"
    folder.mkdir()
    fill(folder)
    with Workspace.open(folder / "myworkspace") as ws:
        position = ws.position
    then = {name: shown(name, folder) for name in ARGUMENTS}
    with Workspace.open(folder / "myworkspace") as ws:
        run = ws.get_run("fantastic")
        run.tag("quality", "poor after all")
        run.log("loss", 9.0)
        run.flush()
        run.upload_file("logs/late.txt", __file__)
        ws.get_run("running").complete()
        run.experiment.tag("stage", "over")
        ws.get_run("poor").experiment.archive()
    return folder, position, then


def shown(name: str, folder: Path, *more: str) -> str:
    ran = in_this_process(*name.split(), *ARGUMENTS[name], *more, cwd=folder)
    assert ran.code == 0
    # Only with the option a line says as of when the answer is.
    assert len(ran.err.splitlines()) == ("--as-of" in more), ran.err
    return ran.out


def test_only_commands_that_read_have_the_option() -> None:
    having = {
        name
        for name, command in COMMANDS.items()
        if any("--as-of" in param.opts for param in command.params)
    }

    assert having == COMMANDS.keys() - CHANGING - OF_NOW.keys() == ARGUMENTS.keys()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_command_shows_as_of_a_position_what_it_showed_there(
    changed: tuple[Path, int, dict[str, str]], name: str
) -> None:
    folder, position, then = changed

    assert shown(name, folder, "--as-of", str(position)) == then[name]


@pytest.mark.parametrize("form", [[], ["-o", "table"], ["--query", "[].name"]])
def test_a_line_says_as_of_when_the_answer_is(
    changed: tuple[Path, int, dict[str, str]], form: list[str]
) -> None:
    folder, position, _ = changed
    with Workspace.open(folder / "myworkspace") as ws:
        [event] = list(ws.events(position - 1))[:1]

    def said(moment: str) -> str:
        return in_this_process("experiment", "list", *form, "--as-of", moment, cwd=folder).err

    with zone("JST-9"):
        assert re.fullmatch(
            r"as of \d{4}-\d\d-\d\d 00:00:00\+09:00 \(local time\), position 0\n",
            said("yesterday"),
        )
        assert said("2026-03-03 12:00:01") == (
            "as of 2026-03-03 12:00:01+09:00 (local time), position 0\n"
        )
        assert said("2026-03-03T12:00Z") == "as of 2026-03-03 12:00:00+00:00, position 0\n"
        when = event.time.isoformat(" ", "seconds")
        assert said(str(position)) == f"as of position {position}, {when}\n"
        assert said("0") == "as of position 0, before the first event\n"


def test_following_an_earlier_state_is_refused(
    changed: tuple[Path, int, dict[str, str]],
) -> None:
    folder, position, _ = changed

    ran = in_this_process("events", "--follow", "--as-of", str(position), cwd=folder)

    assert ran.code == 1 and "is read-only" in ran.err


def test_a_time_and_the_file_of_a_checkpoint_are_moments(
    changed: tuple[Path, int, dict[str, str]], tmp_path: Path
) -> None:
    folder, position, then = changed
    with Workspace.open(folder / "myworkspace") as ws:
        [event] = list(ws.events(position - 1))[:1]
        size = sum(1 for _ in ws.as_of(position).events())
    (tmp_path / "checkpoint").write_text(f"example.org/lab\n{size}\nAAAA\n")

    assert shown("run list", folder, "--as-of", event.time.isoformat()) == then["run list"]
    assert shown("run list", folder, "--as-of", str(tmp_path / "checkpoint")) == then["run list"]


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ("99999", "which ends at"),
        ("the day before", "is not a moment of a workspace"),
        ("2999-01-01T00:00:00Z", "has not passed yet"),
    ],
)
def test_an_invalid_moment_is_refused_with_the_way_out(
    project: Path, moment: str, message: str
) -> None:
    ran = in_this_process("run", "list", "--as-of", moment, cwd=project)

    assert (ran.code, ran.out) == (1, "")
    assert message in ran.err


def test_diff_shows_what_happened_in_between(changed: tuple[Path, int, dict[str, str]]) -> None:
    folder, position, _ = changed

    every = runlore("diff", str(position), cwd=folder).data
    of_run = in_this_process("diff", str(position), "-r", "fan", cwd=folder).data
    table = in_this_process("diff", "0", str(position), "-o", "table", cwd=folder).out

    assert [change for change in every if change["run_id"] == "fantastic"] == of_run
    assert [(change["what"], change["kind"], change["key"], change["new"]) for change in of_run][
        :2
    ] == [
        ("tag", "changed", "quality", "poor after all"),
        ("metric", "changed", "loss", {"n": 3, "last": 9.0}),
    ]
    assert {change["what"] for change in every} >= {"experiment", "experiment_tag", "status"}
    assert "run created" in table and "fantastic" in table


def test_a_table_of_differences_says_why(own_project: Path) -> None:
    with Workspace.open(own_project / "myworkspace") as ws:
        before = ws.position
        ws.get_run("poor").tag("quality", "good", reason="looked again")

    ran = runlore("diff", str(before), "-o", "table", cwd=own_project)
    assert "reason" in ran.out.splitlines()[0] and "looked again" in ran.out


def test_a_run_that_did_not_exist_yet_says_as_of_when(project: Path) -> None:
    ran = runlore("run", "show", "-r", "running", "--as-of", "2", cwd=project, code=1)

    assert "no run 'running' in workspace 'myworkspace' as of position 2" in ran.err


def test_events_are_filtered_and_limited(changed: tuple[Path, int, dict[str, str]]) -> None:
    folder, position, _ = changed

    tags = in_this_process("events", "--topic", "run.tag_set", "--limit", "2", cwd=folder).data
    later = in_this_process("events", "--after", str(position), cwd=folder).data
    values = in_this_process("events", "--stream", "run/poor/values", cwd=folder).data

    assert [event["data"]["value"] for event in tags] == ["fantastic run", "poor"]
    assert [event["position"] for event in later][0] == position + 1
    assert [event["data"]["count"] for event in values] == [1]
    assert in_this_process("events", "--actor", "nobody", cwd=folder).data == []


def test_new_events_become_lines_as_soon_as_they_are_committed(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    fill(folder)
    command = [*COMMAND, "events", "--follow", "--limit", "3", "--query", "[topic, data.key]"]
    with Workspace.open(folder / "myworkspace") as ws:
        run, after = ws.get_run("running"), ws.position
        with subprocess.Popen(
            [*command, "--after", str(after), "--timeout", str(LIMIT_S)],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            run.tag("a")
            lines = [process.stdout.readline(), process.stdout.readline()]
            run.tag("b")
            lines += process.stdout

    assert [json.loads(line) for line in lines] == [
        ["writer.opened", None],
        ["run.tag_set", "a"],
        ["run.tag_set", "b"],
    ]
    assert process.returncode == 0


def test_a_feed_without_events_ends_after_its_timeout(project: Path) -> None:
    with Workspace.open(project / "myworkspace") as ws:
        after = str(ws.position - 1)

    arguments = ["events", "--follow", "--timeout", "0", "-o", "table", "--after", after]
    ran = in_this_process(*arguments, cwd=project)

    assert ran.code == 0
    assert len(ran.out.splitlines()) == 1
