"""SQL of pages: in a process of its own, within limits, stopped when nobody waits for it."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from runlore.studio.queries import Queries
from tests.processes import wait_until
from tests.studio.asking import Served, as_problem, served
from tests.studio.conftest import HOSTILE, Filled

ADA, EVE = "a" * 20, "e" * 20
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000) c"

pytestmark = pytest.mark.processes


def ask(studio: Served, query: str, path: str = "/api/sql", **options: Any) -> Any:
    answer = studio.send("POST", path, {"query": query, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_answer_is_that_of_the_sdk(studio: Served, filled: Filled) -> None:
    query = "SELECT run_id, status, created_at FROM runs WHERE experiment = ? ORDER BY run_id"
    found = ask(studio, query, params=["vision"])

    rows = filled.ws.sql(query, ["vision"]).fetchall()
    assert found["columns"] == ["run_id", "status", "created_at"]
    assert found["kinds"] == ["text", "text", "time"]
    assert list(zip(*found["data"][:2], strict=True)) == [row[:2] for row in rows]
    assert found["data"][2] == [row[2].isoformat() for row in rows]
    assert (found["total"], found["truncated"]) == (len(rows), False)


def test_the_answer_is_that_of_the_position(studio: Served, filled: Filled) -> None:
    query = "SELECT value FROM tags WHERE key = 'model'"

    path = f"/api/sql?asof={filled.after_tag}"
    assert ask(studio, query, path)["data"] == [["ResNet-50"]]
    assert ask(studio, query)["data"] == [["vit"]]


def test_values_that_json_does_not_have_are_shown(studio: Served) -> None:
    found = ask(
        studio,
        "SELECT 'nan'::DOUBLE, 170141183460469231731687303715884105727::HUGEINT, "
        "1.5::DECIMAL(9, 2),"
        " 'ab'::BLOB, NULL, [1, 2], DATE '2026-01-02', INTERVAL 1 DAY, 2::UTINYINT",
    )

    values = [column[0] for column in found["data"]]
    assert values[:7] == [None, "170141183460469231731687303715884105727", 1.5, "6162", None,
                          [1, 2], "2026-01-02"]  # fmt: skip
    assert values[8] == 2


def test_many_rows_are_cut(studio: Served) -> None:
    found = ask(studio, "SELECT * FROM range(20000) t(n)", limit=10_000)

    assert len(found["data"][0]) == 10_000
    assert (found["total"], found["truncated"]) == (20_000, True)


def test_a_result_without_rows_has_its_columns(studio: Served) -> None:
    found = ask(studio, "SELECT run_id FROM runs WHERE false")

    assert (found["columns"], found["data"], found["total"]) == (["run_id"], [[]], 0)


def test_hostile_texts_are_texts(studio: Served) -> None:
    assert ask(studio, "SELECT value FROM tags WHERE key = 'say'")["data"] == [[HOSTILE]]
    assert ask(studio, "SELECT ?", params=[HOSTILE])["data"] == [[HOSTILE]]


@pytest.mark.parametrize(
    ("query", "title"),
    [("DROP TABLE runs", "QueryRefused"), ("SELECT 1; SELECT 2", "QueryRefused"),
     ("", "QueryRefused"),
     ("SELECT * FROM read_text('/etc/passwd')", "QueryRefused"),
     ("SELECT * FROM '/etc/passwd'", "QueryRefused"), ("ATTACH '/tmp/x'", "QueryRefused"),
     ("COPY runs TO '/tmp/x'", "QueryRefused"), ("SELECT nothing FROM runs", None),
     ("SELECT 1/", None), ("SELECT getenv('HOME')", None), ("\ud800", None)],
    ids=["drop", "two", "empty", "function", "file", "attach", "copy", "column", "syntax",
         "environment", "surrogate"],
)  # fmt: skip
def test_what_is_no_question_is_refused(studio: Served, query: str, title: str | None) -> None:
    status, problem = as_problem(studio.send("POST", "/api/sql", {"query": query}))

    assert status == 422
    assert title in (None, problem["title"])
    assert "root:" not in problem["detail"]


@pytest.mark.parametrize(
    "content",
    [{}, {"query": 1}, {"query": "SELECT 1", "limit": 10_001}, {"query": "SELECT 1", "limit": 0},
     {"query": "SELECT 1", "timeout_s": 31}, {"query": "SELECT 1", "timeout_s": 0},
     {"query": "SELECT 1", "id": "x"}, {"query": "x" * 100_001},
     {"query": "SELECT 1", "params": 3}],
    ids=["none", "number", "rows", "no-rows", "time", "no-time", "id", "long", "params"],
)  # fmt: skip
def test_what_is_beyond_the_limits_is_refused(studio: Served, content: dict[str, Any]) -> None:
    assert as_problem(studio.send("POST", "/api/sql", content))[0] == 422


def test_a_query_without_end_is_stopped_at_its_deadline(studio: Served) -> None:
    content = {"query": ENDLESS, "timeout_s": 0.5}
    status, problem = as_problem(studio.send("POST", "/api/sql", content))

    assert (status, problem["title"]) == (422, "QueryTimedOut")
    assert ask(studio, "SELECT 1")["data"] == [[1]]


def test_a_query_is_stopped_by_its_id_and_pages_answer_meanwhile(studio: Served) -> None:
    answers: list[httpx.Response] = []
    content = {"query": ENDLESS, "id": "this-query"}
    asking = threading.Thread(
        target=lambda: answers.append(studio.send("POST", "/api/sql", content))
    )
    asking.start()
    assert studio.get("/api/runs")["total"] == 4  # It keeps nobody waiting.
    wait_until(lambda: stopped(studio, "this-query") or bool(answers), "the query to be there")
    asking.join()

    assert as_problem(answers[0])[1]["title"] == "QueryStopped"
    assert answers[0].status_code == 422
    assert not stopped(studio, "this-query")
    assert ask(studio, "SELECT 1")["data"] == [[1]]


def test_a_stop_may_come_before_its_query(studio: Served) -> None:
    assert not stopped(studio, "early-query")
    answer = studio.send("POST", "/api/sql", {"query": ENDLESS, "id": "early-query"})

    assert as_problem(answer)[1]["title"] == "QueryStopped"
    assert ask(studio, "SELECT 1")["data"] == [[1]]


def stopped(studio: Served, query_id: str) -> bool:
    answer = studio.send("DELETE", f"/api/sql/{query_id}")
    assert answer.status_code == 200
    return bool(answer.json()["stopped"])


def test_a_page_that_goes_away_stops_its_query(studio: Served) -> None:
    headers = {"Origin": studio.origin, "Content-Type": "application/json"}
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{studio.origin}/api/sql", json={"query": ENDLESS, "timeout_s": 30},
                       headers=headers, timeout=0.5, trust_env=False)  # fmt: skip

    answer = ask(studio, "SELECT 1")  # Or else it would wait for a minute.
    assert answer["data"] == [[1]]


def test_a_viewer_may_ask_but_only_from_a_page_of_this_studio(filled: Filled) -> None:
    with served(filled.ws, editor_tokens=[ADA], viewer_tokens=[EVE]) as found:
        told = {"Authorization": f"Bearer {EVE}"}
        content = {"query": "SELECT 1"}
        assert found.send("POST", "/api/sql", content, **told).status_code == 200
        assert found.send("DELETE", "/api/sql/some-query", **told).status_code == 200
        assert found.send("POST", "/api/sql", content).status_code == 401
        other = found.send("POST", "/api/sql", content, **told, Origin="http://evil.example")
        assert other.status_code == 403
        for method, path in (("PATCH", "/api/sql"), ("POST", "/api/sqlx"), ("POST", "/api/sql/a/b"),
                             ("PUT", "/api/sql/x"), ("POST", "/x/api/sql")):  # fmt: skip
            assert found.send(method, path, content, **told).status_code == 403


def test_a_query_that_has_ended_is_forgotten() -> None:
    queries = Queries()
    with queries.asked("q") as first:
        with queries.asked("q") as second:
            assert queries.stop("q")
            assert second.is_set()
        assert not first.is_set()
        queries.stop_all()
    assert not queries.stop("q")
