"""What comes with a page, and answers that a page has already."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from tests.studio.asking import Served
from tests.studio.conftest import Filled

USUAL = (
    "cols=status&cols=duration&cols=created&cols=user&cols=metrics.loss"
    "&cols=metrics.%60%3Cscript%3Ealert%281%29%3C%2Fscript%3E%22%27%60%60%3B--%3C%2Ftitle%3E%60"
    "&cols=config.lr"
)
PAGE = "offset=0&limit=100"


def first_of(studio: Served, path: str) -> dict[str, Any]:
    """The data block of a page."""
    text = studio.client.get(path).text
    [block] = re.findall(r'<script type="application/json" id="first">(.*?)</script>', text)
    assert "<" not in block
    found: dict[str, Any] = json.loads(block)
    return found


def without_clock(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without the durations of runs, some of which go on."""
    if "duration" in answer.get("columns", ()):
        answer["data"][answer["columns"].index("duration")] = None
    return answer


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        ("/", ["/api/workspace", "/api/experiments"]),
        ("/?asof=3", ["/api/workspace?asof=3", "/api/experiments?asof=3"]),
        ("/runs", ["/api/workspace", "/api/columns?limit=100", f"/api/runs?{USUAL}&{PAGE}"]),
        ("/runs?group=status", ["/api/workspace", "/api/columns?limit=100"]),
        ("/runs?tree=1", ["/api/workspace", "/api/columns?limit=100"]),
        (
            "/e/odd?asof=9&cols=tags.say~80&cols=metrics.`a b`&f=not has(t.x)&q=*a~b&q=c"
            "&sort=-name",
            [
                "/api/workspace?asof=9",
                "/api/columns?experiment=odd&limit=100&asof=9",
                "/api/runs?experiment=odd&q=*a%7Eb&f=not+has%28t.x%29&sort=-name"
                f"&cols=tags.say&cols=metrics.%60a+b%60&{PAGE}&asof=9",
            ],
        ),
        ("/run/good", ["/api/workspace", "/api/runs/good"]),
        ("/run/hostile/history", ["/api/workspace", "/api/runs/hostile"]),
        ("/compare", ["/api/workspace"]),
    ],
    ids=["experiments", "past", "runs", "groups", "tree", "table", "run", "tab", "compare"],
)
def test_a_page_brings_the_answers_that_it_would_ask_for(
    studio: Served, filled: Filled, path: str, asks: list[str]
) -> None:
    found = first_of(studio, path)

    assert list(found["answers"]) == asks
    assert found["position"] == filled.ws.position
    for address in asks:
        answer = studio.client.get(address).json()
        assert without_clock(found["answers"][address]) == without_clock(answer)


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        ("/run/nobody", ["/api/workspace"]),
        ("/e/nowhere", ["/api/workspace"]),
        ("/?asof=999999", []),
        ("/runs?f=(", ["/api/workspace", "/api/columns?limit=100"]),
        ("/runs?" + "&".join(["cols=name"] * 201), ["/api/workspace", "/api/columns?limit=100"]),
    ],
    ids=["run", "experiment", "position", "filter", "columns"],
)
def test_what_cannot_be_answered_is_left_to_the_page(
    studio: Served, path: str, asks: list[str]
) -> None:
    assert list(first_of(studio, path)["answers"]) == asks


def test_a_hostile_name_ends_no_script(studio: Served) -> None:
    name = "</script><script>alert(1)</script>"

    page = studio.client.get(f"/e/{quote(name)}")

    assert page.text.count("</script>") == 2  # That of the data, and that of the module.
    assert "alert" not in page.text


def test_an_answer_that_a_page_has_is_not_made_again(studio: Served) -> None:
    asked = {"cols": "name", "asof": "5"}
    answer = studio.client.get("/api/runs", params=asked)
    tag = answer.headers["etag"]

    again = studio.client.get("/api/runs", params=asked, headers={"If-None-Match": f'"x", {tag}'})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert tag.startswith('W/"')


@pytest.mark.parametrize(
    "other",
    [{"cols": "name", "asof": "6"}, {"cols": "status", "asof": "5"}, {"cols": "name"}],
    ids=["position", "question", "now"],
)
def test_another_question_has_another_tag(studio: Served, other: dict[str, str]) -> None:
    tag = studio.client.get("/api/runs", params={"cols": "name", "asof": "5"}).headers["etag"]

    answer = studio.client.get("/api/runs", params=other, headers={"If-None-Match": tag})

    assert answer.status_code == 200
    assert answer.headers["etag"] != tag


def test_what_is_recorded_changes_the_tag(studio: Served, filled: Filled) -> None:
    tag = studio.client.get("/api/runs").headers["etag"]
    filled.ws.get_run("odd").tag("seen", "yes")

    answer = studio.client.get("/api/runs", headers={"If-None-Match": tag})

    assert answer.status_code == 200


def test_a_problem_has_no_tag(studio: Served) -> None:
    answer = studio.client.get("/api/runs", params={"f": "("})

    assert (answer.status_code, "etag" in answer.headers) == (422, False)
