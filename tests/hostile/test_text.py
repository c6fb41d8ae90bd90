"""Text from a log is only text, whichever command shows it, in whichever form.

Every command is called on a workspace whose texts hold everything that a terminal might obey. A new
command fails here until it has its line in ARGUMENTS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from runlore.testing.submitted import Project
from tests.cli.shell import Ran, as_if_on_terminal, in_this_process, on_terminal
from tests.cli.test_help import COMMANDS
from tests.hostile.hostile_log import (
    BENIGN,
    EXPERIMENT,
    FORBIDDEN,
    HOSTILE,
    IN_NAMES,
    LOG,
    write_hostile_workspace,
)

ARGUMENTS = {
    "folder attach": [],
    "workspace create": ["--exist-ok"],
    "workspace show": [],
    "workspace list": [],
    "workspace grant": ["--role", "r", "--as", "reader"],
    "experiment list": ["--all"],
    "experiment archive": ["-e", f"experiment{IN_NAMES}"],
    "experiment reactivate": ["-e", f"experiment{IN_NAMES}"],
    "run list": ["-e", EXPERIMENT, "--recursive"],
    "run show": ["-r", BENIGN],
    "run update": ["-r", BENIGN, "--add-tag", "a=b"],
    "run tag": ["-r", BENIGN, "a=b"],
    "run untag": ["-r", BENIGN, "a"],
    "run archive": ["-r", BENIGN],
    "run reactivate": ["-r", BENIGN],
    "run resume": ["-r", BENIGN, "--reason", "more epochs"],
    "run correct-property": ["-r", BENIGN, "property=1", "--reason", "a typo"],
    "run tree": ["-e", EXPERIMENT],
    "run watch": ["-e", EXPERIMENT, "--once"],
    "run metrics": ["-r", BENIGN, "--values"],
    "run history": ["-r", BENIGN],
    "run compare": [BENIGN, "running"],
    "run submit-script": ["-e", EXPERIMENT, "missing.py"],
    "run resubmit": ["-r", BENIGN],
    "run start": ["-r", "queued"],
    "run cancel": ["-r", BENIGN],
    "run monitor-logs": ["-r", BENIGN],
    "run download-logs": ["-r", BENIGN, "-d", "logs"],
    "computetarget list": [],
    "computetarget show": ["-n", f"pool{IN_NAMES}"],
    "computetarget create amlcompute": ["-n", "made"],
    "computetarget attach": ["-n", "own", "--slots", "1"],
    "computetarget trust": ["-n", f"pool{IN_NAMES}"],
    "computetarget delete": ["-n", "own"],
    "sql": [
        "SELECT display_name, target, description, key, value FROM runs JOIN tags USING (run_id)"
    ],
    "events": [],
    "studio": ["--host", "192.0.2.1"],
    "alert": ["--on", "alert", "--after", "0", "--once", "--exec", "cat"],
    "diff": ["1"],
    "audit verify": [],
    "audit key new": ["own.key"],
    "audit key list": [],
    "audit checkpoint create": ["--key", "own.key"],
    "audit checkpoint list": [],
    "audit checkpoint verify": [],
    "audit checkpoint auto": ["--off"],
    "audit prove": [f"{BENIGN}@1"],
    "audit consistency": ["1", "2"],
    "audit verify-proof": ["proof.json", "--no-key"],
    "audit erase": ["-r", BENIGN, "--reason", HOSTILE, "--yes"],
    "audit replay": [],
    "audit export": ["-r", BENIGN, "-o", "run.bundle"],
    "audit import": ["run.bundle"],
    "audit report": ["-r", BENIGN, "-o", "report.html"],
    "cache show": [],
    "cache clean": ["--old-versions"],
    "cache publish": [],
    "workspace copy": ["./missing", "./elsewhere"],  # Else the others would find it moved.
    "artifacts prune": ["--files", "*", "--keep-last", "1"],
    "artifacts deliver": [],
    "artifacts place": ["no-scheme://bucket"],
    "repair": [],
    "completion": ["bash"],
    "trust": ["--list"],
}
SENTENCES = {"audit verify-proof"}  # It prints no data.
WITHOUT_WORKSPACE = {"completion", "trust", "workspace copy", "workspace list"}
FORMS = ("json", "jsonc", "table", "tsv", "csv", "csv --raw")
STREAMS = (in_this_process, as_if_on_terminal)
OURS = re.compile(
    "\x1b\\[(?!8m)[0-9;]*m"  # Colours of tables and of JSON; the log has none but "conceal".
    "|\x1b\\[\\?25[lh]|\x1b\\[1A|\x1b\\[2K|\r"  # A live table and a progress bar.
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the hostile workspace `lab`, and a home of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    write_hostile_workspace(folder / "lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
        proof = call("audit prove", folder, f"{BENIGN}@1", "-o", "json")
        (folder / "proof.json").write_text(proof.out)
        yield folder


def call(name: str, folder: Path, *arguments: str, on: Callable[..., Ran] = in_this_process) -> Ran:
    where = () if name in WITHOUT_WORKSPACE else ("-w", "./lab")
    return on(*name.split(), *where, *arguments, cwd=folder)


def acting(ran: Ran) -> list[str]:
    """What a terminal would obey, apart from the colours and cursors of runlore itself."""
    return FORBIDDEN.findall(OURS.sub("", ran.out) + OURS.sub("", ran.err))


def test_every_command_is_tried() -> None:
    assert set(ARGUMENTS) == set(COMMANDS)


@pytest.mark.long
@pytest.mark.parametrize(
    "on",
    [
        pytest.param(in_this_process, id="pipe"),
        pytest.param(as_if_on_terminal, id="terminal", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_no_command_passes_what_a_terminal_obeys(
    name: str, on: Callable[..., Ran], project: Path
) -> None:
    options = {option for param in COMMANDS[name].params for option in param.opts}
    forms = FORMS if "--output" in options else ("",)

    for form in forms:
        output = ["--output", *form.split()] if form else []
        ran = call(name, project, *output, *ARGUMENTS[name], on=on)

        assert acting(ran) == [], form
        assert "Traceback" not in ran.err
        if ran.code == 0 and form == "json" and name not in SENTENCES:
            json.loads(ran.out)


SILENT = {
    *(
        "folder attach",
        "workspace create",
        "workspace grant",
        "workspace copy",
        "cache publish",
        "audit erase",
        "audit import",
    ),  # They refuse this log.
    *("run untag", "run resubmit", "run submit-script", "run cancel", "run resume"),  # Nor these.
    *("audit verify", "audit replay"),  # All is as it was recorded.
    *("audit key new", "audit key list", "audit checkpoint auto", "audit consistency"),
    *("audit checkpoint create", "audit checkpoint list", "audit checkpoint verify"),
    *("computetarget attach", "computetarget create amlcompute", "computetarget delete"),
    *("artifacts deliver", "artifacts place"),
    *("audit prove", "audit report", "cache clean", "repair", "completion", "trust", "studio"),
}
"""Commands that show nothing of the log's texts."""


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if name not in SILENT])
def test_what_is_escaped_is_shown_not_left_out(name: str, project: Path) -> None:
    ran = call(name, project, *ARGUMENTS[name])

    assert "\\x1b[2J" in ran.out + ran.err or "\\u001b[2J" in ran.out + ran.err, ran


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
def test_no_message_passes_what_the_command_line_says(name: str, project: Path) -> None:
    """Nor does a name that is looked for in vain, or an option's invalid value."""
    given = HOSTILE.replace("\0", "") + "\udcff"  # As a byte comes that is not UTF-8.
    for param in COMMANDS[name].params:
        if isinstance(param, click.Option) and param.is_flag or param.name == "trailing_query":
            continue
        option = [param.opts[0]] if isinstance(param, click.Option) else []
        for on in STREAMS:
            ran = call(name, project, *ARGUMENTS[name], *option, given, on=on)

            assert acting(ran) == [], param.name
            assert "Traceback" not in ran.err


def test_json_is_the_text_of_the_log_all_the_same(project: Path) -> None:
    [record] = call("run list", project, "-e", EXPERIMENT, "--query", f"[?run_id=='{BENIGN}']").data

    assert record["tags"][HOSTILE] == HOSTILE
    assert record["display_name"] == f"name{HOSTILE}"


@pytest.mark.processes
def test_a_terminal_gets_only_what_is_ours(project: Path) -> None:
    shown = on_terminal("run", "list", "-w", "./lab", "-e", EXPERIMENT, cwd=project)

    assert acting(shown) == [] and shown.code == 0
    assert "\\x1b[2J" in shown.out


@pytest.mark.processes
def test_the_log_of_a_script_is_shown_but_not_obeyed(tmp_path: Path) -> None:
    scripts = Project(tmp_path)
    run = scripts.ended(f"import sys; sys.stdout.buffer.write({LOG!r}); raise SystemExit(1)")
    scripts.ws.close()
    arguments = ("run", "monitor-logs", "-r", run.id, "-w", "./lab")

    for form in ("table", "json"):
        for on in STREAMS:
            ran = on(*arguments, "-o", form, cwd=tmp_path)

            shown = ran.out if form == "table" else ran.err
            assert acting(ran) == [] and ran.code == 3
            assert "\\x1b]52;c;cm0gLXJmIH4K\\x07" in shown and "\\xfe\\xff" in shown


def test_the_file_of_a_log_is_the_log(project: Path) -> None:
    listed = call("run download-logs", project, "-r", "plain", "-d", "kept").data

    assert [Path(project, file).read_bytes() for file in listed] == [LOG]
