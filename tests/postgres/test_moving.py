"""Workspaces and their logs move between folders and PostgreSQL, events unchanged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runlore import Experiment, Run, Workspace
from runlore.audit import copying
from runlore.audit.copying import StillInUse
from runlore.audit.verify import verify_folder
from runlore.domain.errors import AlreadyExists, InvalidInput
from runlore.exceptions import LogCorrupt, LogMoved, LogReadOnly
from runlore.storage import log_copy
from runlore.storage.event_log import Drained, ForeignEvent
from runlore.storage.fence import Fence
from runlore.storage.log_copy import begin_copy, copy_events
from runlore.storage.movable_log import MovableLog
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.postgresql.log import PostgresLog
from runlore.testing.logs import NOON, Clock, all_rows, asking_for, check_head, new_event
from runlore.workspace import session_of
from tests.examples import few
from tests.postgres.logs import log_at
from tests.postgres.server import Server

pytestmark = [pytest.mark.long, pytest.mark.processes]

_HOUR = 3_600_000_000


def moved(source: MovableLog, target: MovableLog) -> None:
    """Copy a log, step by step as a workspace's is."""
    begin_copy(source, target, uri="there", name="here")
    position = copy_events(source, target)
    assert source.put_up(Fence("moved to", "here", source.beside().version), at=position)
    target.take_down(source.beside())


# --- logs -----------------------------------------------------------------------------------

_STEPS = st.lists(
    st.tuples(
        st.sampled_from(("append", "foreign", "drain", "settle", "newer")),
        st.integers(1, 4),
        st.integers(-_HOUR, _HOUR),
    ),
    max_size=12,
)


def history(log: MovableLog, clock: Clock, steps: list[tuple[str, int, int]]) -> None:
    """A history of a log whose clocks disagree."""
    for number, (what, count, shift) in enumerate(steps):
        clock.now = NOON + shift
        if what == "foreign":
            log.append_foreign([ForeignEvent(f"other/{number}", 1, "topic", b"\x00")])
        elif what == "settle":
            log.settle(min(clock.now, log.head().recorded_at) - 1)
        elif what == "newer":
            log.append([asking_for(2, f"run/{number}")])
        else:
            events = [new_event(f"run/é{number}", version) for version in range(1, count + 1)]
            drained = Drained(f"{number:032x}", count, 3) if what == "drain" else None
            log.append(events, drained=drained)


@given(_STEPS)
@settings(
    deadline=None,
    max_examples=few(8),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_history_comes_back_from_postgresql_as_it_went_there(
    tmp_path: Path, server: Server, steps: list[tuple[str, int, int]]
) -> None:
    clock = Clock()
    folder = tmp_path / os.urandom(8).hex()
    folder.mkdir()
    log = open_sqlite(folder / "there.db", clock=clock)
    history(log, clock, steps)
    before, marks, head = all_rows(log), log.drained_marks(), log.head()
    times = {row.recorded_at + shift for row in before for shift in (-1, 0, 1)}
    counted = {time: log.position_at(time) for time in times}

    with (
        closing(log_at(server.uri(f"test_{os.urandom(8).hex()}"))) as away,
        closing(open_sqlite(folder / "back.db", clock=clock)) as back,
    ):
        moved(log, away)
        moved(away, back)
        for copy in (away, back):
            assert all_rows(copy) == before
            assert copy.head() == head
            assert copy.drained_marks() == marks
            assert {time: copy.position_at(time) for time in times} == counted
            assert copy.beside()._replace(version=2) == log.beside()._replace(version=2)
        assert not back.fence()
        back.append([new_event("run/afterwards")])
        assert back.head().size == head.size + 1
    log.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[MovableLog]:
    log = open_sqlite(tmp_path / "log.db")
    log.append([new_event(f"run/{number}") for number in range(5)])
    yield log
    log.close()


@pytest.fixture
def away(server: Server, schema: str) -> Iterator[PostgresLog]:
    log = log_at(server.uri(schema))
    yield log
    log.close()


def test_nobody_writes_to_a_moved_log_nor_to_an_incomplete_copy(
    log: MovableLog, away: PostgresLog, server: Server, schema: str
) -> None:
    other = log_at(server.uri(schema))
    begin_copy(log, away, uri="there", name="here")
    with pytest.raises(LogMoved, match="incomplete copy of there"):
        other.append([new_event("run/x")])
    copy_events(log, away)
    away.take_down(log.beside())

    other.append([new_event("run/x")])
    assert not away.put_up(Fence("moved to", "back", 1), at=5)
    assert away.put_up(Fence("moved to", "back", 1), at=6)
    for write in (
        lambda: other.append([new_event("run/y")]),
        lambda: other.append_decided(lambda read: [new_event("run/y")]),
        lambda: other.append_all(lambda: [new_event("run/y")]),
        lambda: other.append_foreign([ForeignEvent("other/y", 1, "topic", b"")]),
        lambda: other.settle(NOON),
    ):
        with pytest.raises(LogMoved, match="was moved to back"):
            write()
    assert len(all_rows(other)) == 6
    other.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_rows_that_do_not_fit_are_not_adopted(
    log: MovableLog, away: PostgresLog, tmp_path: Path, kind: str
) -> None:
    target: MovableLog = away if kind == "postgresql" else open_sqlite(tmp_path / "copy.db")
    begin_copy(log, target, uri="there", name="here")
    rows = all_rows(log)
    for wrong in (
        [rows[0]._replace(state=b"\x81")],
        [rows[1]],
        [rows[0], rows[2]],
        [rows[0], rows[1]._replace(recorded_at=0)],
    ):
        with pytest.raises(LogCorrupt, match="was not copied"):
            target.adopt(wrong)
    assert not all_rows(target)
    target.adopt(rows[:2])
    target.adopt(rows[:2])
    target.adopt(rows[2:])
    assert all_rows(target) == rows
    assert check_head(target) == log.head()
    target.close()


def test_only_the_owner_of_a_schema_adopts_rows_and_moves_its_log(
    log: MovableLog, away: PostgresLog, server: Server, schema: str
) -> None:
    role = f"role_{os.urandom(4).hex()}"
    server.execute(
        f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {role}; "
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}; "
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role}"
    )
    with closing(log_at(server.uri(schema, user=role))) as writers:
        writers.append([new_event("run/own")])
        for change in (
            lambda: writers.adopt(all_rows(log)),
            lambda: writers.put_up(Fence("moved to", "mine", 1), at=1),
            lambda: writers.take_down(log.beside()),
        ):
            with pytest.raises((LogReadOnly, LogCorrupt)):
                change()
    assert [row.stream for row in all_rows(away)] == ["run/own"]


# --- workspaces -----------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        filled(ws)
        ws.audit.new_key(tmp_path / "audit.key")
        ws.audit.checkpoint(key=tmp_path / "audit.key")
        yield ws


def filled(ws: Workspace) -> Run:
    """A run with values, a tag and a file."""
    run = Experiment(ws, "first").start_logging(outputs=False, snapshot_directory=None)
    run.log("loss", 0.5)
    run.log_table("table", {"a": [1, 2]})
    run.tag("quality", "great")
    run.complete()
    return run


def rows_of(ws: Workspace) -> list[object]:
    return [*all_rows(session_of(ws).log)]


def test_a_workspace_moves_to_postgresql_and_back_and_its_proofs_hold(
    lab: Workspace, tmp_path: Path, server: Server, schema: str
) -> None:
    uri, before = server.uri(schema), rows_of(lab)
    proof = lab.audit.prove(2)
    root = lab.audit.checkpoints()[0].root

    copied = lab.copy_to(uri)

    assert (copied.events, copied.target) == (len(before), uri)
    with pytest.raises(LogMoved, match="was moved to postgresql://"):
        filled(lab)
    assert rows_of(lab) == before
    with Workspace.open(uri) as away:
        assert rows_of(away) == before
        assert verify_folder(uri).holds
        assert [one.root for one in away.audit.checkpoints()] == [root]
        assert away.audit.prove(2)["event"] == proof["event"]
        [run] = away.experiments["first"].get_runs()
        assert run.get_metrics()["table"] == {"a": [1, 2]}
        filled(away)
        away.audit.checkpoint(key=tmp_path / "audit.key")
        after = rows_of(away)
        away.copy_to(tmp_path / "lab")
    with Workspace.open(tmp_path / "lab") as back:
        assert rows_of(back) == after
        assert verify_folder(tmp_path / "lab").holds
        assert len(back.audit.checkpoints()) == 2
        filled(back)


def test_a_move_that_was_done_can_be_repeated_also_after_the_copy_went_on(
    lab: Workspace, tmp_path: Path
) -> None:
    first = lab.copy_to(tmp_path / "new")
    with Workspace.open(tmp_path / "new") as new:
        filled(new)

    again = lab.copy_to(tmp_path / "new")

    assert again.events > first.events
    with pytest.raises(LogMoved, match="was moved to sqlite://"):
        lab.copy_to(tmp_path / "elsewhere")


class Stopped(Exception):
    """Stands for the end of the process."""


def test_a_move_goes_on_wherever_it_was_stopped(
    lab: Workspace, tmp_path: Path, server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_copy, "_BATCH_SIZE", 4)
    before = rows_of(lab)
    stops = 0
    for place in range(100):
        steps = iter(range(100))

        def step(*_: object, place: int = place, steps: Iterator[int] = steps) -> None:
            if next(steps) == place:
                raise Stopped

        with monkeypatch.context() as patched:
            for module, name in (
                (copying, "copy_audit"),
                (copying, "copy_artifacts"),
                (copying, "begin_copy"),
                (copying, "copy_events"),
                (PostgresLog, "adopt"),
                (PostgresLog, "take_down"),
                (copying, "_copied"),
            ):
                patched.setattr(module, name, _stopping(getattr(module, name), step))
            try:
                lab.copy_to(server.uri(schema))
            except Stopped:
                stops += 1
            else:
                break

    assert stops > 6
    with Workspace.open(server.uri(schema)) as away:
        assert rows_of(away) == before
        filled(away)


def _stopping(function: object, step: object) -> object:
    def stopping(*args: object, **kwargs: object) -> object:
        step(args)  # type: ignore[operator]  # before and after each step
        result = function(*args, **kwargs)  # type: ignore[operator]
        step(args)  # type: ignore[operator]
        return result

    return stopping


_KILLED = """
import os, signal, sys
from runlore import Workspace
from runlore.storage import log_copy
log_copy._BATCH_SIZE = 2
with Workspace.open(sys.argv[1]) as ws:
    ws.copy_to(sys.argv[2], progress=lambda done, of: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_killed_move_is_completed_by_the_next(
    lab: Workspace, tmp_path: Path, server: Server, schema: str
) -> None:
    before = rows_of(lab)
    lab.close()
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "lab"), server.uri(schema)]
    for _ in range(2):
        assert subprocess.run(command, check=False, timeout=60).returncode == -signal.SIGKILL
    with pytest.raises(LogMoved, match="incomplete copy"):
        Workspace.open(server.uri(schema))

    words = ["workspace", "copy", str(tmp_path / "lab"), server.uri(schema), "-o", "json"]
    ran = subprocess.run(
        [sys.executable, "-m", "runlore", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    assert f'"events": {len(before)}' in ran.stdout
    with Workspace.open(server.uri(schema)) as away:
        assert rows_of(away) == before


def test_a_place_that_holds_something_else_is_refused_and_stays(
    lab: Workspace, tmp_path: Path, server: Server, schema: str
) -> None:
    with Workspace.create("other", path=server.uri(schema)) as other:
        mine = rows_of(other)
        with pytest.raises(AlreadyExists, match="holds a workspace already"):
            lab.copy_to(server.uri(schema))
        assert rows_of(other) == mine
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(AlreadyExists, match="other files"):
        lab.copy_to(tmp_path / "full")
    with pytest.raises(InvalidInput, match="the workspace itself"):
        lab.copy_to(tmp_path / "lab")
    assert [one.name for one in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    filled(lab)


_WRITES = """
import sys
from runlore import Experiment, Workspace
run = Experiment(Workspace.open(sys.argv[1]), "other").start_logging(
    outputs=False, snapshot_directory=None)
print("there", flush=True)
sys.stdin.read()
"""


def test_a_workspace_to_which_others_write_is_not_moved(lab: Workspace, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITES, str(tmp_path / "lab")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"there\n"

        with pytest.raises(StillInUse, match="processes write to it"):
            lab.copy_to(tmp_path / "new")

        writer.communicate(timeout=60)
    lab.copy_to(tmp_path / "new")


def test_a_damaged_event_is_named_and_not_copied(lab: Workspace, tmp_path: Path) -> None:
    session = session_of(lab)
    with session.log.database.write() as connection:  # type: ignore[attr-defined]  # of SQLite
        connection.execute("UPDATE stored_events SET state = x'80' WHERE notification_id = 4")

    with pytest.raises(LogCorrupt, match="position 4 does not match its leaf"):
        lab.copy_to(tmp_path / "new")
    filled(lab)
