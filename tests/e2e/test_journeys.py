"""Four people's first hour, each in a real shell: what they type, and what they see.

An engineer who never saw a tracker's server, an analyst, an auditor, and a team lead.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.shell import Shell

pytestmark = [pytest.mark.processes, pytest.mark.slow]

TRAIN = """
import math, sys
import runlore

for lr, model in zip(map(float, sys.argv[1::2]), sys.argv[2::2]):
    with runlore.init("mnist", config={"lr": lr, "model": model}) as run:
        run.tag("model", model)
        for step in range(50):
            loss = 1 / (1 + lr * step) if lr < 1 else (math.nan if step > 20 else float(step))
            run.log("loss", loss)
            run.log("val/acc", 1 - loss, step=step)
        if model == "broken":
            raise ValueError("no data for " + model)
"""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.write("train.py", TRAIN)
    return shell


def train(shell: Shell) -> None:
    """A small sweep: three that end well, one that diverges, one that fails."""
    shell("python train.py 0.1 cnn 0.5 cnn 0.9 vit 2 vit 0.3 broken", code=1)


# --- the engineer -----------------------------------------------------------------------------


def test_an_engineer_trains_looks_and_compares(shell: Shell) -> None:
    train(shell)

    listed = shell("runlore run list -o table")
    assert listed.count("Completed") == 4 and listed.count("Failed") == 1
    best = shell(
        "runlore run list --metric val/acc --sort=-metrics.val/acc.max --where 'config.lr < 1' "
        "--last 1 --query '[0].run_id' -o tsv"
    ).strip()
    assert json.loads(shell(f"runlore run show -r {best}"))["status"] == "Completed"
    assert "loss" in shell(f"runlore run metrics -r {best} -o table")
    failed = shell("runlore run list --status Failed --query '[0].run_id' -o tsv").strip()
    assert "no data for broken" in shell(f"runlore run show -r {failed} -o table")
    compared = shell(f"runlore run compare {best} {failed} --differing -o table")
    assert re.search(r"config +lr .*0\.9 .*0\.3", compared), compared
    assert "made by mistake" in shell(
        f"runlore run archive -r {failed} --reason 'made by mistake' && "
        f"runlore run history -r {failed} -o table"
    )
    assert failed not in shell("runlore run list --query '[].run_id' -o tsv")


def test_an_engineer_who_knows_other_trackers_is_led_to_the_line_that_works(shell: Shell) -> None:
    shell.write(
        "guess.py",
        "import runlore\nrun = runlore.init(project='mnist', name='first')\n"
        "run.log({'loss': 0.5}, step=1)\nrun.alert('loss', 'is fine', level='INFO')\n"
        "try:\n    run.log_param('lr', 0.1)\nexcept AttributeError as error:\n    print(error)\n"
        "run.finish()\nprint(run.get_status())\n",
    )

    said = shell("python guess.py")

    assert 'run.log_param is run.add_config({"lr": 0.1}) here' in said and "Completed" in said
    assert "first" in shell("runlore run list -o table")


# --- the analyst ------------------------------------------------------------------------------

QUESTIONS = {
    "leaderboard: the top of each experiment": (
        "SELECT experiment, run_id FROM (SELECT r.experiment, r.run_id, row_number() OVER ("
        "PARTITION BY r.experiment ORDER BY m.max DESC) AS place FROM runs r JOIN metrics m USING "
        "(run_id) WHERE m.metric = 'val/acc') WHERE place <= 3",
        3,
    ),
    "last against best": (
        "SELECT run_id, last, max, max_step FROM metrics WHERE metric = 'val/acc' AND last <> max",
        1,
    ),
    "diverged runs": ("SELECT run_id, n_nonfinite FROM metrics WHERE n_nonfinite > 0", 2),
    "median duration by tag": (
        "SELECT t.value, median(r.duration_s) FROM runs r JOIN tags t USING (run_id) "
        "WHERE t.key = 'model' GROUP BY 1",
        3,
    ),
    "failures by code": (
        "SELECT error_code, count(*) FROM runs WHERE status = 'Failed' GROUP BY 1",
        1,
    ),
    "moving average of a curve": (
        "SELECT step, avg(value) OVER (ORDER BY step ROWS 4 PRECEDING) FROM metric_points "
        "WHERE metric = 'loss' AND run_id = (SELECT min(run_id) FROM runs)",
        50,
    ),
    "tag by config, mean of the best": (
        "SELECT t.value, c.number > 0.4 AS fast, avg(m.max) FROM tags t JOIN config c USING "
        "(run_id) JOIN metrics m USING (run_id) WHERE t.key = 'model' AND c.key = 'lr' AND "
        "m.metric = 'val/acc' GROUP BY ALL",
        4,
    ),
    "tags as columns": ("PIVOT tags ON key USING first(value) GROUP BY run_id", 5),
    "the whole table": ("FROM runs_table('config.lr < 1')", 4),
    "curves at equal steps": (
        "SELECT step, count(*) FROM metric_points WHERE metric = 'loss' AND step % 10 = 0 "
        "GROUP BY step",
        5,
    ),
    "bands of percentiles": (
        "SELECT step, quantile_cont(value, [0.1, 0.5, 0.9]) FROM metric_points "
        "WHERE metric = 'loss' AND isfinite(value) GROUP BY step",
        50,
    ),
    "correlation with a parameter": (
        "SELECT corr(log10(c.number), m.max) FROM config c JOIN metrics m USING (run_id) "
        "WHERE c.key = 'lr' AND m.metric = 'val/acc'",
        1,
    ),
    "runs by person": ("SELECT actor, host, count(*) FROM runs GROUP BY ALL", 1),
    "best by script and commit": (
        "SELECT r.script, r.git_commit, max(m.max) FROM runs r JOIN metrics m USING (run_id) "
        "WHERE m.metric = 'val/acc' GROUP BY ALL",
        1,
    ),
    "what goes on": ("SELECT run_id FROM runs WHERE status = 'Running'", 0),
}
"""The questions that an analyst asked, and how many rows answer each of them here."""


def test_an_analyst_gets_answers_to_all_fifteen_questions(shell: Shell) -> None:
    train(shell)
    shell.write("questions.json", json.dumps({name: sql for name, (sql, _) in QUESTIONS.items()}))
    shell.write(
        "ask.py",
        "import json, runlore\n"
        "with runlore.Workspace.open('.runlore') as ws:\n"
        "    for name, query in json.load(open('questions.json')).items():\n"
        "        try:\n"
        "            answer = len(ws.sql(query).fetchall())\n"
        "        except Exception as error:\n"
        "            answer = str(error)\n"
        "        print(json.dumps([name, answer]))\n",
    )

    answers = dict(map(json.loads, shell("python ask.py").splitlines()))

    assert answers == {name: rows for name, (_, rows) in QUESTIONS.items()}


def test_an_analyst_exports_looks_back_and_uses_frames(shell: Shell) -> None:
    shell("python train.py 0.1 cnn")
    shell("sleep 1")
    before = shell("runlore sql 'SELECT max(position) FROM events' -o tsv").strip()
    shell("python train.py 0.5 cnn")

    query = '"SELECT count(*) FROM runs"'
    assert shell(f"runlore sql {query} -o tsv").strip() == "2"
    assert shell(f"runlore sql --as-of {before} {query} -o tsv 2>/dev/null").strip() == "1"
    csv = shell('runlore sql "SELECT id, \\"metrics.loss\\" FROM runs_table()" -o csv')
    assert csv.splitlines()[0] == "id,metrics.loss" and len(csv.splitlines()) == 3
    shell.write(
        "frame.py",
        "import runlore\nws = runlore.Workspace.open('.runlore')\n"
        "table = ws.experiments['mnist'].runs_table('m.loss < 1')\n"
        "print(sorted(table.pandas()['config.lr']), table.polars().height)\n"
        "print(ws.experiments['mnist'].best('val/acc').get_config()['lr'])\n",
    )
    assert shell("python frame.py") == "[0.1, 0.5] 2\n0.5\n"
    assert "created" in shell(f"runlore diff {before} -o table")


# --- the auditor ------------------------------------------------------------------------------


def test_an_auditor_gets_answers_and_something_to_attach(shell: Shell) -> None:
    shell("python train.py 0.1 cnn")
    run = shell("runlore run list --query '[0].run_id' -o tsv").strip()
    shell.write(
        "record.py",
        "import sys, runlore\nrun = runlore.Workspace.open('.runlore').get_run(sys.argv[1])\n"
        "run.add_properties({'score': '0.9'})\n"
        "try:\n    run.add_properties({'score': '0.99'})\n"
        "except runlore.exceptions.UserErrorException as error:\n    print('refused')\n"
        "run.correct_property('score', '0.8', reason='measured on the training set')\n",
    )
    assert shell(f"python record.py {run}") == "refused\n"
    shell("runlore audit key new auditor.key && runlore audit checkpoint create --key auditor.key")

    history = shell(f"runlore run history -r {run} -o table")
    assert "measured on the training set" in history and "change_refused" in history
    assert "all holds" in shell("runlore audit verify")
    shell("runlore audit replay")  # Exit code 0: the tables say what the log says.
    shell(f"runlore audit export -r {run} --to run.bundle && mkdir elsewhere")
    assert "are whole" in shell("runlore audit verify ../run.bundle", cwd="elsewhere")
    shell(f"runlore audit report -r {run} --to report.html")
    page = (shell.folder / "report.html").read_text()
    for said in ("0.9", "0.8", "0.99", "measured on the training set", "Refused changes", "loss"):
        assert said in page, said

    # Somebody edits a result in the file itself.
    shell.write(
        "edit.py",
        "import sqlite3\nlog = sqlite3.connect('.runlore/log.sqlite')\n"
        "change = \"UPDATE stored_events SET state = state || x'00' WHERE notification_id = 5\"\n"
        "log.execute(change)\n"
        "log.commit()\n",
    )
    shell("python edit.py")
    assert "NOT as it was recorded" in shell("runlore audit verify -o table", code=1)


# --- the team lead ----------------------------------------------------------------------------


def test_a_team_lead_watches_and_is_told_of_what_goes_wrong(shell: Shell) -> None:
    shell("python train.py 0.1 cnn")
    alert = (
        "runlore alert --on failed,nan --on 'metrics.loss > 10' --once "
        '--exec "sh -c \'echo \\"\\$RUNLORE_ALERT_TEXT\\" >> told.txt\'" > /dev/null 2>&1'
    )
    shell(alert)
    train(shell)
    shell(alert)

    told = (shell.folder / "told.txt").read_text()
    assert re.findall("run failed .*no data for broken", told) and told.count("run failed") == 1
    assert "loss is not finite (nan at step 21)" in told
    assert told.count("metrics.loss > 10") == 1
    shell(alert)
    assert (shell.folder / "told.txt").read_text() == told

    failed = shell("runlore run list --status Failed --query '[0].run_id' -o tsv").strip()
    shell(f"runlore run tag -r {failed} seen=yes --reason 'talked to Ann'")
    who = shell("runlore sql 'SELECT actor, count(*) AS runs FROM runs GROUP BY 1' -o table")
    assert "runs" in who and "6" in who
    assert "talked to Ann" in shell("runlore diff '1 hour ago' -o table")
    status = shell("runlore run list --where 'has(tags.seen)' --query '[].status' -o tsv").strip()
    assert status == "Failed"
    assert "Completed" in shell("runlore run watch --once -o table")
