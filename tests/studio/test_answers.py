"""The answers of the Studio are those of the SDK, now and as of a position."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Any

import pytest

from runlore import Workspace
from runlore.studio.api.runs import COLUMNS_AT_FIRST, first_columns
from runlore.studio.colours import colour_of
from tests.studio.asking import Served, as_problem
from tests.studio.conftest import HOSTILE, NAME, Filled


def test_the_workspace_says_what_is_shown_and_what_is_last(studio: Served, filled: Filled) -> None:
    found = studio.get("/api/workspace", asof=filled.after_tag)

    assert found["name"] == "lab"
    assert (found["position"], found["head"]) == (filled.after_tag, filled.ws.position)
    assert found["role"] == "editor"


def test_answers_in_several_parts_are_sent_at_once(studio: Served) -> None:
    def accepted(fd: str, client: tuple[Any, ...]) -> bool | None:
        with suppress(OSError), socket.socket(fileno=os.dup(int(fd))) as found:
            if found.getpeername() == client:
                return bool(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return None

    with socket.create_connection(("127.0.0.1", studio.server.port)) as client:
        client.sendall(f"GET /api/workspace HTTP/1.1\r\nHost: {studio.host}\r\n\r\n".encode())
        client.recv(100)
        found = [accepted(fd, client.getsockname()) for fd in os.listdir("/proc/self/fd")]
    # Nagle's algorithm would hold the second part back until the first one is acknowledged.
    assert [one for one in found if one is not None] == [True]


def test_experiments_have_their_runs_counted(studio: Served, filled: Filled) -> None:
    found = {one["name"]: one for one in studio.get("/api/experiments")["experiments"]}

    assert found.keys() == filled.ws.experiments.keys()
    assert found["vision"]["id"] == filled.ws.experiments["vision"].id
    assert (found["vision"]["runs"], found["vision"]["failed"]) == (3, 1)
    assert (found["odd"]["runs"], found["odd"]["active"]) == (2, 1)
    assert found["odd"]["targets"] == [{"name": "local", "executing": 1, "waiting": 0}]
    assert found["vision"]["targets"] == []
    assert 0 < found["vision"]["median_s"] < 60
    assert found["vision"]["by_day"] == [*[0] * 29, 3]


def test_experiments_of_before_the_first_run_are_those_of_then(studio: Served) -> None:
    assert studio.get("/api/experiments", asof=0) == {"experiments": [], "targets": []}


def test_a_page_of_runs_has_the_values_of_the_table(studio: Served, filled: Filled) -> None:
    columns = ["name", "tags.model", "config.lr", "metrics.loss.min", "properties.git", "duration"]
    found = studio.get("/api/runs", cols=columns, f="experiment = vision")

    table = filled.ws.runs_table("experiment = vision", columns=["id", *columns])
    rows = table.fetchall()
    assert found["total"] == len(rows) == 2
    assert found["ids"] == [row[0] for row in rows]
    assert found["columns"] == columns
    assert [list(row) for row in zip(*found["data"], strict=True)] == [
        list(row[1:]) for row in rows
    ]
    assert found["position"] == filled.ws.position


def test_a_run_of_the_past_has_lasted_until_then(studio: Served, filled: Filled) -> None:
    def lasted(**moment: int) -> tuple[float, float]:
        table = studio.get("/api/runs", f="id = good", cols="duration", **moment)
        return studio.get("/api/runs/good", **moment)["duration"], table["data"][0][0]

    whole, before, then = lasted(), lasted(asof=filled.before_tag), lasted(asof=filled.after_tag)

    assert all(of_run == of_table for of_run, of_table in (whole, before, then))
    assert 0 < before[0] < then[0] < whole[0]


def test_pages_of_runs_follow_each_other(studio: Served) -> None:
    whole = studio.get("/api/runs", children=True, sort="name")["ids"]
    pages = [
        studio.get("/api/runs", children=True, sort="name", offset=at, limit=2)
        for at in range(0, 6, 2)
    ]

    assert [run_id for page in pages for run_id in page["ids"]] == whole
    assert [page["total"] for page in pages] == [len(whole)] * 3 == [5] * 3


def test_an_offset_after_the_last_run_gives_an_empty_page(studio: Served) -> None:
    found = studio.get("/api/runs", offset=100)

    assert (found["ids"], found["total"]) == ([], 4)


def test_children_are_those_of_the_parent(studio: Served) -> None:
    assert studio.get("/api/runs", parent="good")["ids"] == ["child"]


@pytest.mark.parametrize(
    ("asof", "model"),
    [("before_tag", None), ("after_tag", "ResNet-50"), (None, "vit")],
    ids=["before", "between", "now"],
)
def test_a_tag_is_shown_as_of_the_position(
    studio: Served, filled: Filled, asof: str | None, model: str | None
) -> None:
    at = {} if asof is None else {"asof": getattr(filled, asof)}

    page = studio.get("/api/runs", cols=["tags.model"], f="id = good", **at)
    run = studio.get("/api/runs/good", **at)

    assert page["data"] == [[model]]
    past = filled.ws if asof is None else filled.ws.as_of(getattr(filled, asof))
    assert run["tags"] == past.get_run("good").get_tags()
    assert run["tags"].get("model") == model
    assert run["position"] == past.position


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RESNET", {"good"}),
        ("vit", {"good"}),
        ("model", {"good"}),
        ("the good", {"good"}),
        ("vision", {"good", "bad"}),
        ("hostile", {"hostile"}),
        ("<script>", {"hostile"}),
        ("%", set()),
        ("' OR 1=1 --", set()),
        ("   ", {"good", "bad", "odd", "hostile"}),
    ],
    ids=["description", "tag-value", "tag-key", "name", "experiment", "id", "markup", "wildcard",
         "sql", "blank"],
)  # fmt: skip
def test_the_search_finds_what_people_call_a_run_by(
    studio: Served, text: str, found: set[str]
) -> None:
    page = studio.get("/api/runs", q=text)

    assert set(page["ids"]) == found
    assert page["total"] == len(found)


def test_the_search_finds_runs_of_their_submitter(studio: Served, filled: Filled) -> None:
    user = filled.ws.runs_table("id = good", columns=["user"]).fetchall()[0][0]

    assert studio.get("/api/runs", q=user)["total"] == 4


def test_the_search_as_of_a_position_knows_the_tags_of_then(studio: Served, filled: Filled) -> None:
    assert studio.get("/api/runs", q="ResNet-50")["ids"] == []
    assert studio.get("/api/runs", q="ResNet-50", asof=filled.after_tag)["ids"] == ["good"]


def test_filter_search_and_experiment_narrow_each_other(studio: Served) -> None:
    assert studio.get("/api/runs", f="status = Failed or status = Completed", q="bad",
                      experiment="vision")["ids"] == ["bad"]  # fmt: skip
    assert studio.get("/api/runs", q="bad", experiment="odd")["ids"] == []


def test_a_run_has_the_same_colour_everywhere(studio: Served, filled: Filled) -> None:
    page = studio.get("/api/runs", children=True)

    for run_id, colour in zip(page["ids"], page["colours"], strict=True):
        run = filled.ws.get_run(run_id)
        assert colour == colour_of(run.number, run.experiment.id, None)
        assert studio.get(f"/api/runs/{run_id}")["colour"] == colour


def test_neighbours_have_different_colours() -> None:
    colours = [colour_of(number, "an experiment", None) for number in range(1, 33)]

    assert len(set(colours)) == 32
    assert {colour % 8 for colour in colours[:8]} == set(range(8))


def test_a_filter_comes_back_in_its_canonical_form(studio: Served) -> None:
    assert studio.get("/api/filter", f="a.status=failed and m.loss<1") == {
        "filter": "status = Failed and metrics.loss < 1"
    }


@pytest.mark.parametrize("path", ["/api/filter", "/api/runs"])
def test_a_wrong_filter_says_where(studio: Served, path: str) -> None:
    status, found = studio.problem(path, f="status = Failed and lr < 1", q="x", experiment="vision")

    assert status == 422
    assert found["title"] == "FilterError"
    assert found["offset"] == len("status = Failed and ")
    assert "config.lr" in found["detail"]


def test_columns_are_the_fields_of_the_runs_with_their_number(studio: Served) -> None:
    found = studio.get("/api/columns")
    fields = dict(zip(found["fields"], found["runs"], strict=True))

    assert fields["tags.model"] == 1
    assert fields["config.lr"] == 1
    assert fields["metrics.loss"] == 2
    some = studio.get("/api/columns", part="MOD")
    assert (some["fields"], some["runs"]) == (["tags.model"], [1])
    assert "config.lr" not in studio.get("/api/columns", experiment="odd")["fields"]
    assert studio.get("/api/columns", part="model", asof=1)["fields"] == []


def test_a_table_begins_with_some_of_the_columns() -> None:
    kinds = ["config.lr", "tags.model", "properties.git", "metrics.loss", "metrics.system/cpu"]
    many = [f"{kind}.{n}" for kind in ("config", "metrics") for n in range(5)]

    assert first_columns(["metrics.`system/a b`", *kinds]) == [
        *COLUMNS_AT_FIRST, "metrics.loss", "config.lr",
    ]  # fmt: skip
    assert first_columns(many) == [*COLUMNS_AT_FIRST, *many[5:9], *many[:4]]


@pytest.mark.parametrize(
    ("field", "values", "runs"),
    [("tags.model", ["vit"], [1]), ("t.model", ["vit"], [1]), ("config.lr", ["0.1"], [1]),
     ("status", ["Completed", "Failed", "Running"], [3, 1, 1]),
     ("experiment", ["vision", "odd"], [3, 2]), ("tags.nothing", [], [])],
    ids=["tag", "short", "config", "status", "experiment", "none"],
)  # fmt: skip
def test_the_values_of_a_field_are_counted(
    studio: Served, field: str, values: list[str], runs: list[int]
) -> None:
    assert studio.get("/api/values", field=field) == {"values": values, "runs": runs}


def test_values_are_those_of_the_experiment_the_part_and_the_position(
    studio: Served, filled: Filled
) -> None:
    assert studio.get("/api/values", field="status", experiment="odd", part="COMP") == {
        "values": ["Completed"], "runs": [1],
    }  # fmt: skip
    assert studio.get("/api/values", field="status", limit=1)["values"] == ["Completed"]
    then = studio.get("/api/values", field="tags.model", asof=filled.after_tag)
    assert then == {"values": ["ResNet-50"], "runs": [1]}
    assert studio.get("/api/values", field="tags.model", asof=filled.before_tag)["values"] == []
    assert studio.get("/api/values", field="tags.say")["values"] == [HOSTILE]


def test_curves_are_the_logged_values(studio: Served, filled: Filled) -> None:
    found = studio.get("/api/charts", run=["good", "odd", "nobody"], metric=["loss", "other"])

    good, odd = found["series"]
    assert (good["run"], good["metric"], good["total"]) == ("good", "loss", 3)
    assert [found["x"][place] for place in good["places"]] == [0.0, 1.0, 2.0]
    assert good["last"] == filled.ws.get_run("good").get_metrics()["loss"]
    assert good["odd"] == []
    assert odd["last"] == odd["mean"] == [1.0, None, None, None, 2.0]
    assert odd["odd"] == [[1, 1, 0, 0], [2, 0, 1, 0], [3, 0, 0, 1]]


def test_many_curves_come_without_what_bands_are_made_of(studio: Served) -> None:
    asked = {"run": ["good", "odd"], "metric": "loss"}
    whole = studio.get("/api/charts", **asked)

    few = studio.get("/api/charts", **asked, bands=2)
    many = studio.get("/api/charts", **asked, bands=1)

    band = {"min", "max", "mean", "std"}
    assert few == whole
    assert all(band <= one.keys() for one in few["series"])
    for one, other in zip(many["series"], whole["series"], strict=True):
        assert one == {key: value for key, value in other.items() if key not in band}
    assert many["spans"] == whole["spans"]


@pytest.mark.parametrize(
    ("between", "x"),
    [({"from": 1}, [1.0, 2.0]), ({"to": 1}, [0.0, 1.0]), ({"from": 1, "to": 1}, [1.0])],
    ids=["from", "to", "both"],
)
def test_curves_of_a_range_have_only_its_points(
    studio: Served, between: dict[str, int], x: list[float]
) -> None:
    assert studio.get("/api/charts", run="good", metric="loss", **between)["x"] == x


def test_curves_as_of_a_position_have_the_points_of_then(studio: Served, filled: Filled) -> None:
    then = studio.get("/api/charts", run="good", metric="loss", asof=2)
    assert then == {"x": [], "series": [], "spans": {}}
    now = studio.get("/api/charts", run="good", metric="loss")
    assert studio.get("/api/charts", run="good", metric="loss", asof=filled.ws.position) == now


def test_curves_have_what_is_drawn_around_them(studio: Served) -> None:
    found = studio.get("/api/charts", run="good", metric="loss", buckets=1, smooth=1)

    [one] = found["series"]
    assert (one["min"], one["mean"], one["max"]) == ([1.0], [2.0], [3.0])
    assert one["std"] == [pytest.approx((2 / 3) ** 0.5)]
    assert one["smooth"] == [pytest.approx((1 + 2 / 2 + 3 / 4) / 1.75)]
    assert found["spans"] == {"loss": [1.0, 3.0, 0]}


def test_curves_of_groups_have_the_runs_of_each_value(studio: Served) -> None:
    found = studio.get("/api/charts", run=["good", "odd", "bad"], metric="loss", group="tags.model")

    groups = {one["group"]: one for one in found["groups"]}
    assert {name: one["run_ids"] for name, one in groups.items()} == {
        "vit": ["good"],
        "none": ["odd"],
    }
    assert groups["vit"]["mean"] == [3.0, 2.0, 1.0]
    assert groups["none"]["least"] == [
        1.0,
        1.0,
        1.0,
        1.0,
        2.0,
    ]  # It is held where it is not finite.
    assert len(found["series"]) == 2
    by_id = studio.get("/api/charts", run=["good", "odd"], metric="loss", group="id")["groups"]
    assert [one["group"] for one in by_id] == ["good", "odd"]


def test_nothing_waits_of_a_process_that_has_written_all(studio: Served) -> None:
    assert studio.get("/api/live", run=["good", "nobody"]) == {"waiting": {}}


def test_a_time_has_a_position(studio: Served, filled: Filled) -> None:
    def at(time: str) -> Any:
        return studio.get("/api/position", at=time)["position"]

    event = next(filled.ws.events(stream="run/good", topics="run.tag_set"))
    assert at(event.time.isoformat()) == event.position
    assert at("2000-01-01T00:00:00Z") == 0
    assert at("2100-01-01T00:00:00+02:00") == filled.ws.position
    for wrong in ("2026-01-01T00:00:00", "yesterday"):
        answer = studio.client.get("/api/position", params={"at": wrong})
        assert answer.status_code == 422


def test_the_timeline_counts_all_events(studio: Served, filled: Filled) -> None:
    found = studio.get("/api/timeline", buckets=7)

    assert sum(found["events"]) == filled.ws.position == found["positions"][-1]
    assert found["positions"] == sorted(found["positions"])
    assert 1 <= len(found["times"]) <= 7


def test_a_run_says_what_is_known_of_it(studio: Served, filled: Filled) -> None:
    found = studio.get("/api/runs/good")

    run = filled.ws.get_run("good")
    assert found["config"] == run.get_config() == {"lr": 0.1}
    assert (found["number"], found["name"]) == (run.number, run.display_name)
    assert (found["status"], found["description"]) == (run.get_status(), run.description)
    assert found["properties"] == run.get_properties()
    assert found["experiment"] == "vision"
    assert found["logs"] == ["logs/a/b.txt"]


def test_a_run_names_what_a_chart_can_show(studio: Served, filled: Filled) -> None:
    assert studio.get("/api/runs/good/metrics") == {"metrics": ["loss"], "tables": []}
    (born,) = filled.ws.events(stream="run/good", topics="run.created")
    assert studio.get("/api/runs/good/metrics", asof=born.position)["metrics"] == []


def test_the_history_has_every_change(studio: Served, filled: Filled) -> None:
    found = studio.get("/api/runs/good/history")

    changes = filled.ws.get_run("good").history()
    assert found["total"] == len(found["changes"]) == len(changes)
    assert [one["what"] for one in found["changes"]] == [change.what for change in changes]
    then = studio.get("/api/runs/good/history", asof=filled.after_tag)
    assert then["total"] < found["total"]


def test_hostile_names_arrive_as_text_that_ends_no_script(studio: Served) -> None:
    answer = studio.client.get(
        "/api/runs", params={"f": "id = hostile", "cols": ["name", "tags.say"]}
    )

    assert b"<" not in answer.content
    assert "\u2028" not in answer.text
    assert answer.json()["data"] == [[NAME], [HOSTILE]]
    assert answer.headers["content-type"] == "application/json"


PROBLEMS: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "no-run": ("/api/runs/nobody", {}, 404, "RunNotFound"),
    "no-experiment": ("/api/columns", {"experiment": "nowhere"}, 404, "ExperimentNotFound"),
    "no-file": ("/api/runs/good/files/nothing", {}, 404, "NoSuchFile"),
    "no-text": ("/api/runs/good/text/nothing", {}, 404, "NoSuchFile"),
    "no-path": ("/api/nothing", {}, 404, "Not Found"),
    "no-parent": ("/api/runs", {"parent": "nobody"}, 404, "RunNotFound"),
    "future": ("/api/runs", {"asof": 10**9}, 422, "InvalidInput"),
    "before-all": ("/api/runs", {"asof": -1}, 422, "InvalidInput"),
    "not-a-position": ("/api/workspace", {"asof": "yesterday"}, 422, "InvalidInput"),
    "beyond-scripts": ("/api/workspace", {"asof": 2**53}, 422, "InvalidInput"),
    "limit": ("/api/runs", {"limit": 1_001}, 422, "InvalidInput"),
    "offset": ("/api/runs", {"offset": -1}, 422, "InvalidInput"),
    "columns": ("/api/runs", {"cols": ["name"] * 201}, 422, "InvalidInput"),
    "column": ("/api/runs", {"cols": "nothing"}, 422, "FilterError"),
    "sort": ("/api/runs", {"sort": "-nothing"}, 422, "FilterError"),
    "buckets": ("/api/timeline", {"buckets": 501}, 422, "InvalidInput"),
    "no-buckets": ("/api/timeline", {"buckets": 0}, 422, "InvalidInput"),
    "axis": ("/api/charts", {"run": "good", "metric": "loss", "x": "y"}, 422, "InvalidInput"),
    "nan": ("/api/charts", {"run": "good", "metric": "loss", "from": "nan"}, 422, "InvalidInput"),
    "backwards": (
        "/api/charts", {"run": "good", "metric": "loss", "from": 2, "to": 1}, 422, "InvalidInput",
    ),
    "no-runs": ("/api/charts", {"metric": "loss"}, 422, "InvalidInput"),
    "smooth": (
        "/api/charts", {"run": "good", "metric": "loss", "smooth": 0}, 422, "InvalidInput",
    ),
    "group": (
        "/api/charts", {"run": "good", "metric": "loss", "group": "x"}, 422, "FilterError",
    ),
    "no-live": ("/api/live", {}, 422, "InvalidInput"),
    "runs": ("/api/charts", {"run": ["good"] * 201, "metric": "loss"}, 422, "InvalidInput"),
    "metrics": ("/api/charts", {"run": "good", "metric": ["loss"] * 51}, 422, "InvalidInput"),
    "field": ("/api/values", {"field": "nothing"}, 422, "FilterError"),
    "number": ("/api/values", {"field": "metrics.loss"}, 422, "InvalidInput"),
    "time": ("/api/values", {"field": "created"}, 422, "InvalidInput"),
    "no-field": ("/api/values", {}, 422, "InvalidInput"),
    "search": ("/api/runs", {"q": "x" * 201}, 422, "InvalidInput"),
    "reference": ("/api/runs/good/files/outside", {}, 422, "UserError"),
}  # fmt: skip


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_mistake_is_a_problem_with_advice(studio: Served, case: str) -> None:
    path, params, status, title = PROBLEMS[case]

    found_status, found = studio.problem(path, **params)

    assert (found_status, found["title"]) == (status, title)
    assert len(found["detail"]) < 1_000


def test_a_parameter_that_cannot_be_is_named(studio: Served) -> None:
    assert studio.problem("/api/runs", limit="many")[1]["field"] == "limit"


def test_another_method_is_refused(studio: Served) -> None:
    status, _ = as_problem(studio.send("POST", "/api/workspace"))

    assert status == 405


def test_a_closed_workspace_is_unavailable(tmp_path: Any) -> None:
    from tests.studio.asking import served

    ws = Workspace.create("lab", path=tmp_path / "lab", show_output=False)
    with served(ws) as found:
        ws.close()
        status, problem = found.problem("/api/runs")
        changed = found.send("POST", "/api/runs/x/cancel", {})

    assert (status, problem["title"]) == (503, "WorkspaceClosed")
    assert as_problem(changed)[0] == 503
