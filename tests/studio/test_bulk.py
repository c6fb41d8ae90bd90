"""Changes of many runs at once: each is an event of its run, and refusals are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Workspace
from tests.studio.asking import Served, as_problem, served
from tests.studio.conftest import HOSTILE
from tests.workspaces import start

ADA, EVE = "a" * 20, "e" * 20


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab", actor="server", show_output=False) as made:
        experiment = Experiment(made, "e")
        for name in ("r1", "r2"):
            start(experiment, run_id=name)
        start(experiment, run_id="ended").complete()
        yield made


@pytest.fixture
def studio(ws: Workspace) -> Iterator[Served]:
    with served(ws, editor_tokens=[f"ada:{ADA}"], viewer_tokens=[EVE]) as found:
        yield found


def bulk(studio: Served, *ids: str, secret: str = ADA, **change: Any) -> Any:
    content = {"ids": list(ids), **change}
    return studio.send("POST", "/api/bulk", content, Authorization=f"Bearer {secret}")


def bulk_matching(studio: Served, matching: dict[str, Any], **change: Any) -> Any:
    content = {"matching": matching, **change}
    return studio.send("POST", "/api/bulk", content, Authorization=f"Bearer {ADA}")


def test_runs_are_tagged_and_untagged_by_the_actor(ws: Workspace, studio: Served) -> None:
    answer = bulk(studio, "r1", "ended", "r1", op="tag", key="note", value=HOSTILE)
    bulk(studio, "r2", op="tag", key="note")
    bulk(studio, "r1", op="untag", key="note")

    assert answer.json() == {"total": 2, "done": ["r1", "ended"], "refused": []}
    assert ws.get_run("ended").get_tags() == {"note": HOSTILE}
    assert ws.get_run("r2").get_tags() == {"note": None}
    assert ws.get_run("r1").get_tags() == {}
    assert {event.actor for event in ws.events(topics="run.tag_set")} == {"ada"}


def test_runs_are_archived_and_come_back(ws: Workspace, studio: Served) -> None:
    bulk(studio, "r1", "ended", op="archive")
    assert [run.id for run in Experiment(ws, "e").get_runs()] == ["r2"]

    bulk(studio, "r1", "ended", op="reactivate")
    assert len(list(Experiment(ws, "e").get_runs())) == 3


def test_runs_that_refuse_are_told_and_keep_nothing_from_the_others(
    ws: Workspace, studio: Served
) -> None:
    answer = bulk(studio, "ended", "nobody", "r1", "r2", op="cancel", reason="enough").json()

    assert answer["done"] == ["r1", "r2"]
    assert [one["id"] for one in answer["refused"]] == ["ended", "nobody"]
    assert "Completed" in answer["refused"][0]["detail"]
    assert answer["refused"][1]["title"] == "RunNotFound"
    for name in ("r1", "r2"):
        assert ws.get_run(name).get_status() in ("Canceled", "CancelRequested")
    canceled = [event for event in ws.events() if "cancel" in event.topic]
    assert {(event.actor, event.reason) for event in canceled} == {("ada", "enough")}


@pytest.mark.parametrize(
    "content",
    [{"ids": [], "op": "archive"}, {"ids": ["r1"], "op": "erase"}, {"ids": ["r1"]},
     {"op": "archive"}, {"ids": "r1", "op": "archive"}, {"ids": ["r1"] * 1_001, "op": "archive"},
     {"ids": ["r" * 301], "op": "archive"}, {"ids": [["r1"]], "op": "archive"},
     {"ids": ["r1"], "matching": {"position": 9}, "op": "archive"},
     {"matching": {}, "op": "archive"}, {"matching": {"position": 9, "where": ""}, "op": "archive"},
     {"matching": {"position": 9, "f": "status ="}, "op": "archive"}],
    ids=["nobody", "unknown", "nothing", "whom", "text", "many", "long", "list", "both", "when",
         "which", "wrong"],
)  # fmt: skip
def test_what_is_no_change_changes_nothing(
    ws: Workspace, studio: Served, content: dict[str, Any]
) -> None:
    before = ws.position
    answer = studio.send("POST", "/api/bulk", content, Authorization=f"Bearer {ADA}")

    assert as_problem(answer)[0] == 422
    assert ws.position == before


def test_all_runs_that_matched_at_a_position_are_changed_part_by_part(
    ws: Workspace, studio: Served
) -> None:
    matching = {"f": "id != ended", "experiment": "e", "position": ws.position, "limit": 1}
    start(Experiment(ws, "e"), run_id="later")

    found = [
        bulk_matching(studio, {**matching, "offset": offset}, op="archive").json()
        for offset in range(3)
    ]  # The first one is archived before the second is asked for.

    assert [one["total"] for one in found] == [2, 2, 2]
    assert sorted(found[0]["done"] + found[1]["done"]) == ["r1", "r2"]
    assert found[2]["done"] == []
    assert {run.id for run in Experiment(ws, "e").get_runs()} == {"ended", "later"}


def test_of_all_that_match_those_that_refuse_are_told_with_their_names(
    ws: Workspace, studio: Served
) -> None:
    ws.get_run("ended").display_name = "the first one"

    answer = bulk_matching(studio, {"q": "e", "position": ws.position}, op="cancel").json()

    assert sorted(answer["done"]) == ["r1", "r2"]
    assert [one["name"] for one in answer["refused"]] == ["the first one"]


@pytest.mark.parametrize("key", ["", "a\x00b"], ids=["empty", "nul"])
def test_a_tag_that_no_run_can_have_is_refused_by_each(studio: Served, key: str) -> None:
    answer = bulk(studio, "r1", "r2", op="tag", key=key, value="x").json()

    assert (answer["done"], len(answer["refused"])) == ([], 2)


def test_a_viewer_changes_nothing(ws: Workspace, studio: Served) -> None:
    before = ws.position

    assert as_problem(bulk(studio, "r1", secret=EVE, op="archive"))[0] == 403
    assert ws.position == before
