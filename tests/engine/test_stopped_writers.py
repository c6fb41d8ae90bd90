"""Reads while another process is stopped inside of its write: they answer, and it stays stopped."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from runlore import Experiment, Workspace
from runlore.domain.events import RunCreated, RunSubmitted
from runlore.domain.status import Status
from runlore.engine.streams import stream_of_run
from runlore.storage.errors import LogBusy
from runlore.storage.file_lock import unlock
from runlore.storage.journal import Pending
from runlore.storage.run_folder import RunFolder
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.stamp import Stamped
from runlore.workspace import session_of
from tests.cli.shell import in_this_process
from tests.processes import Child, wait_until
from tests.workspaces import start

pytestmark = [pytest.mark.long, pytest.mark.processes]

KEPT_OPEN: Final[list[Workspace]] = []
ANSWER_S: Final = 45.0
"""How long a read may take here on a busy machine. A write waits for 60 s."""


class Lab(NamedTuple):
    """A workspace in which a process is stopped inside of its write.

    The process that logged into `killed` was killed in the meantime, and so was the supervisor of
    `lost`; neither is in the log.
    """

    folder: Path
    writer: Child

    @property
    def is_stopped(self) -> bool:
        return is_stopped(self.writer)

    def asked(self, question: Callable[[], Any]) -> Any:
        """What another process answers while the writer is stopped."""
        child = Child(question)
        answers = child.has_ended(ANSWER_S)
        if not answers:
            os.kill(child.pid, signal.SIGKILL)
        assert self.is_stopped
        assert answers, "the read waits"
        return child.result()


def is_stopped(child: Child) -> bool:
    stat = Path(f"/proc/{child.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def stop_inside_of_a_write(folder: Path) -> None:
    """Tag a run, and stop this process when it holds the queue's lock and SQLite's."""

    def insert(log: SqliteLog, connection: sqlite3.Connection, stamped: Stamped) -> None:
        SqliteLog._insert = inserted  # type: ignore[method-assign]
        os.kill(os.getpid(), signal.SIGSTOP)
        inserted(log, connection, stamped)

    inserted = SqliteLog._insert
    SqliteLog._insert = insert  # type: ignore[assignment,method-assign]  # in a forked child only
    with Workspace.open(folder) as workspace:
        workspace.get_run("base").tag("by", "the stopped process")


def log_and_die(folder: Path, run_id: str, values: Sequence[float]) -> None:
    with Workspace.open(folder) as workspace:
        run = workspace.get_run(run_id)
        for value in values:
            run.log("loss", value)
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def stopped_writer(folder: Path) -> Iterator[Child]:
    writer = Child(lambda: stop_inside_of_a_write(folder))
    wait_until(lambda: is_stopped(writer), "the writer to stop")
    try:
        yield writer
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        os.waitpid(writer.pid, 0)
        writer.let_go()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    folder = tmp_path / "lab"
    with Workspace.create("lab", path=folder) as workspace:
        experiment = Experiment(workspace, "e")
        for name in ("base", "alive", "killed"):
            start(experiment, run_id=name).log("loss", 1.0)
        supervised = submitted(experiment)
    with stopped_writer(folder) as writer:
        unlock(supervised)
        killed = Child(lambda: log_and_die(folder, "killed", [0.5, 0.25]))
        os.waitpid(killed.pid, 0)
        killed.let_go()
        yield Lab(folder, writer)


def submitted(experiment: Experiment) -> int:
    """Make a run `lost` that is executed as long as the lock is held that this returns."""
    session = session_of(experiment.workspace).writable()
    created = RunCreated(
        run_id="lost",
        experiment_id=experiment.id,
        experiment_name=experiment.name,
        status=Status.RUNNING,
        root_id="lost",
        target="local",
        run_type="azureml.scriptrun",
    )
    script = RunSubmitted(definition={"command": ["true"]})
    stream = stream_of_run("lost").stream
    session.journal.append([Pending(stream, 1, created), Pending(stream, 2, script)])
    folder = RunFolder(session.require_held(), "lost")
    fd = folder.make_and_lock()
    assert fd is not None
    return fd


def reads(folder: Path) -> dict[str, Any]:
    with Workspace.open(folder) as workspace:
        experiment = Experiment(workspace, "e")
        runs = {run.id: run for run in experiment.get_runs()}
        base, killed, lost = runs["base"], runs["killed"], runs["lost"]
        now = workspace.position
        with workspace.subscribe(after=0, timeout_s=0) as feed:
            told = sum(1 for _ in feed)
        audit = workspace.audit
        return {
            "runs": sorted(runs),
            "lost": (lost.get_status(), lost.get_details()["status"]),
            "tags": base.get_tags(),
            "metrics": (base.get_metrics(), killed.get_metrics()),
            "values": killed.values("loss").values.tolist(),
            "sql": workspace.sql("SELECT count(*) FROM runs").fetchall(),
            "isolated": workspace.sql("SELECT count(*) FROM runs", isolated=True).fetchall(),
            "history": [change.what for change in base.history()],
            "then": workspace.as_of(now).get_run("base").get_metrics(),
            "events": (sum(1 for _ in workspace.events()) - now, told - now),
            "verified": audit.verify().holds,
            "exported": workspace.export(folder.parent / "bundle.zip").head.position - now,
            "report": audit.report(folder.parent / "report.html", run="base"),
            "diff": [change.what for change in workspace.diff(now)],
        }


def test_every_read_answers_while_a_writer_is_stopped(lab: Lab) -> None:
    assert lab.asked(lambda: reads(lab.folder)) == {
        "runs": ["alive", "base", "killed", "lost"],
        "lost": ("Failed", "Failed"),
        "tags": {},
        "metrics": ({"loss": 1.0}, {"loss": [1.0, 0.5, 0.25]}),
        "values": [1.0, 0.5, 0.25],
        "sql": [(4,)],
        "isolated": [(4,)],
        "history": ["created", "values_logged"],
        "then": {"loss": 1.0},
        "events": (0, 0),
        "verified": True,
        "exported": 0,
        "report": 1,
        "diff": [],
    }


def commands(folder: Path) -> list[tuple[int, str]]:
    ran = [
        in_this_process(*words, "-w", str(folder), cwd=folder.parent)
        for words in (
            ("run", "list", "-e", "e"),
            ("run", "show", "-r", "killed"),
            ("run", "metrics", "-r", "killed"),
            ("run", "history", "-r", "base"),
            ("sql", "SELECT count(*) FROM runs"),
            ("events",),
            ("audit", "verify"),
        )
    ]
    return [(each.code, each.err) for each in ran]


def test_every_command_that_reads_answers_while_a_writer_is_stopped(lab: Lab) -> None:
    *told, (code, verified) = lab.asked(lambda: commands(lab.folder))
    assert told == 6 * [(0, "")]
    assert code == 0
    assert "all holds" in verified


def logged_and_read(folder: Path) -> dict[str, Any]:
    workspace = Workspace.open(folder)
    KEPT_OPEN.append(workspace)  # To close it would wait for the writer.
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = workspace.get_run("base")
        for value in (0.5, 0.25):
            run.log("loss", value)
        found: dict[str, Any] = {"metrics": run.get_metrics()}
        found["thinned"] = run.values("loss", max_points=9).values.tolist()
        told_before = len(told)
        found["sql"] = workspace.sql("SELECT count(*) FROM metric_points").fetchall()
        found["told"] = told_before, [str(warning.message) for warning in told]
        child = os.fork()  # As a data loader does, while the thread that writes waits.
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        found["after a fork"] = run.get_metrics()
    return found


def test_a_process_reads_what_it_has_logged_and_cannot_write(lab: Lab) -> None:
    found = lab.asked(lambda: logged_and_read(lab.folder))
    told_before, told = found.pop("told")
    assert found == {
        "metrics": {"loss": [1.0, 0.5, 0.25]},
        "thinned": [1.0, 0.5, 0.25],
        "sql": [(3,)],
        "after a fork": {"loss": [1.0, 0.5, 0.25]},
    }
    assert told_before == 0
    told = [text for text in told if not text.startswith("waiting for the turn")]
    assert len(told) == 1
    assert "the answer lacks values that this process has logged" in told[0]
    assert f"pid {lab.writer.pid}" in told[0]


def moments(folder: Path) -> tuple[str, int]:
    with Workspace.open(folder) as workspace:
        with pytest.raises(LogBusy) as caught:
            workspace.as_of(datetime.now(UTC))
        return str(caught.value), workspace.position


def test_a_time_that_nobody_has_settled_is_refused_with_the_position_to_ask_for(lab: Lab) -> None:
    text, position = lab.asked(lambda: moments(lab.folder))
    assert f"ask by position instead, {position} for now" in text
    assert f"`kill -CONT {lab.writer.pid}`" in text


def test_what_could_not_be_written_is_written_when_the_writer_goes_on(lab: Lab) -> None:
    with Workspace.open(lab.folder) as workspace:
        query = "SELECT run_id, count(*) FROM metric_points GROUP BY ALL ORDER BY ALL"
        assert workspace.sql(query).fetchall() == [("alive", 1), ("base", 1), ("killed", 1)]
        os.kill(lab.writer.pid, signal.SIGCONT)
        base = workspace.get_run("base")
        wait_until(lambda: base.get_tags() != {}, "the writer to go on")
        wait_until(lambda: ("killed", 3) in workspace.sql(query).fetchall(), "a second try")
        failed = "SELECT run_id FROM runs WHERE status = 'Failed'"
        assert workspace.sql(failed).fetchall() == [("lost",)]


def count_runs(folder: Path) -> list[tuple[Any, ...]]:
    with Workspace.open(folder) as workspace:
        return workspace.sql("SELECT count(*) FROM runs").fetchall()


def stop_inside_of_a_query(folder: Path) -> None:
    from runlore.projections.open_tables import OpenTables

    def position(tables: OpenTables) -> int:
        os.kill(os.getpid(), signal.SIGSTOP)
        return 0

    OpenTables.position = property(position)  # type: ignore[assignment,method-assign]
    with Workspace.open(folder) as workspace:
        session_of(workspace).reader().projection.refresh()


def test_a_stopped_reader_stops_nobody(lab: Lab) -> None:
    reader = Child(lambda: stop_inside_of_a_query(lab.folder))
    wait_until(lambda: is_stopped(reader), "the reader to stop")
    assert lab.asked(lambda: count_runs(lab.folder)) == [(4,)]
    assert is_stopped(reader)
    os.kill(reader.pid, signal.SIGKILL)
    os.waitpid(reader.pid, 0)
    reader.let_go()


FAILS = """
import sys
import runlore
run = runlore.init("e", workspace=sys.argv[1], run_id="failing", quiet=True)
run.log("loss", 0.5)
run.flush()
print("ready", flush=True)
sys.stdin.readline()
run.log("loss", 0.25)
raise ValueError("bad")
"""


def test_a_process_that_ends_leaves_the_end_of_its_run_to_the_next_one(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    with Workspace.create("lab", path=folder) as workspace:
        start(Experiment(workspace, "e"), run_id="base").complete()
    command = [sys.executable, "-c", FAILS, str(folder)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as ending:
        assert ending.stdout is not None
        assert ending.stdout.readline() == "ready\n"
        with stopped_writer(folder) as writer:
            ended = ending.communicate("go on\n", timeout=ANSWER_S)  # It waits for 5 s at most.
            at = datetime.now(UTC)
            assert is_stopped(writer)
            assert "ValueError: bad" in ended[1] and ending.returncode == 1
            with Workspace.open(folder) as workspace:
                assert workspace.get_run("failing").get_status() == "Running"
    with Workspace.open(folder) as workspace:
        run = workspace.get_run("failing")
        details = run.get_details()
        assert details["status"] == "Failed"
        assert "ValueError: bad" in details["error"]["error"]["message"]
        assert datetime.fromisoformat(details["endTimeUtc"]) < at  # When it ended.
        assert run.get_metrics() == {"loss": [0.5, 0.25]}


ENDS = """
import sys
from runlore import Workspace
run = Workspace.open(sys.argv[1]).get_run("alive")
run.log("loss", 0.125)
"""


def test_a_process_that_ends_leaves_its_values_to_the_next_one(lab: Lab) -> None:
    command = [sys.executable, "-c", ENDS, str(lab.folder)]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)

    assert lab.is_stopped
    assert ended.returncode == 0
    assert "were lost" not in ended.stderr
    assert "keep waiting" in ended.stderr
    os.kill(lab.writer.pid, signal.SIGCONT)
    wait_until(lambda: lab.writer.has_ended(0.1), "the writer to end")
    with Workspace.open(lab.folder) as workspace:
        assert workspace.get_run("alive").get_metrics() == {"loss": [1.0, 0.125]}
        assert workspace.sql("SELECT last FROM metrics WHERE run_id = 'alive'").fetchall() == [
            (0.125,)
        ]
