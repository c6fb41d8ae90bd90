"""Saved views: names for addresses, which are events with their actor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from runlore import Workspace
from runlore.domain.view import SaveView
from runlore.engine.streams import change_view
from runlore.workspace import session_of
from tests.studio.asking import Served, as_problem, served
from tests.studio.conftest import HOSTILE, NAME

ADA, EVE = "a" * 20, "e" * 20


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab", actor="server", show_output=False) as made:
        yield made


@pytest.fixture
def studio(ws: Workspace) -> Iterator[Served]:
    with served(ws) as found:
        yield found


def put(studio: Served, name: str, url: str, **headers: str) -> int:
    """The status of the answer to saving a view."""
    path = f"/api/views/{quote(name, safe='')}"
    answer = studio.send("PUT", path, {"url": url}, **headers)
    return int(answer.status_code)


def test_a_view_is_saved_listed_opened_and_deleted(ws: Workspace, studio: Served) -> None:
    assert put(studio, "failed ones", "/runs?f=status+%3D+Failed") == 200

    (listed,) = studio.get("/api/views")["views"]
    assert (listed["name"], listed["url"], listed["by"]) == (
        "failed ones", "/runs?f=status+%3D+Failed", "server"
    )  # fmt: skip
    assert studio.get("/api/views/failed%20ones")["url"] == listed["url"]
    opened = studio.client.get("/v/failed%20ones")
    assert opened.status_code == 303
    assert opened.headers["location"] == "/runs?f=status+%3D+Failed&v=failed+ones"

    assert studio.send("DELETE", "/api/views/failed%20ones").status_code == 200
    assert studio.get("/api/views") == {"views": []}
    assert studio.client.get("/v/failed%20ones").status_code == 404
    topics = [event.topic for event in ws.events(stream="view/failed ones")]
    assert topics == ["view.saved", "view.deleted"]


def test_changes_are_recorded_with_the_actor_of_the_token(ws: Workspace) -> None:
    with served(ws, editor_tokens=[f"ada:{ADA}"], viewer_tokens=[EVE]) as found:
        assert put(found, "x", "/runs", Authorization=f"Bearer {ADA}") == 200
        assert put(found, "x", "/compare", Authorization=f"Bearer {EVE}") == 403
        refused = found.send("DELETE", "/api/views/x", Authorization=f"Bearer {EVE}")
        assert refused.status_code == 403
        told = {"Authorization": f"Bearer {EVE}"}
        assert found.client.get("/api/views", headers=told).json()["views"][0]["by"] == "ada"
        assert found.client.get("/v/x", headers=told).headers["location"] == "/runs?v=x"

    assert [event.actor for event in ws.events(stream="view/x")] == ["ada"]


def test_views_are_those_of_the_position(ws: Workspace, studio: Served) -> None:
    put(studio, "v", "/runs")
    first = ws.position
    put(studio, "v", "/compare")

    assert studio.get("/api/views", asof=first - 1) == {"views": []}
    assert studio.get("/api/views", asof=first)["views"][0]["url"] == "/runs"
    assert studio.get("/api/views/v", asof=first)["url"] == "/runs"
    assert studio.get("/api/views/v")["url"] == "/compare"


def test_the_same_view_again_records_nothing(ws: Workspace, studio: Served) -> None:
    put(studio, "v", "/runs")
    before = ws.position

    assert put(studio, "v", "/runs") == 200
    assert studio.send("DELETE", "/api/views/other").status_code == 200
    assert ws.position == before


@pytest.mark.parametrize("name", [NAME, "a/b", "../..", "50%", "a?b#c", " x ", "ü\U0001f600"])
def test_a_name_is_any_text(studio: Served, name: str) -> None:
    assert put(studio, name, "/runs") == 200

    (listed,) = studio.get("/api/views")["views"]
    assert listed["name"] == name
    assert studio.get(f"/api/views/{quote(name, safe='')}")["name"] == name
    location = studio.client.get(f"/v/{quote(name, safe='')}").headers["location"]
    assert location.startswith("/runs?v=")
    assert "\n" not in location


@pytest.mark.parametrize(
    ("name", "url"),
    [("v", "//evil.example"), ("v", "https://evil.example/"), ("v", "/api/runs"), ("v", "runs"),
     ("v", "/runs\r\nX: 1"), ("v", "\ud800"), ("n" * 501, "/runs"), (" ", "/runs"),
     (HOSTILE, "/runs")],
    ids=["host", "scheme", "api", "relative", "lines", "surrogate", "long-name", "blank-name",
         "control-characters"],
)  # fmt: skip
def test_what_is_no_view_is_refused(ws: Workspace, studio: Served, name: str, url: str) -> None:
    before = ws.position

    assert put(studio, name, url) == 422
    assert ws.position == before


@pytest.mark.parametrize(
    "definition",
    [{"url": "//evil.example"}, {"url": "javascript:alert(1)"}, {"url": ["/runs"]}, {"f": "x"}],
    ids=["host", "script", "list", "none"],
)
def test_a_view_of_a_strangers_log_leads_nowhere(
    ws: Workspace, studio: Served, definition: dict[str, object]
) -> None:
    change_view(session_of(ws), SaveView("trap", definition))

    assert studio.client.get("/v/trap").status_code == 404
    assert studio.get("/api/views")["views"][0]["url"] is None


def test_behind_a_proxy_the_address_has_the_base_path(ws: Workspace) -> None:
    with served(ws, base_path="/studio") as found:
        assert put(found, "v", "/runs") == 200
        assert found.client.get("/v/v").headers["location"] == "/studio/runs?v=v"


def test_a_view_that_is_not_there_is_a_problem_that_says_so(studio: Served) -> None:
    status, problem = studio.problem("/api/views/nothing")

    assert (status, problem["title"]) == (404, "NoSuchView")
    assert "'nothing'" in as_problem(studio.client.get("/api/views/nothing"))[1]["detail"]
