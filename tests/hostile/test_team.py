"""Six users of one group share a workspace on one server."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator

import pytest

from tests.hostile.users import GROUP, User, all_outputs_of, group_of
from tests.processes import LIMIT_S

pytestmark = [
    pytest.mark.long,
    pytest.mark.processes,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs of other users"),
]

CREATE = "Workspace.create('lab', path=os.path.join(shared, 'lab')).close()"


@pytest.fixture(scope="module")
def team() -> Iterator[list[User]]:
    with group_of(6) as users:
        users[0].runs(CREATE)
        yield users


def test_all_write_at_once_and_each_sees_everything(team: list[User]) -> None:
    before = int(team[0].runs("print(opened().sql('select count(*) from runs').fetchall()[0][0])"))
    write = """
with opened() as ws:
    for number in range(5):
        run = started(ws, "together")
        run.tag("who", os.environ["WHO"])
        for step in range(20):
            run.log("loss", 1 / (step + 1))
        run.complete()
"""
    all_outputs_of([user.start(write) for user in team])

    count = """
with opened() as ws:
    runs = ws.sql('select count(*) from runs').fetchall()[0][0]
    points = ws.sql("select count(*) from metric_points where metric = 'loss'").fetchall()[0][0]
    actors = ws.sql("select distinct value from tags where key = 'who' order by 1").fetchall()
    print(runs, points, *[actor for (actor,) in actors])
"""
    seen = set(all_outputs_of([user.start(count) for user in team]))
    uids = " ".join(str(user.uid) for user in team)
    assert seen == {f"{before + 30} 600 {uids}\n"}


def test_the_values_of_a_killed_process_are_written_by_another_users(team: list[User]) -> None:
    victim = team[0].start("""
ws = opened()
run = started(ws, "killed", run_id="killed-run")
for step in range(100):
    run.log("acc", float(step))
print("logged", flush=True)
sys.stdin.read()
""")
    assert victim.stdout is not None
    assert victim.stdout.readline() == "logged\n"
    victim.send_signal(signal.SIGKILL)
    victim.communicate()

    found = team[1].runs("""
with opened() as ws:
    print(len(Run.get(ws, "killed-run").get_metrics("acc")["acc"]))
""")
    assert found == "100\n"
    # A third one, for whom nothing waits any more.
    again = team[2].runs("""
with opened() as ws:
    print(ws.sql("select count(*) from metric_points where metric = 'acc'").fetchall())
""")
    assert again == "[(100,)]\n"


def test_a_run_is_changed_and_ended_by_others(team: list[User]) -> None:
    team[0].runs("started(opened(), 'shared', run_id='shared-run')")

    team[1].runs("with opened() as ws: Run.get(ws, 'shared-run').tag('seen', 'yes')")
    team[2].runs("with opened() as ws: Run.get(ws, 'shared-run').complete()")

    shown = json.loads(
        team[3].runs("""
import json
with opened() as ws:
    run = Run.get(ws, "shared-run")
    print(json.dumps([run.get_status(), run.get_tags()]))
""")
    )
    assert shown == ["Completed", {"seen": "yes"}]


def test_files_are_kept_by_one_and_read_by_all(team: list[User]) -> None:
    team[4].runs("""
open("model.bin", "wb").write(b"weights")
with opened() as ws:
    run = started(ws, "files", run_id="with-files")
    run.upload_file("outputs/model.bin", "model.bin")
    run.complete()
""")
    read = """
with opened() as ws:
    Run.get(ws, "with-files").download_file("outputs/model.bin", "copy.bin")
print(open("copy.bin").read())
"""
    assert set(all_outputs_of([user.start(read) for user in team])) == {"weights\n"}


def test_each_submits_and_others_read_the_log_and_cancel(team: list[User]) -> None:
    submit = """
import pathlib
pathlib.Path("source").mkdir(exist_ok=True)
pathlib.Path("source/train.py").write_text(
    "import os, time\\n"
    "print('uid', os.getuid(), 'home', os.environ['HOME'], flush=True)\\n"
    "time.sleep(600 * ('stays' in os.sys.argv))\\n"
)
with opened() as ws:
    config = ScriptRunConfig("source", "train.py", arguments=sys.argv[2:])
    run = Experiment(ws, "submitted").submit(config)
    print(run.id)
    if not sys.argv[2:]:
        run.wait_for_completion()
"""
    ids = all_outputs_of([user.start(submit) for user in team])
    read = """
with opened() as ws:
    for run_id in sys.argv[2:]:
        print(Run.get(ws, run_id).get_status(), end=": ")
        run = Run.get(ws, run_id)
        run.download_file("user_logs/std_log.txt", "log.txt")
        print(open("log.txt").read(), end="")
"""
    logs = team[0].runs(read, *[run_id.strip() for run_id in ids])
    assert logs.splitlines() == [f"Completed: uid {user.uid} home {user.home}" for user in team]

    staying = team[1].runs(submit, "stays").strip()
    wait = """
import time
with opened() as ws:
    while Run.get(ws, sys.argv[2]).get_status() != sys.argv[3]:
        time.sleep(0.1)
"""
    team[2].runs(wait, staying, "Running")
    followed = team[2].start(
        """
from runlore.cli import main
main(["run", "monitor-logs", "-w", os.path.join(shared, "lab"), "-r", sys.argv[2]])
""",
        staying,
    )
    assert followed.stderr is not None  # Whose it is, until it ends.
    assert any(f"user {team[1].uid}" in line for line in followed.stderr)
    team[3].runs("with opened() as ws: Run.get(ws, sys.argv[2]).cancel()", staying)
    team[4].runs(wait, staying, "Canceled")
    shown = "".join(followed.communicate(timeout=LIMIT_S))
    assert f"uid {team[1].uid}" in shown  # All of it, when the run has ended.


def test_modes_are_those_of_the_umask_and_the_group(team: list[User]) -> None:
    shared = team[0].shared
    wrong = []
    for path in sorted(shared.rglob("*")):
        found = path.lstat()
        relative = path.relative_to(shared)
        assert found.st_gid == GROUP, f"{relative} has the group {found.st_gid}"
        mode = stat.S_IMODE(found.st_mode)
        if relative.parts[:2] == ("lab", "runs") and len(relative.parts) > 2:
            continue  # Of their users alone: scripts may hold secrets.
        if relative.parts[:2] == ("lab", "artifacts") and path.is_file():
            right = mode == 0o444
        elif path.is_dir():
            right = mode == 0o2775
        else:
            right = mode == 0o664
        if not right:
            wrong.append(f"{relative} {mode:o}")
    assert wrong == []


def test_who_may_only_read_is_told_whose_file_it_is() -> None:
    with group_of(2) as (owner, other):
        owner.runs(CREATE, umask=0o022)

        told = other.runs("""
try:
    started(opened())
except Exception as error:
    print(type(error).__name__, error)
""")

    assert told.startswith("LogReadOnly")
    assert f"user {other.uid}" in told
    assert f"belongs to user {owner.uid} and has the mode 2755" in told


def test_a_value_logged_by_who_may_only_read_blocks_neither_reads_nor_the_end() -> None:
    with group_of(2) as (owner, other):
        owner.runs(CREATE + '\nstarted(opened(), run_id="first").complete()\n', umask=0o022)

        told = other.runs("""
import warnings
warnings.simplefilter("ignore")
ws = opened()
run = ws.get_run("first")
run.log("loss", 0.5)
print(ws.sql("SELECT run_id FROM runs").fetchall(), run.get_metrics(), run.get_status())
try:
    run.flush()
except Exception as error:
    print(type(error).__name__)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    ws.close()
print(told[-1].message)
""")

    seen, refused, lost = told.splitlines()
    assert (seen, refused) == ("[('first',)] {'loss': 0.5} Completed", "LogReadOnly")
    assert lost.startswith("values logged into a workspace that is only read are lost: ")
