"""The events of a workspace: all recorded ones, and a feed of new ones."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidInput, InvalidType, PastIsReadOnly, WorkspaceClosed
from runlore.engine.event_feed import LoggedEvent
from runlore.storage.log_query import LogQuery
from runlore.storage.memory_log import MemoryLog
from runlore.testing.logs import new_event
from tests.processes import LIMIT_S, in_child, start_python, wait_until
from tests.workspaces import start

WRITER = """
import sys
from runlore import Experiment, Workspace
ws = Workspace.open(sys.argv[1], actor=sys.argv[2])
run = Experiment(ws, "shared").start_logging(outputs=False, snapshot_directory=None)
for number in range(int(sys.argv[3])):
    run.tag(f"{sys.argv[2]} {number}")
    print(number, flush=True)
"""


def test_the_events_are_those_of_the_log_with_who_did_it(ws: Workspace, run: Run) -> None:
    run.tag("a", "x")
    run.log("loss", 0.5)

    found = list(ws.events())

    rows = ws.log.read_log(LogQuery(limit=100))
    assert [(event.position, event.stream, event.version, event.topic) for event in found] == [
        (row.position, row.stream, row.version, row.topic) for row in rows
    ]
    assert found[-1].topic == "run.values_logged"
    tagged = next(event for event in found if event.topic == "run.tag_set")
    assert tagged.data == {"key": "a", "value": "x"}
    assert (tagged.run_id, tagged.time) == (run.id, run.history()[-2].time)
    assert (
        tagged.who == run.history()[-2].who == f"{tagged.actor}@{tagged.host} (pid {os.getpid()})"
    )


def test_events_are_selected_by_position_stream_topic_and_actor(
    folder_ws: Workspace,
) -> None:
    exp = Experiment(folder_ws, "e")
    first, second = start(exp), start(exp)
    before = folder_ws.position
    first.tag("a")
    second.tag("a")
    first.log("loss", 1.0)
    first.flush()
    with Workspace.open(folder_ws.path or "", actor="somebody else") as other:
        other.get_run(second.id).remove_tags(["a"])

    def topics(**conditions: object) -> list[str]:
        return [event.topic for event in folder_ws.events(before, **conditions)]  # type: ignore[arg-type]

    assert topics(stream=f"run/{first.id}") == ["run.tag_set", "run.values_logged"]
    assert topics(topics="run.tag_set") == ["run.tag_set", "run.tag_set"]
    assert topics(topics=["run.tag_removed", "run.values_logged"]) == [
        "run.values_logged",
        "run.tag_removed",
    ]
    assert topics(actor="somebody else") == ["run.tag_removed"]
    assert topics(actor="nobody") == []
    past = folder_ws.as_of(before)
    assert [event.position for event in past.events(before - 1)] == [before]


def test_the_events_end_where_the_log_ended_at_the_first_read(ws: Workspace, run: Run) -> None:
    head = ws.position
    feed = ws.events()
    first = next(feed)
    run.tag("later")

    assert [first.position, *(event.position for event in feed)][-1] == head


def test_invalid_arguments_are_refused_at_once(ws: Workspace) -> None:
    with pytest.raises(InvalidInput, match="no position"):
        ws.events(10**9)
    with pytest.raises(InvalidType, match="topic must be a str"):
        ws.subscribe(topics=[5])  # type: ignore[list-item]  # the test's point
    with pytest.raises(InvalidType, match="topics must be a str"):
        ws.events(topics=5)  # type: ignore[arg-type]  # the test's point
    with pytest.raises(InvalidInput, match="timeout_s"):
        ws.subscribe(timeout_s=-1)
    with pytest.raises(InvalidType, match="timeout_s"):
        ws.subscribe(timeout_s="5")  # type: ignore[arg-type]  # the test's point
    with pytest.raises(PastIsReadOnly):
        ws.as_of(ws.position).subscribe()


def test_a_feed_starts_now_or_at_a_given_position(ws: Workspace, run: Run) -> None:
    run.tag("before")
    now, all_of_it = ws.subscribe(timeout_s=0), ws.subscribe(0, timeout_s=0)
    run.tag("after")

    assert [event.data for event in now] == [{"key": "after", "value": None}]
    assert [event.position for event in all_of_it] == [event.position for event in ws.events()]


def test_a_feed_that_skips_events_still_advances_its_position(ws: Workspace, run: Run) -> None:
    feed = ws.subscribe(topics="run.tag_removed", timeout_s=0)
    run.tag("a")
    run.remove_tags(["a"])
    removed = ws.position
    run.tag("b")

    assert next(feed).position == removed
    assert feed.position in (removed, ws.position)
    assert list(feed) == []
    assert feed.position == ws.position


def test_a_feed_that_resumes_where_another_ended_misses_and_repeats_nothing(
    ws: Workspace, run: Run
) -> None:
    begin = position = ws.position
    seen: list[LoggedEvent] = []
    for number in range(5):
        run.set_tags({f"{number} {key}": None for key in "abc"})
        with ws.subscribe(position, timeout_s=0) as feed:
            seen += [next(feed), next(feed)]  # Mostly stops in the middle of a commit.
            position = feed.position
    with ws.subscribe(position, timeout_s=0) as feed:
        seen += feed

    assert [event.position for event in seen] == list(range(begin + 1, ws.position + 1))


def test_a_feed_waits_until_it_is_stopped_from_another_thread(ws: Workspace, run: Run) -> None:
    seen: list[LoggedEvent] = []
    feed = ws.subscribe()
    reading = threading.Thread(target=lambda: seen.extend(feed))
    reading.start()
    run.tag("a")
    wait_until(lambda: feed.position == ws.position, "the feed to see the tag")

    feed.stop()
    reading.join(LIMIT_S)

    assert not reading.is_alive()
    assert [event.topic for event in seen] == ["run.tag_set"]


def test_a_feed_ends_with_its_workspace(ws: Workspace) -> None:
    feed = ws.subscribe()
    ws.close()

    with pytest.raises(WorkspaceClosed):
        next(feed)


@pytest.mark.processes
def test_a_feed_continues_in_parent_and_child_after_a_fork(
    folder_ws: Workspace,
) -> None:
    run = start(Experiment(folder_ws, "e"))
    feed = folder_ws.subscribe(timeout_s=LIMIT_S)
    run.tag("a")
    next(feed)

    def next_tag() -> object:
        run.tag("b")
        return next(event.data for event in feed if event.topic == "run.tag_set")

    assert in_child(next_tag) == {"key": "b", "value": None}
    assert next_tag() == {"key": "b", "value": None}


@pytest.mark.processes
def test_a_feed_delivers_each_event_of_many_processes_once_even_if_some_are_killed(
    folder_ws: Workspace,
) -> None:
    folder = str(folder_ws.path)
    feed = folder_ws.subscribe(0, timeout_s=LIMIT_S)
    survivors = [start_python(WRITER, folder, f"writer {n}", "30") for n in range(2)]
    doomed = start_python(WRITER, folder, "doomed", "100000")
    seen: list[int] = []
    tags: dict[str, list[str]] = {}
    killed = False
    while len(tags.get("writer 0", ())) + len(tags.get("writer 1", ())) < 60 or not killed:
        event = next(feed)
        seen.append(event.position)
        if event.topic == "run.tag_set" and event.data is not None:
            tags.setdefault(event.actor or "", []).append(event.data["key"])
        if not killed and len(tags.get("doomed", ())) >= 20:
            os.kill(doomed.pid, signal.SIGKILL)
            killed = True
    for process in (*survivors, doomed):
        process.communicate(timeout=LIMIT_S)
    feed.timeout_s = 0
    seen += [event.position for event in feed]

    assert seen == [row.position for row in folder_ws.log.read_log(LogQuery(limit=1_000_000))]
    for name in ("writer 0", "writer 1"):
        assert tags[name] == [f"{name} {number}" for number in range(30)]
    assert tags["doomed"] == [f"doomed {number}" for number in range(len(tags["doomed"]))]


def test_the_events_of_a_long_log_are_read_a_page_at_a_time(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws.log.append([new_event("invoice/1", number, "invoice.sent") for number in range(1, 2_001)])
    pages: list[int] = []
    read_plain = type(ws.log).read_plain

    def watched(log: MemoryLog, query: LogQuery) -> object:
        rows = read_plain(log, query)
        pages.append(len(rows))
        return rows

    monkeypatch.setattr(type(ws.log), "read_plain", watched)

    assert len(list(ws.events(topics="invoice.sent"))) == 2_000
    assert max(pages) <= 500 and len(pages) >= 4
