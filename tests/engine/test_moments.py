"""Moments that `as_of` takes; a past one never changes, whatever the clocks say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidInput, MomentInFuture
from runlore.domain.fact import utc_time
from runlore.engine.moments import parsed, position_of
from runlore.storage.errors import LogReadOnly
from runlore.storage.log_query import LogQuery
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.testing.logs import NOON, Clock, new_event
from runlore.workspace import session_of
from tests.examples import few
from tests.processes import LIMIT_S, start_python
from tests.workspaces import start
from tests.zones import zone

MINUTE = 60_000_000


def clock_of(ws: Workspace) -> Clock:
    """The clock of the workspace's log, stopped at NOON until it is moved."""
    log = session_of(ws).log
    clock = Clock()
    log._clock = clock  # type: ignore[attr-defined]  # Both kinds of log have one.
    return clock


# On a server, the clock is the server's.
on_clocks_of_hosts = pytest.mark.parametrize("ws", ["folder", "memory"], indirect=True)


@on_clocks_of_hosts
def test_a_time_means_the_last_position_observed_by_then(ws: Workspace, run: Run) -> None:
    clock = clock_of(ws)
    clock.now = NOON + 10 * 365 * 1440 * MINUTE
    run.tag("a", "x")
    then, position = utc_time(clock.now), ws.position
    clock.now += MINUTE
    run.tag("a", "y")

    assert ws.as_of(then).position == position
    assert ws.as_of(then + timedelta(seconds=59)).get_run(run.id).get_tags() == {"a": "x"}
    assert ws.as_of(then + timedelta(minutes=1)).get_run(run.id).get_tags() == {"a": "y"}
    east = timezone(timedelta(hours=5))
    assert ws.as_of(then.astimezone(east).isoformat()).position == position
    assert ws.as_of(str(position)).position == position


@pytest.fixture
def tokyo() -> Iterator[timezone]:
    """The zone of this machine during a test, nine hours east."""
    with zone("JST-9"):
        yield timezone(timedelta(hours=9))


@on_clocks_of_hosts
def test_a_text_without_a_zone_is_a_time_of_this_machine(
    ws: Workspace, run: Run, tokyo: timezone
) -> None:
    clock = clock_of(ws)
    clock.now = NOON + 10 * 365 * 1440 * MINUTE
    run.tag("a", "x")
    observed, position = utc_time(clock.now), ws.position
    clock.now += 1440 * MINUTE
    run.tag("a", "y")
    local = observed.astimezone(tokyo).replace(tzinfo=None)

    assert ws.as_of(local.isoformat()).position == position
    assert ws.as_of(str(local - timedelta(seconds=1))).position < position
    assert ws.as_of(str(local.date() + timedelta(days=1))).position == position
    assert [event.position for event in ws.events(local.isoformat())] == [position + 1]
    assert [change.new for change in ws.diff(str(local))] == ["y"]
    # The same text is nine hours earlier, so before the tag, than in UTC.
    assert ws.as_of(observed.isoformat()[:19]).position < position


def test_days_are_those_of_this_machine_and_ages_count_from_now(
    ws: Workspace, tokyo: timezone
) -> None:
    before = datetime.now(tokyo)
    found = [parsed(ws.log, text) for text in ("today", " Yesterday", "2 hours ago")]
    after = datetime.now(tokyo)

    midnights = [now.replace(hour=0, minute=0, second=0, microsecond=0) for now in (before, after)]
    today, yesterday, two_hours_ago = found
    assert isinstance(today, datetime) and isinstance(yesterday, datetime)
    assert isinstance(two_hours_ago, datetime)
    assert today in midnights and yesterday + timedelta(days=1) in midnights
    assert before <= two_hours_ago + timedelta(hours=2) <= after
    assert today.utcoffset() == timedelta(hours=9)


def test_a_checkpoint_is_the_position_of_its_last_event(
    ws: Workspace, run: Run, tmp_path: Path
) -> None:
    size = ws.log.head().size
    checkpoint = f"example.org/lab\n{size}\nAAAA\n\n— key AAAA\n"
    (tmp_path / "saved").write_text(checkpoint)
    run.tag("a")

    assert ws.as_of(checkpoint).get_run(run.id).get_tags() == {}
    assert ws.as_of(tmp_path / "saved").position == size
    with pytest.raises(InvalidInput, match="of 99 events, but the log has"):
        ws.as_of("example.org/lab\n99\nAAAA\n")


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        (datetime(2026, 3, 3, 12), "no time zone"),
        (datetime(2999, 1, 1, tzinfo=UTC), "has not passed yet"),
        (-1, "no position -1"),
        (10**6, "no position 1000000 in the log, which ends at"),
        (True, "not a moment"),
        (1.5, "not a moment"),
        (None, "not a moment"),
        ("yesterdays", "nor a readable file"),
        ("9999999 weeks ago", "nor a readable file"),
        ("not\na\ncheckpoint", "not a checkpoint"),
        ("an/origin\n1", "not a checkpoint"),
        (f"an/origin\n{'9' * 5_000}\nAAAA\n", "not a checkpoint"),
        ("9" * 5_000, "nor a readable file"),
        ("long" * 1_000, "nor a readable file"),
        (".", "nor a readable file"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_anything_but_a_moment_that_has_passed_is_refused_with_a_hint(
    ws: Workspace, moment: object, message: str
) -> None:
    with pytest.raises((InvalidInput, MomentInFuture), match=message):
        ws.as_of(moment)  # type: ignore[arg-type]  # the test's point


def test_a_view_of_the_past_refuses_a_time_that_has_not_passed(ws: Workspace) -> None:
    past = ws.as_of(ws.position)

    with pytest.raises(MomentInFuture):
        past.as_of(datetime.now(UTC) + timedelta(days=1))


def test_a_workspace_can_be_asked_as_of_its_beginning(ws: Workspace, run: Run) -> None:
    past = ws.as_of(0)

    assert (past.name, past.experiments, list(past.sql("SELECT * FROM events"))) == ("lab", {}, [])


def test_a_reader_without_write_access_may_ask_up_to_the_last_event(
    folder_ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = clock_of(folder_ws)
    clock.now = NOON + 10 * 365 * 1440 * MINUTE
    start(Experiment(folder_ws, "e"))
    head, last = folder_ws.position, utc_time(folder_ws.log.head().recorded_at)
    clock.now += MINUTE
    log = session_of(folder_ws).log
    assert isinstance(log, SqliteLog)
    log.close()
    monkeypatch.setattr(os, "access", lambda path, mode, **options: mode != os.W_OK)

    with pytest.raises(LogReadOnly, match=f"last position, {head}"):
        folder_ws.as_of(last)
    assert folder_ws.as_of(last - timedelta(microseconds=1)).position < head
    assert folder_ws.as_of(head).position == head


# --- clocks -----------------------------------------------------------------------------------

writes = st.tuples(st.sampled_from([0, 1]), st.integers(-10, 10), st.just(None))
asks = st.tuples(st.sampled_from([0, 1]), st.integers(-10, 10), st.integers(-10, 30))


@pytest.mark.slow
@settings(deadline=None, max_examples=few(60))
@given(
    st.integers(-30, 30),
    st.lists(writes | asks, min_size=2, max_size=30),
)
def test_an_answer_never_changes_even_if_two_clocks_differ_and_jump_back(
    tmp_path_factory: pytest.TempPathFactory,
    behind: int,
    steps: list[tuple[int, int, int | None]],
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.sqlite"
    clocks = [Clock(), Clock(NOON - behind * MINUTE)]
    logs = [open_sqlite(path, clock=clock) for clock in clocks]
    answered: dict[datetime, int] = {}
    for version, (who, turn, ago) in enumerate(steps, 1):
        clocks[who].now += turn * MINUTE
        if ago is None:
            logs[who].append([new_event("run/r", version)])
            continue
        time = utc_time(clocks[who].now - ago * MINUTE)
        try:
            position = position_of(logs[who], time)
        except MomentInFuture:
            continue
        assert answered.setdefault(time, position) == position
    for time, position in answered.items():
        assert {position_of(log, time) for log in logs} == {position}
    for log in logs:
        log.close()


WRITER = """
import sys, time
from runlore.storage.open_sqlite import open_sqlite
from runlore.testing.logs import new_event
path, stream, behind_us, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
log = open_sqlite(path, clock=lambda: time.time_ns() // 1_000 - behind_us)
for version in range(1, count + 1):
    log.append([new_event(stream, version)])
"""


@pytest.mark.processes
def test_processes_whose_clocks_are_slow_cannot_write_before_a_moment_that_was_read(
    folder_ws: Workspace,
) -> None:
    path = (folder_ws.path or Path()) / "log.sqlite"
    writers = [
        start_python(WRITER, path, f"run/{minutes}", minutes * MINUTE, 150) for minutes in (0, 5)
    ]
    answered: dict[datetime, int] = {}
    while any(writer.poll() is None for writer in writers) or not answered:
        now = datetime.now(UTC)
        answered[now] = folder_ws.as_of(now).position

    assert [writer.wait(LIMIT_S) for writer in writers] == [0, 0]
    for writer in writers:
        writer.communicate()
    assert {time: folder_ws.as_of(time).position for time in answered} == answered
    rows = folder_ws.log.read_log(LogQuery(limit=1_000))
    assert [row.recorded_at for row in rows] == sorted(row.recorded_at for row in rows)
    assert len(rows) == folder_ws.position
