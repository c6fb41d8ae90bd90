"""Forms of output, pipes and terminals."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from runlore import Workspace
from tests.cli.shell import COMMAND, environment, in_new_process, on_terminal, runlore

ESCAPE = "\x1b["


def test_terminals_get_a_table_and_pipes_get_json(project: Path) -> None:
    shown = on_terminal("run", "list", cwd=project)

    assert shown.code == 0
    heads, _, *rows = [line for line in shown.out.splitlines() if line.strip()]
    assert "run_id" in heads and "status" in heads
    assert any("fantastic" in row for row in rows)
    assert isinstance(in_new_process("run", "list", cwd=project).data, list)


def test_no_color_is_respected(project: Path) -> None:
    colored = on_terminal("run", "show", "--run=other", "-o", "jsonc", cwd=project)
    plain = on_terminal("run", "show", "--run=other", "-o", "jsonc", cwd=project, NO_COLOR="1")

    assert f"{ESCAPE}32m" in colored.out
    assert f"{ESCAPE}32m" not in plain.out and f"{ESCAPE}1;34m" not in plain.out


def test_colored_json_is_plain_in_a_pipe(project: Path) -> None:
    colored = runlore("run", "show", "--run=other", "-o", "jsonc", cwd=project)

    assert ESCAPE not in colored.out
    assert json.loads(colored.out) == runlore("run", "show", "--run=other", cwd=project).data


def test_a_table_in_a_pipe_is_not_cut_and_takes_text_as_it_is(project: Path) -> None:
    shown = runlore("run", "show", "--run=other", "-o", "table", cwd=project, COLUMNS="20").out

    assert "author=somebody [else]" in shown
    assert ESCAPE not in shown


def test_a_run_as_a_table_leaves_out_empty_fields(project: Path) -> None:
    shown = runlore("run", "show", "--run=child", "-o", "table", cwd=project).out

    fields = [line.split()[0] for line in shown.splitlines()[2:]]
    assert "error" in fields and "parent" in fields
    assert "tags" not in fields


def test_tsv_has_no_header(project: Path) -> None:
    query = "[?tags].[run_id, tags.quality]"
    shown = runlore("run", "list", "--query", query, "-o", "tsv", cwd=project)

    assert "poor\tpoor\n" in shown.out
    assert "fantastic\tfantastic run\n" in shown.out


def test_a_single_value_is_a_line_of_tsv(project: Path) -> None:
    command = ("run", "show", "--run=other", "--query", "status", "-o", "tsv")

    assert runlore(*command, cwd=project).out == "Completed\n"


def test_csv_has_a_header_and_quotes(project: Path) -> None:
    query = "[?run_id=='other'].{id: run_id, tags: properties}"
    shown = runlore("run", "list", query, "-o", "csv", cwd=project)

    assert shown.out == 'id,tags\nother,"{""author"": ""somebody [else]""}"\n'


def test_the_result_is_kept_in_a_new_file_only(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    command = ("run", "show", "--run=other", "--query", "status", "-t", str(file))

    runlore(*command, cwd=project)
    again = runlore(*command, cwd=project, code=1)

    assert json.loads(file.read_text()) == "Completed"
    assert str(file) in again.err and again.out == ""


def test_a_reader_that_closes_the_pipe_is_not_an_error(project: Path) -> None:
    # More than a pipe holds, so that the writer does meet the closed end.
    query = "SELECT repeat('x', 1000) AS text FROM range(2000)"
    with subprocess.Popen(
        [*COMMAND, "sql", query],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "[\n"
        process.stdout.close()
        err = process.stderr.read()

    assert (process.returncode, err) == (0, "")


def test_characters_that_the_terminal_lacks_are_escaped(project: Path) -> None:
    shown = in_new_process("sql", "SELECT '→ é' AS t", cwd=project, PYTHONIOENCODING="ascii")

    assert shown.out.isascii()
    assert shown.data == [{"t": "→ é"}]


def test_verbose_and_debug_talk_on_stderr(project: Path) -> None:
    said = runlore("run", "show", "--run=other", "--verbose", "--query=status", cwd=project)
    assert said.out == '"Completed"\n'
    assert "myworkspace" in said.err
    assert runlore("run", "show", "--run=other", cwd=project).err == ""


def test_a_live_table_ends_when_all_runs_have_ended(project: Path) -> None:
    shown = on_terminal("run", "watch", "--tag=quality", cwd=project)

    assert shown.code == 0
    assert "fantasti" in shown.out


def test_a_live_table_follows_its_runs(own_project: Path) -> None:
    def complete() -> None:
        with Workspace.open(own_project / "myworkspace") as ws:
            ws.get_run("running").complete()

    shown = on_terminal(
        *("run", "watch", "--interval", "0.05"),
        cwd=own_project,
        when_shown="Running",
        then=complete,
    )

    assert shown.code == 0
    assert "Running" not in shown.out[shown.out.rindex("metric") :]


def test_in_a_pipe_watching_prints_the_final_state_only(own_project: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "run", "watch", "--interval=0.05", "--verbose", "--query=[].status"],
        cwd=own_project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert "myworkspace" in process.stderr.readline()
        with Workspace.open(own_project / "myworkspace") as ws:
            ws.get_run("running").complete()
        shown = json.loads(process.stdout.read())

    assert (process.returncode, shown) == (0, ["Completed"] * 4)


def test_json_loads_no_library_for_people_and_one_record_no_database(project: Path) -> None:
    code = (
        "import sys\nfrom runlore.cli import main\n"
        "main(['run', 'show', '-r', 'other', '--query=status'])\n"
        "print(sorted({'rich', 'duckdb', 'pyarrow', 'numpy'} & set(sys.modules)))\n"
        "main(['run', 'list', '--last=1', '-o', 'tsv'])\n"
        "print(sorted({'rich', 'pyarrow', 'numpy'} & set(sys.modules)))\n"
    )
    runlore("run", "list", cwd=project)  # The projection is there.
    ran = subprocess.run(
        [COMMAND[0], "-c", code],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    first, shown, _, listed = ran.stdout.splitlines()
    assert (first, shown, listed) == ('"Completed"', "[]", "[]")


def test_importing_runlore_loads_nothing_of_the_command_line(project: Path) -> None:
    code = "import sys, runlore; print({'click', 'rich', 'jmespath'} & set(sys.modules))"
    ran = subprocess.run(
        [COMMAND[0], "-c", code], cwd=project, capture_output=True, text=True, check=True
    )

    assert ran.stdout == "set()\n"
