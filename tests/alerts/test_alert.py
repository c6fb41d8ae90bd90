from __future__ import annotations

import json

from tests.alerts.examples import HOSTILE, alert


def test_the_document_says_which_run_and_why() -> None:
    document = json.loads(alert().json())

    assert document["text"] == "[error] mnist, first: run failed (no data)"
    assert document["id"] == "w" * 32 + "/7/failed"
    assert (document["run_id"], document["status"]) == ("run-1", "Failed")
    assert (document["workspace"], document["time"]) == ("lab", "2026-03-03T12:00:00+00:00")


def test_no_text_of_a_log_acts_in_a_terminal_or_a_chat() -> None:
    hostile = alert(HOSTILE, HOSTILE)

    assert hostile.json().isascii() and b"\x1b" not in hostile.json()
    assert json.loads(hostile.json())["title"] == HOSTILE
    text = hostile.document()["text"]
    assert text.isprintable() and "&lt;!channel&gt;" in text and "\\x1b" in text
    assert all(value.isprintable() for value in hostile.variables().values())
    assert hostile.variables()["RUNLORE_ALERT_TITLE"].startswith("a'; touch pwned;")


def test_long_texts_are_cut_where_they_must_be_short() -> None:
    long = alert("t", "\x1b" * 1_000_000)

    assert len(long.json()) < 200_000
    assert all(len(value) < 10_000 for value in long.variables().values())
    assert len(long.line) <= 2_000


def test_each_value_of_an_event_has_an_id_of_its_own() -> None:
    ids = {alert(title, kind="metric").id for title in ("loss is 1", "acc is 1")}

    assert len(ids) == 2
