"""Four people's first hour, each in a real shell: what they type, and what they see.

An engineer who never saw a tracker's server, an analyst, an auditor, and a team lead.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.shell import Shell

pytestmark = [pytest.mark.long, pytest.mark.processes, pytest.mark.slow]

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
    shell(
        "RUNLORE_CAPTURE=program,git python train.py 0.1 cnn 0.5 cnn 0.9 vit 2 vit 0.3 broken",
        code=1,
    )


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

OF_RUNS = "runs r JOIN config c ON c.run_id = r.run_id AND c.key = 'lr'"
ACC = f"{OF_RUNS} JOIN metrics m ON m.run_id = r.run_id AND m.metric = 'val/acc'"


def accuracy(lr: float, step: int) -> float:
    """What `train.py` logs if it does not diverge."""
    return 1 - 1 / (1 + lr * step)


QUESTIONS: dict[str, tuple[str, list[list[Any]]]] = {
    "1 leaderboard: the top of each experiment": (
        f"SELECT r.experiment, c.number, m.max FROM {ACC} QUALIFY "
        "row_number() OVER (PARTITION BY r.experiment ORDER BY m.max DESC) <= 3 ORDER BY 3 DESC",
        [["mnist", 2, 1.0], ["mnist", 0.9, accuracy(0.9, 49)], ["mnist", 0.5, accuracy(0.5, 49)]],
    ),
    "2 last against best": (
        f"SELECT c.number, isnan(m.last), m.max FROM {ACC} WHERE m.last <> m.max",
        [[2, True, 1.0]],
    ),
    "2b the step of the best": (
        f"SELECT c.number, m.max_step FROM {ACC} ORDER BY 1",
        [[0.1, 49], [0.3, 49], [0.5, 49], [0.9, 49], [2, 0]],
    ),
    "3 diverged runs": (
        f"SELECT c.number, m.n_nonfinite, m.first FROM {ACC} WHERE m.n_nonfinite > 0",
        [[2, 29, 1.0]],
    ),
    "4 median duration by tag": (
        "SELECT t.value, count(*), median(r.duration_s) BETWEEN 0 AND 60 FROM runs r "
        "JOIN tags t USING (run_id) WHERE t.key = 'model' GROUP BY 1 ORDER BY 1",
        [["broken", 1, True], ["cnn", 2, True], ["vit", 2, True]],
    ),
    "5 failures by code": (
        "SELECT error_code, error_message, count(*) FROM runs WHERE status = 'Failed' GROUP BY ALL",
        [["UserError", "User program failed with ValueError: no data for broken", 1]],
    ),
    "6 moving average of a curve": (
        "SELECT p.step, avg(p.value) OVER (ORDER BY p.step ROWS 1 PRECEDING) FROM metric_points p "
        "JOIN config c USING (run_id) WHERE p.metric = 'loss' AND c.key = 'lr' AND "
        "c.number = 0.5 ORDER BY p.step LIMIT 2",
        [[0, 1.0], [1, (1 + 1 / 1.5) / 2]],
    ),
    "7 tag by config, mean of the best": (
        f"SELECT t.value, c.number > 0.2 AS fast, avg(m.max) FROM {ACC} JOIN tags t ON "
        "t.run_id = r.run_id AND t.key = 'model' WHERE t.value = 'cnn' GROUP BY ALL ORDER BY 2",
        [["cnn", False, accuracy(0.1, 49)], ["cnn", True, accuracy(0.5, 49)]],
    ),
    "8 tags as columns": (
        "SELECT model, count(*) FROM (PIVOT tags ON key USING first(value) GROUP BY run_id) "
        "GROUP BY 1 ORDER BY 1",
        [["broken", 1], ["cnn", 2], ["vit", 2]],
    ),
    "8b the whole table": (
        'SELECT "config.lr", "tags.model", "metrics.loss" FROM runs_table(\'config.lr < 0.5\') '
        "ORDER BY 1",
        [[0.1, "cnn", 1 / 5.9], [0.3, "broken", 1 / (1 + 0.3 * 49)]],
    ),
    "9 curves at equal steps": (
        "SELECT step, count(*) FROM metric_points WHERE metric = 'loss' AND step % 20 = 0 "
        "GROUP BY step ORDER BY step",
        [[0, 5], [20, 5], [40, 5]],
    ),
    "10 bands of percentiles": (
        "SELECT step, quantile_cont(value, 0.5), count(*) FROM metric_points "
        "WHERE metric = 'loss' AND isfinite(value) GROUP BY step ORDER BY step LIMIT 2",
        [[0, 1.0, 5], [1, 1 / 1.3, 5]],
    ),
    "11 correlation with a parameter": (
        f"SELECT corr(log10(c.number), m.max) > 0.9 FROM {ACC}",
        [[True]],
    ),
    "12 runs by person": (
        "SELECT count(DISTINCT actor), count(DISTINCT host), count(*) FROM runs",
        [[1, 1, 5]],
    ),
    "13 best by script and commit": (
        f"SELECT parse_filename(r.script), r.git_commit IS NULL, max(m.max) FROM {ACC} "
        "GROUP BY ALL",
        [["train.py", True, 1.0]],
    ),
    "14 runs by minute, and those that go on": (
        "SELECT count(*) BETWEEN 1 AND 5, max(going_on) FROM (SELECT date_trunc('minute', "
        "started_at), count(*) FILTER (status = 'Running') AS going_on FROM runs GROUP BY 1)",
        [[True, 0]],
    ),
}
"""The questions that an analyst asked, and what is true of `train`."""


def test_an_analyst_gets_answers_to_all_fifteen_questions(shell: Shell) -> None:
    train(shell)
    shell.write("questions.json", json.dumps({name: sql for name, (sql, _) in QUESTIONS.items()}))
    shell.write(
        "ask.py",
        "import json, runlore\n"
        "with runlore.Workspace.open('.runlore') as ws:\n"
        "    for name, query in json.load(open('questions.json')).items():\n"
        "        try:\n"
        "            answer = ws.sql(query).fetchall()\n"
        "        except Exception as error:\n"
        "            answer = str(error)\n"
        "        print(json.dumps([name, answer]))\n"
        "    middle = ws.sql(\"SELECT min(position) FROM events WHERE topic = 'run.failed'\")\n"
        "    then = ws.as_of(middle.fetchall()[0][0] - 1)\n"
        "    best = 'config.lr < 1'\n"
        "    print(json.dumps(['15 SDK', [\n"
        "        then.sql('SELECT count(*) FROM runs').fetchall()[0][0],\n"
        "        then.runs_table(\"status = 'Failed'\").fetchall(),\n"
        "        ws.experiments['mnist'].best('val/acc', where=best).get_config()['lr'],\n"
        "        then.experiments['mnist'].best('val/acc', where=best).get_config()['lr'],\n"
        "    ]]))\n",
    )

    answers = dict(map(json.loads, shell("python ask.py").splitlines()))

    assert answers.pop("15 SDK") == [5, [], 0.9, 0.9]
    assert answers.keys() == QUESTIONS.keys()
    for name, (_, expected) in QUESTIONS.items():
        assert [[pytest.approx(one) for one in row] for row in expected] == answers[name], name


def test_an_analyst_asks_the_same_in_a_shell(shell: Shell) -> None:
    train(shell)

    listed = (
        "runlore run list --metric val/acc --sort=-metrics.val/acc.max --query '[].status' -o tsv"
    )
    assert shell(f"{listed} --where 'm.loss = nan'").split() == ["Completed"]
    assert shell(f'{listed} --where "status = Failed"').split() == ["Failed"]
    who = shell('runlore sql "SELECT actor, count(*) AS runs FROM runs GROUP BY 1" -o csv')
    assert who.splitlines()[0] == "actor,runs" and who.splitlines()[1].endswith(",5")
    position = shell('runlore sql "SELECT max(position) FROM events" -o tsv').strip()
    shell("python train.py 0.7 cnn")
    counted = f'runlore sql --as-of {position} "SELECT count(*) FROM runs" -o tsv 2>/dev/null'
    assert shell(counted).strip() == "5"


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
