"""`runlore alert` as a process: killed within a delivery, beside a training that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests import web_server as answers
from tests.cli.shell import COMMAND, environment
from tests.fresh_python import run_python
from tests.hostile.users import group_of
from tests.processes import LIMIT_S, start_python
from tests.web_server import SECRET, Server
from tests.workspaces import start

pytestmark = [pytest.mark.long, pytest.mark.processes]


TRAINING = """
import sys, runlore
ws = runlore.Workspace.open(sys.argv[1])
run = runlore.Experiment(ws, "mnist").start_logging(
    run_id=sys.argv[2], outputs=False, snapshot_directory=None
)
run.log("loss", 1.0)
print("logs", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def exp(folder_ws: Workspace) -> Experiment:
    return Experiment(folder_ws, "mnist")


@contextmanager
def alert(exp: Experiment, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The command, from when it watches on; killed in the end."""
    process = subprocess.Popen(
        [*COMMAND, "alert", "-w", str(exp.workspace.path), *arguments],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        if "--debug" in arguments:
            said = process.stderr.readline()
        assert said.startswith("watching lab"), said + process.stderr.read()
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=LIMIT_S)
    assert "Traceback" not in err and SECRET not in err + out
    return process.returncode, out, err


def test_a_watch_tells_a_server_of_what_others_do(exp: Experiment, server: Server) -> None:
    run = start(exp, run_id="a")
    with alert(exp, "--on", "alert,failed", "--webhook", server.url) as process:
        run.alert("loss jumped", "at step 3", level="warning")
        server.received(1)
        run.fail("no data")
        server.received(2)

        process.send_signal(signal.SIGINT)
        code, out, _ = ended(process)

    assert code == 130
    assert server.titles == ["loss jumped", "run failed"]
    printed = [json.loads(line) for line in out.splitlines()]  # Ctrl-C may come before the second.
    assert printed and printed == server.documents[: len(printed)]


def test_the_loss_of_a_killed_training_is_found_and_told(exp: Experiment, server: Server) -> None:
    with alert(exp, "--on", "lost,nan", "--webhook", server.url):
        training = start_python(TRAINING, exp.workspace.path, "victim")
        assert training.stdout is not None and training.stdout.readline() == "logs\n"
        training.kill()
        training.communicate()

        server.received(1)

    [document] = server.documents
    assert (document["kind"], document["run_id"], document["status"]) == (
        "lost",
        "victim",
        "Failed",
    )


@pytest.mark.parametrize("moment", ["never_answers", "drips", "hangs_up"])
def test_a_watch_that_is_killed_within_a_delivery_delivers_again(
    moment: str, exp: Experiment, server: Server
) -> None:
    arguments = ("--on", "alert", "--webhook", server.url)
    server.answers = [200, getattr(answers, moment)]
    run = start(exp)
    with alert(exp, *arguments) as process:
        for number in range(4):
            run.alert(f"alert {number}")
        server.received(2)
        process.kill()
        process.wait()
    assert server.titles[:2] == ["alert 0", "alert 1"]
    server.answers.clear()
    seen = len(server.requests)

    with alert(exp, *arguments, "--once") as process:
        code, _, _ = ended(process)

    assert code == 0
    assert server.titles[seen:] == ["alert 1", "alert 2", "alert 3"]
    assert server.documents[1]["id"] == server.documents[seen]["id"]


def test_killed_at_any_time_nothing_is_missed(exp: Experiment, server: Server) -> None:
    arguments = ("--on", "alert,nan", "--webhook", server.url)
    run = start(exp)
    for number in range(6):
        with alert(exp, *arguments) as process:
            run.alert(f"alert {number}")
            run.log(f"metric {number}", float("nan"))
            run.flush()
            if number % 2:
                server.received(len(server.requests) + 1)
            process.kill()

    with alert(exp, *arguments, "--once") as process:
        ended(process)

    told = [title for number in range(6) for title in (f"alert {number}", f"metric {number} is")]
    for title in told:
        assert any(seen.startswith(title) for seen in server.titles), title
    first = [title for title in dict.fromkeys(server.titles) if title.startswith("alert")]
    assert first == [f"alert {number}" for number in range(6)]


def test_a_failing_server_ends_the_watch_when_patience_ends(
    exp: Experiment, server: Server
) -> None:
    run = start(exp)
    server.answers = [500] * 1000
    arguments = ("--on", "alert", "--webhook", server.url)
    with alert(exp, *arguments, "--retry-for", "0.5") as process:
        run.alert("hello")
        code, out, err = ended(process)

    assert (code, out) == (1, "")
    assert "it answered 500; next attempt in" in err and "--after" in err
    server.answers.clear()
    with alert(exp, *arguments, "--once") as process:
        assert ended(process)[0] == 0
    assert server.titles[-1] == "hello"


def test_the_url_comes_from_the_environment_as_well_and_is_never_shown(
    exp: Experiment, server: Server, state: Path
) -> None:
    start(exp).alert("hello")
    server.answers = [500, 404]
    arguments = ("--on", "alert", "--after", "0", "--once", "--debug")
    with alert(exp, *arguments, RUNLORE_ALERT_WEBHOOK=server.url) as process:
        out, err = process.communicate(timeout=LIMIT_S)

    assert process.returncode == 1 and "it answered 404" in err and out == ""
    assert "Traceback" in err and SECRET not in err
    for file in (*state.rglob("*.json"), *Path(exp.workspace.path or "").rglob("*")):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes()


def test_two_watches_of_the_same_do_not_tell_twice(exp: Experiment, server: Server) -> None:
    arguments = ("--on", "alert", "--webhook", server.url)
    with alert(exp, *arguments):
        second = subprocess.run(
            [*COMMAND, "alert", "-w", str(exp.workspace.path), *arguments],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert (
            second.returncode == 1
            and "give this one a name of its own with --name" in second.stderr
        )
        with alert(exp, *arguments, "--name", "another"):
            start(exp).alert("hello")
            server.received(2)

    assert server.titles == ["hello", "hello"]


@pytest.mark.parametrize("closed", ["1", "2", "12"])
def test_a_watch_whose_output_is_closed_delivers(
    closed: str, exp: Experiment, server: Server
) -> None:
    start(exp).alert("hello")
    redirect = " ".join(f"{number}>&-" for number in closed)
    line = f'exec "$@" {redirect}'
    arguments = ("--on", "alert", "--after", "0", "--once", "--webhook", server.url)
    subprocess.run(
        ["sh", "-c", line, "sh", *COMMAND, "alert", "-w", str(exp.workspace.path), *arguments],
        env=environment(),
        timeout=LIMIT_S,
        check=True,
    )

    assert server.titles == ["hello"]


def test_a_watch_without_a_target_or_with_two_says_what_is_missing(exp: Experiment) -> None:
    for arguments, message in (
        ((), "Missing option '--exec' or '--webhook'"),
        (("--exec", "cat", "--webhook", "http://h/"), "Give one of --exec and --webhook"),
        (("--exec", "cat", "--on", "fialed"), "did you mean failed"),
        (
            (
                "--exec",
                "no-such-command",
            ),
            "names no command that can be found",
        ),
        (("--webhook", "ftp://h/"), "not an http:// or https:// URL"),
    ):
        ran = subprocess.run(
            [*COMMAND, "alert", "-w", str(exp.workspace.path), *arguments],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ran.returncode in (1, 2) and message in ran.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start programs of other users")
def test_a_user_who_may_only_read_is_told_once_what_cannot_be_recorded() -> None:
    write = """
with Workspace.create('lab', path=os.path.join(shared, 'lab')) as ws:
    run = started(ws)
    run.log("loss", float("nan"))
    run.log("loss", 12.0)
    run.complete()
"""
    watch = """
from runlore.cli import main
sys.exit(main(["alert", "-w", os.path.join(shared, "lab"), "--exec", "true", "--once",
               "--on", "nan", "--on", "metrics.loss > 10", "-o", "json", *sys.argv[2:]]))
"""
    with group_of(2) as (owner, reader):
        owner.runs(write, umask=0o022)
        told = reader.runs(watch, "--after", "0", umask=0o022)
        again = reader.runs(watch, "--after", "0", umask=0o022)

    assert sorted(json.loads(line)["title"] for line in told.splitlines()) == [
        "loss is not finite",
        "metrics.loss > 10",
    ]
    assert again == ""


def test_watching_ends_and_failures_loads_neither_duckdb_nor_numpy(tmp_path: Path) -> None:
    code = """
import sys
import runlore
from runlore.cli import main
ws = runlore.Workspace.create("lab", path="lab")
runlore.Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None).fail("x")
ws.close()
assert main(["alert", "-w", "./lab", "--on", "failed,lost,alert", "--after", "0", "--once",
             "--exec", sys.executable + " -c pass"]) == 0
print(sorted({"duckdb", "numpy"} & set(sys.modules)), file=open("loaded", "w"))
"""
    run_python(code, cwd=tmp_path, check=False, XDG_STATE_HOME=str(tmp_path / "state"))

    assert (tmp_path / "loaded").read_text() == "[]\n"
