"""The stream of changes: gathered, without a gap, and ended when there is nothing more to say."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import anyio.from_thread
import httpx
import pytest

from runlore import Experiment, Workspace
from runlore.studio import feed as feeds
from runlore.studio.feed import Feed
from tests.processes import LIMIT_S, wait_until
from tests.studio.asking import Served, listening, served
from tests.workspaces import start


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab", show_output=False) as made:
        start(Experiment(made, "e"), run_id="r")
        yield made


@pytest.fixture
def studio(ws: Workspace) -> Iterator[Served]:
    with served(ws) as found:
        yield found


def until(messages: Iterator[dict[str, Any]], position: int) -> list[dict[str, Any]]:
    """The messages up to the one that has reached a position."""
    found = []
    for message in messages:
        found.append(message)
        if message["position"] >= position:
            break
    return found


def topics_in(messages: list[dict[str, Any]], run_id: str) -> set[str]:
    return {topic for message in messages for topic in message["runs"].get(run_id, [])}


def test_a_stream_begins_with_the_position_of_now(ws: Workspace, studio: Served) -> None:
    with listening(studio) as messages:
        assert next(messages) == {"position": ws.position, "runs": {}}


def test_a_stream_says_which_runs_changed_and_how(ws: Workspace, studio: Served) -> None:
    with listening(studio) as messages:
        next(messages)
        ws.get_run("r").tag("a", "1")
        other = start(Experiment(ws, "e"), run_id="other")
        other.complete()
        found = until(messages, ws.position)

    assert topics_in(found, "r") == {"run.tag_set"}
    assert topics_in(found, "other") >= {"run.created", "run.completed"}
    positions = [message["position"] for message in found]
    assert positions == sorted(set(positions))


def test_events_that_come_at_once_come_in_few_messages(ws: Workspace, studio: Served) -> None:
    with listening(studio) as messages:
        next(messages)
        ws.get_run("r").set_tags({f"key{number}": "x" for number in range(300)})
        found = until(messages, ws.position)

    assert len(found) <= 10
    assert [message["runs"] for message in found] == [{"r": ["run.tag_set"]}] * len(found)


def test_a_stream_goes_on_after_the_last_event_that_was_seen(ws: Workspace, studio: Served) -> None:
    before = ws.position
    ws.get_run("r").tag("a", "1")

    with listening(studio, **{"Last-Event-ID": str(before)}) as messages:
        first = next(messages)
    with studio.client.stream("GET", "/api/feed", params={"after": before}) as answer:
        lines = list(islice(answer.iter_lines(), 4))

    assert first == {"position": ws.position, "runs": {"r": ["run.tag_set"]}}
    assert lines[2] == f"id: {ws.position}"


@pytest.mark.parametrize("seen", [10**9, 10**30], ids=["later", "huge"])
def test_who_has_seen_another_log_begins_anew(ws: Workspace, studio: Served, seen: int) -> None:
    with listening(studio, **{"Last-Event-ID": str(seen)}) as messages:
        assert next(messages) == {"position": ws.position, "runs": {}, "reset": True}


def test_who_has_missed_much_begins_anew(
    ws: Workspace, studio: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_CAUGHT_UP_MAX", 5)
    before = ws.position
    ws.get_run("r").set_tags({f"key{number}": "x" for number in range(6)})

    with listening(studio, **{"Last-Event-ID": str(before)}) as messages:
        assert next(messages)["reset"] is True


@pytest.mark.parametrize("seen", ["", "x", "-1", "1.5", "²", "9" * 50])
def test_what_is_no_position_is_no_harm(ws: Workspace, studio: Served, seen: str) -> None:
    headers = [(b"Last-Event-ID", seen.encode("latin-1"))]
    with studio.client.stream("GET", "/api/feed", headers=headers) as answer:
        assert answer.status_code in (200, 422)


def test_the_stream_is_not_kept_on_the_way(studio: Served) -> None:
    with studio.client.stream("GET", "/api/feed") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"


def test_a_hundred_streams_hear_the_same(ws: Workspace, studio: Served) -> None:
    limits = httpx.Limits(max_connections=200)
    with ExitStack() as stack:
        client = stack.enter_context(
            httpx.Client(base_url=studio.origin, trust_env=False, limits=limits, timeout=LIMIT_S)
        )
        many = Served(studio.server, client, studio.thread)
        streams = [stack.enter_context(listening(many)) for _ in range(100)]
        for messages in streams:
            next(messages)
        ws.get_run("r").tag("a", "1")

        for messages in streams:
            assert topics_in(until(messages, ws.position), "r") == {"run.tag_set"}
        assert studio.get("/api/workspace")["position"] == ws.position


def test_a_page_that_is_closed_is_forgotten(ws: Workspace, studio: Served) -> None:
    feed = vars(vars(studio.server)["_studio"])["_feed"]
    with listening(studio) as messages:
        next(messages)
        assert feed.listeners == 1

    wait_until(lambda: feed.listeners == 0, "the stream to be forgotten")


def test_streams_end_when_the_server_does(ws: Workspace) -> None:
    with served(ws) as found, listening(found) as messages:
        next(messages)
        found.server.stop()
        rest = list(messages)  # Ends.
        found.thread.join(LIMIT_S)

    assert rest == [{"over": "the Studio was stopped"}]


def test_streams_do_not_keep_the_server_from_ending(
    ws: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    """The library would wait for them, cut them off after a time, and say so."""
    with served(ws) as found, ExitStack() as stack:
        for _ in range(5):
            next(stack.enter_context(listening(found)))
        found.server.stop()
        found.thread.join(LIMIT_S)

    assert not [record for record in caplog.records if "Cancel" in record.getMessage()]


def test_streams_of_a_workspace_that_was_closed_are_over(tmp_path: Path) -> None:
    ws = Workspace.create("lab", path=tmp_path / "lab", show_output=False)
    with served(ws) as found:
        with listening(found) as messages:
            next(messages)
            ws.close()
            assert "closed" in next(messages)["over"]
            assert list(messages) == []
        with listening(found) as messages:
            assert "closed" in next(messages)["over"]


def test_a_workspace_that_is_removed_harms_nobody_else(tmp_path: Path) -> None:
    ws = Workspace.create("lab", path=tmp_path / "lab", show_output=False)
    start(Experiment(ws, "e"), run_id="r").complete()
    with served(ws) as found, listening(found) as messages:
        next(messages)
        shutil.rmtree(tmp_path / "lab")
        for path in ("/api/workspace", "/api/runs", "/api/runs/r", "/api/experiments"):
            assert found.client.get(path).status_code in (200, 503), path
        assert found.client.get("/").status_code == 200
    ws.close()


# --- a page that does not read ----------------------------------------------------------------


async def _hear(messages: AsyncIterator[str], each: Callable[[str], object]) -> None:
    async for message in messages:
        each(message)


def test_a_slow_page_is_cut_off_and_the_others_go_on(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_GATHER_S", 0.0)
    run = ws.get_run("r")

    async def scene() -> tuple[list[str], list[str]]:
        feed = Feed(ws)
        slow, quick = feed.messages(None), feed.messages(None)
        for messages in (slow, quick):
            await anext(messages)
            await anext(messages)
        heard: list[str] = []
        reading = asyncio.create_task(_hear(quick, heard.append))
        async with anyio.from_thread.BlockingPortal() as portal:
            feed.start(portal)
            count = 0
            while feed.listeners > 1:  # The slow one does not read.
                count += 1
                await asyncio.to_thread(run.tag, "count", str(count))
                assert count < 1_000
            last = ws.position
            while f"id: {last}\n" not in "".join(heard):
                await asyncio.sleep(0.01)
            kept = [message async for message in slow]
            feed.stop()
            await reading
        return kept, heard

    kept, heard = asyncio.run(scene())

    assert len(kept) == 64
    assert len(heard) > 64
    assert "over" not in "".join(kept)  # It comes back, with the position of its last message.


def test_nobody_is_held_up_by_a_reader_in_another_thread(ws: Workspace, studio: Served) -> None:
    """While a stream is open and silent, questions are answered."""
    with listening(studio) as messages:
        next(messages)
        asked = threading.Thread(target=lambda: [studio.get("/api/runs") for _ in range(3)])
        asked.start()
        asked.join(LIMIT_S)

    assert not asked.is_alive()
