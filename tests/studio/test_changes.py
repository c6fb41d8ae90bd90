"""Changes that pages ask for: they are events, with the actor of the token."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from tests.studio.asking import Served, as_problem, served
from tests.workspaces import start

ADA, BOB, PLAIN = "a" * 20, "b" * 20, "p" * 20


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab", actor="server", show_output=False) as made:
        start(Experiment(made, "e"), run_id="r")
        yield made


@pytest.fixture
def shared(ws: Workspace) -> Iterator[Served]:
    tokens = [f"ada:{ADA}", f"bob:{BOB}", PLAIN]
    with served(ws, editor_tokens=tokens) as found:
        yield found


def change(studio: Served, secret: str, content: dict[str, Any], path: str = "") -> Any:
    method = "POST" if path else "PATCH"
    return studio.send(method, f"/api/runs/r{path}", content, Authorization=f"Bearer {secret}")


def test_a_change_is_recorded_with_the_actor_of_its_token(ws: Workspace, shared: Served) -> None:
    for secret, value in ((ADA, "1"), (BOB, "2"), (PLAIN, "3"), (ADA, "4")):
        assert change(shared, secret, {"set_tags": {"by": value}}).status_code == 200

    changed = [event for event in ws.events(topics="run.tag_set") if event.run_id == "r"]
    assert [event.actor for event in changed] == ["ada", "bob", "server", "ada"]
    assert len({event.writer_id for event in changed}) == 1  # One process, one log.


def test_all_that_may_change_changes(ws: Workspace, shared: Served) -> None:
    content = {
        "display_name": "first",
        "description": "why",
        "set_tags": {"a": "1", "b": None},
        "archived": True,
    }
    answer = change(shared, ADA, content)
    change(shared, BOB, {"remove_tags": ["a"], "archived": False})

    run = ws.get_run("r")
    assert answer.json()["tags"] == {"a": "1", "b": None}
    assert (run.display_name, run.description, run.get_tags()) == ("first", "why", {"b": None})
    actors = {event.topic: event.actor for event in ws.events(stream="run/r")}
    assert (actors["run.archived"], actors["run.reactivated"]) == ("ada", "bob")
    assert actors["run.tag_removed"] == "bob"


def test_what_is_not_given_stays(ws: Workspace, shared: Served) -> None:
    before = ws.position

    assert change(shared, ADA, {}).status_code == 200
    assert ws.position == before


def test_a_run_is_canceled_with_the_reason_and_its_actor(ws: Workspace, shared: Served) -> None:
    answer = change(shared, ADA, {"reason": "diverged"}, "/cancel")

    assert answer.status_code == 200
    assert answer.json()["status"] == ws.get_run("r").get_status()
    last = [event for event in ws.events(stream="run/r") if "cancel" in event.topic][-1]
    assert (last.actor, last.reason) == ("ada", "diverged")


def test_a_refused_change_is_a_conflict_that_says_who(ws: Workspace, shared: Served) -> None:
    ws.get_run("r").complete()
    status, problem = as_problem(change(shared, ADA, {}, "/cancel"))

    assert status == 409
    assert problem["title"] in ("RunEnded", "TransitionRefused")
    assert "Completed" in problem["detail"]
    assert problem["what"] == "completed"
    assert problem["by"].startswith("server@")
    assert problem["at"].startswith("20")


@pytest.mark.parametrize(
    "content",
    [{"set_tags": {"": "x"}}, {"set_tags": {"a": 1}}, {"set_tags": ["a"]}, {"archived": "often"},
     {"display_name": "x" * 257}, {"set_tags": {"a\u0000": "x"}}],
    ids=["empty-key", "number", "list", "word", "long", "nul"],
)  # fmt: skip
def test_an_impossible_change_changes_nothing(
    ws: Workspace, shared: Served, content: dict[str, Any]
) -> None:
    before = ws.get_run("r").get_record()

    assert as_problem(change(shared, ADA, content))[0] == 422
    assert ws.get_run("r").get_record() == before


def test_many_actors_change_one_run_at_once(ws: Workspace, shared: Served) -> None:
    def changes(secret: str, name: str) -> None:
        for number in range(5):
            answer = change(shared, secret, {"set_tags": {f"{name}{number}": name}})
            assert answer.status_code == 200

    threads = [
        threading.Thread(target=changes, args=one)
        for one in ((ADA, "ada"), (BOB, "bob"), (PLAIN, "server"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = [event for event in ws.events(topics="run.tag_set") if event.run_id == "r"]
    assert len(found) == 15
    assert all(event.actor == event.data["value"] for event in found if event.data)
