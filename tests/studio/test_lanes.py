"""Slow questions keep none from the quick ones, and few threads answer them all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.domain.errors import InvalidInput, PastIsReadOnly, WorkspaceClosed
from runlore.projections.reader import RunsReader
from runlore.studio.lanes import Lanes
from runlore.studio.viewers import Role, Viewer
from runlore.workspace import session_of
from tests.processes import LIMIT_S
from tests.workspaces import start


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab", actor="server", show_output=False) as made:
        start(Experiment(made, "e"), run_id="r").complete()
        yield made


def test_a_slow_question_holds_up_no_quick_one(ws: Workspace) -> None:
    """The slow ones do not end before the quick one has."""
    lanes, go_on = Lanes(ws), threading.Event()
    waiting: list[int] = []

    def slow(_: object, reader: object) -> int:
        waiting.append(1)
        # Within the tables: a second question to the same ones would wait for it.
        return reader.projection.ask(lambda tables: go_on.wait(LIMIT_S))  # type: ignore[attr-defined, no-any-return]

    async def scene() -> bytes:
        tasks = [asyncio.create_task(lanes.slow_answer_of_tables(None, slow)) for _ in range(3)]
        while not waiting:
            await asyncio.sleep(0.01)
        quick = await lanes.answer_of_tables(None, lambda _, reader: reader.count_runs())
        past = await lanes.answer_of_tables(2, lambda _, reader: reader.count_runs())
        assert not any(task.done() for task in tasks)
        assert len(waiting) == 1  # One at a time.
        go_on.set()
        assert [bytes((await task).body) for task in tasks] == [b"true"] * 3
        return bytes(quick.body) + bytes(past.body)

    assert asyncio.run(scene()) == b"10"


def test_quick_questions_take_two_threads(ws: Workspace) -> None:
    lanes, go_on = Lanes(ws), threading.Event()
    at_it: list[str] = []

    def question() -> str:
        at_it.append(str(threading.get_ident()))
        go_on.wait(LIMIT_S)
        return str(threading.get_ident())

    async def scene() -> list[str]:
        tasks = [asyncio.create_task(lanes.quick(question)) for _ in range(20)]
        while len(at_it) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert len(at_it) == 2
        go_on.set()
        return list(await asyncio.gather(*tasks))

    assert len(set(asyncio.run(scene()))) == 2


@pytest.mark.parametrize(("lane", "memory"), [("quick", "190.7 MiB"), ("slow", "953.6 MiB")])
def test_the_tables_of_a_lane_spill_beyond_some_memory(
    ws: Workspace, lane: str, memory: str
) -> None:
    lanes = Lanes(ws)

    def limit(_: Workspace, reader: RunsReader) -> object:
        return reader.projection.ask(
            lambda tables: tables.connection.sql(
                "SELECT current_setting('memory_limit')"
            ).fetchall()
        )

    ways = {"quick": lanes.answer_of_tables, "slow": lanes.slow_answer_of_tables}
    answer = asyncio.run(ways[lane](None, limit))

    assert bytes(answer.body) == f'[["{memory}"]]'.encode()


def test_a_slow_question_is_given_up_with_its_page(ws: Workspace) -> None:
    lanes, go_on, began = Lanes(ws), threading.Event(), threading.Event()

    def question() -> None:
        began.set()
        go_on.wait(LIMIT_S)

    async def scene() -> None:
        task = asyncio.create_task(lanes.slow(question))
        while not began.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    go_on.set()


def test_the_past_is_asked_by_position(ws: Workspace) -> None:
    lanes = Lanes(ws)

    assert lanes.at(None) is ws
    assert lanes.at(2).position == 2
    with pytest.raises(InvalidInput, match="ends at"):
        lanes.at(ws.position + 1)
    with pytest.raises(PastIsReadOnly):
        session_of(lanes.at(2)).writable()


def test_actors_share_the_log_and_are_closed_with_the_lanes(ws: Workspace) -> None:
    lanes = Lanes(ws)
    ada, bob = (Viewer(Role.EDITOR, name) for name in ("ada", "bob"))

    assert lanes.acting_as(Viewer(Role.EDITOR)) is ws
    first = lanes.acting_as(ada)
    assert lanes.acting_as(ada) is first
    assert lanes.acting_as(bob) is not first
    assert session_of(first).journal.writer_id == session_of(ws).journal.writer_id
    lanes.close()
    assert first.closed
    assert not ws.closed
    assert not lanes.acting_as(ada).closed
    lanes.close()


def test_no_actor_outlives_the_workspace(ws: Workspace) -> None:
    lanes = Lanes(ws)
    lanes.acting_as(Viewer(Role.EDITOR, "ada"))
    ws.close()

    with pytest.raises(WorkspaceClosed):
        lanes.acting_as(Viewer(Role.EDITOR, "ada"))
    lanes.close()
