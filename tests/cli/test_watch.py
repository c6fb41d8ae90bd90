"""`runlore run watch`, the tables of `compare` and `diff`, and how a run is shown on a terminal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from runlore import Experiment, Workspace
from runlore.cli.run.live_table import Watched, progress_of, runs_shown
from runlore.shown.card import ShownMetric
from tests.cli.shell import as_if_on_terminal, environment, in_new_process, on_terminal, runlore
from tests.hostile.hostile_log import FORBIDDEN, HOSTILE

CURVE = tuple(1 / (1 + n) for n in range(60))


def record(status: str = "Running", **more: Any) -> dict[str, Any]:
    return {"status": status, "_experiment_name": "nets", **more}


def metric(name: str = "loss", **more: Any) -> ShownMetric:
    return ShownMetric(**{"name": name, "last": 0.123456, "n": 9, "curve": CURVE, **more})


def drawn(runs: list[Watched], width: int) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(runs_shown(runs, width), highlight=False)
    return captured.get().splitlines()


def some_runs() -> list[Watched]:
    slow = [metric("val/a_long_name_of_a_metric", last_step=99_999, rate=0.01)]
    return [
        Watched(record(), "a-run", 3_700, [metric(last_step=11, rate=81_234.5)], 0, 12, 400),
        Watched(record("CancelRequested"), "実" * 40, None, slow, 3, 100_000, 200_000),
        Watched(record("Completed"), "c", 0.5, []),
        Watched(record("Failed"), HOSTILE, 12, [metric(HOSTILE, last=HOSTILE)]),
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_every_line_fits_the_screen_and_is_inert(width: int) -> None:
    for runs in (some_runs(), *([run] for run in some_runs())):
        lines = drawn(runs, width)

        assert [line for line in lines if cell_len(line) > width] == []
        assert FORBIDDEN.findall("".join(lines)) == []


def test_a_table_has_step_rate_progress_and_curve_in_80_columns() -> None:
    one, other, third = some_runs()[:3]

    head, _, first, last = drawn([one, third], 80)
    narrow_head, _, _, second = drawn([one, other], 80)

    assert head.split() == ["run", "status", "time", "step", "rate", "metric"]
    assert narrow_head.split() == ["run", "status", "step", "rate", "metric"]
    assert first.split()[:10] == (
        ["a-run", "▶", "Running", "1", "h", "01", "m", "12/400", "3%", "81.2k/s"]
    )
    assert re.search(r"loss 0\.1235 [▁-█]+$", first)
    assert "100000/200000 50%" in second and "36/h" in second
    assert last.split() == ["c", "✓", "Completed", "0.5", "s"]


def test_a_single_run_has_a_bar_and_a_line_per_metric() -> None:
    metrics = [metric(last_step=99, rate=10.0), metric("note", last="early", curve=())]

    lines = drawn([Watched(record(), "a-run", 75, metrics, 3, 100, 400)], 80)

    assert lines[0].rstrip() == "a-run  ▶ Running  nets  1 m 15 s  10/s"
    assert lines[1].rstrip() == "██████░░░░░░░░░░░░░░░░░░ 100/400 25%, 30 s left"
    assert [line.split()[:3] for line in lines[4:6]] == [
        ["loss", "99", "0.1235"],
        ["note", "early"],
    ]
    assert lines[-1].rstrip() == "and 3 more metrics"


@pytest.mark.parametrize(
    "config, total, expected",
    [
        ({}, None, (None, None)),
        ({}, 50, (8, 50)),
        ({"max_steps": "200"}, None, (8, 200)),
        ({"max_steps": "200"}, 50, (8, 50)),
        ({"trainer.total_steps": "100", "steps": "5"}, None, (8, 100)),
        ({"max_steps": '"200"', "steps": "0", "n_steps": "true"}, None, (None, None)),
        ({"epochs": "5"}, None, (2, 5)),
        ({"epochs": "1"}, None, (1, 1)),
    ],
    ids=str,
)
def test_progress_is_known_where_the_config_or_an_option_says_the_total(
    config: dict[str, str], total: int | None, expected: tuple[int | None, int | None]
) -> None:
    metrics = [metric(last_step=7), metric("epoch", last=2)]

    assert progress_of(config, metrics, total) == expected


@pytest.mark.parametrize("epoch", [float("nan"), "two", None], ids=str)
def test_an_epoch_that_is_no_number_shows_no_progress(epoch: object) -> None:
    assert progress_of({"epochs": "5"}, [metric("epoch", last=epoch)], None) == (None, None)


TRAINER = textwrap.dedent(
    """
    import sys
    from runlore import Experiment, Workspace
    ws = Workspace.open("lab")
    run = Experiment(ws, "nets").start_logging(outputs=False, snapshot_directory=None,
                                               display_name="live")
    run.add_config({"max_steps": 4})
    run.log_batch("loss", [4.0, 2.0])
    run.flush()
    print("ready", flush=True)
    sys.stdin.readline()
    run.log_batch("loss", [1.0, 0.5])
    run.complete()
    """
)


@contextmanager
def trainer(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which trains until it gets a line."""
    Workspace.create("lab", path=folder / "lab").close()
    with subprocess.Popen(
        [sys.executable, "-c", TRAINER],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.communicate()


def goes_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.processes
@pytest.mark.parametrize("no_colour", ["", "1"], ids=["colours", "no colours"])
def test_a_training_is_followed_on_a_terminal_until_it_ends(tmp_path: Path, no_colour: str) -> None:
    with trainer(tmp_path) as process:
        shown = on_terminal(
            *("run", "watch", "-w", "./lab", "--interval=0.05"),
            cwd=tmp_path,
            when_shown="2/4 50%",
            then=lambda: goes_on(process),
            COLUMNS="80",
            NO_COLOR=no_colour,
        )

    assert shown.code == 0
    last = shown.out[shown.out.rindex("live") :]
    assert "✓ Completed" in last and "4/4 100%" in last and "0.5" in last
    assert ("\x1b[32m" in last) is not bool(no_colour)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.out)
    assert max(map(cell_len, plain.replace("\r", "\n").split("\n"))) <= 80


@pytest.mark.processes
def test_a_training_is_followed_through_a_pipe(tmp_path: Path) -> None:
    with trainer(tmp_path) as process:
        goes_on(process)
        options = ("-w", "./lab", "--interval=0.05", "-t", "kept.json")
        shown = in_new_process("run", "watch", *options, "-o", "table", cwd=tmp_path)

    assert shown.out.splitlines()[1].startswith("█" * 24 + " 4/4 100%")
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "\x1b" not in shown.out
    [kept] = json.loads((tmp_path / "kept.json").read_text())
    assert kept["status"] == "Completed"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with a workspace of two runs of one name, and a third one."""
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        exp = Experiment(ws, "nets")
        for number, name in enumerate(("same", "same", "other one")):
            options: dict[str, Any] = {"outputs": False, "snapshot_directory": None}
            run = exp.start_logging(run_id=f"run_{number}", display_name=name, **options)
            run.log("loss", number + 0.123456789)
            run.log("acc", 0.5)
            run.add_properties({"seed": str(number)})
            run.complete()
    return tmp_path


def test_runs_are_compared_under_their_names_with_short_numbers(lab: Path) -> None:
    shown = runlore(
        *("run", "compare", "run_0", "run_2", "-w", "./lab", "-o", "table"), cwd=lab
    ).out.splitlines()

    assert re.split("  +", shown[0].strip()) == ["kind", "name", "same", "other one"]
    rows = {tuple(row[:2]): row[2:] for line in shown[2:] if (row := line.split())}
    assert rows["metric", "loss"] == ["≠", "0.123457", "2.12346"]
    assert rows["metric", "acc"] == ["0.5", "0.5"]


def test_runs_of_one_name_are_compared_under_their_ids(lab: Path) -> None:
    shown = runlore("run", "compare", "run_0", "run_1", "-w", "./lab", "-o", "table", cwd=lab).out

    assert re.split("  +", shown.splitlines()[0].strip())[2:] == ["run_0", "run_1"]


def test_a_diff_shows_the_reason(lab: Path) -> None:
    with Workspace.open(lab / "lab") as ws:
        before = ws.position
        ws.get_run("run_0").correct_property("seed", "7", reason="read from the wrong file")

    shown = runlore("diff", str(before), "-w", "./lab", "-o", "table", cwd=lab).out

    assert shown.splitlines()[0].endswith("reason")
    assert shown.splitlines()[2].endswith("read from the wrong file")


def test_show_wraps_long_texts_at_the_width_of_the_terminal(lab: Path) -> None:
    with Workspace.open(lab / "lab") as ws:
        ws.get_run("run_0").description = "word " * 60

    shown = as_if_on_terminal("run", "show", "-r", "run_0", "-w", "./lab", cwd=lab, COLUMNS="60")

    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.out.splitlines()]
    assert max(map(cell_len, lines)) <= 60
    assert sum(line.count("word") for line in lines) == 60
