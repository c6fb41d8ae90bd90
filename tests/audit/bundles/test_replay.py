"""What is shown is what was logged: a replay says so, or where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore import Workspace
from runlore.audit.replay import Replayed
from runlore.domain.errors import InvalidInput
from runlore.projections.own_projection import OwnProjection
from runlore.projections.rebuild_check import replay as compared_tables
from runlore.projections.segment_files import Bounds
from runlore.workspace import session_of
from tests.cached import cached
from tests.examples import few
from tests.projections.histories import (
    Happening,
    histories,
    history_of,
    reader_of,
)


def corrupted(folder: Path, statement: str) -> Replayed:
    """What a replay finds after somebody has written into the tables between two sessions."""
    with Workspace.open(folder) as before:
        session_of(before).reader().projection.refresh()
    [database] = cached(folder).glob("*/reader-0/projection.duckdb")
    with duckdb.connect(str(database)) as connection:
        connection.execute(statement)
    with Workspace.open(folder) as after:
        return after.audit.replay()


@pytest.fixture
def folder(ws: Workspace) -> Path:
    assert ws.path is not None
    ws.close()
    return ws.path


def test_what_nobody_touched_is_what_was_logged(ws: Workspace) -> None:
    found = ws.audit.replay()

    assert found.holds and found.complete
    assert found.position == ws.log.head().position
    assert found.rows["runs"] == 4
    assert {"run_states", "run_tags", "metric_points", "metric_latest", "events"} <= set(found.rows)


@settings(max_examples=few(10))
@given(histories, st.data())
def test_any_history_holds_at_its_head_and_as_of_any_position(
    appends: list[list[Happening]], data: st.DataObject
) -> None:
    history = history_of(appends)
    position = data.draw(st.integers(0, history.log.head().position))
    with reader_of(history.log, bounds=Bounds(2, 2, 8)) as reader:
        for upto in (None, position):
            [found] = compared_tables(
                reader.projection, history.log, upto_position=upto, max_differences=10
            )

            assert found.differences == []


def test_a_changed_value_is_told_with_table_key_both_values_and_event(folder: Path) -> None:
    found = corrupted(
        folder, "UPDATE store.run_tags SET value = 'superb' WHERE value = 'fantastic'"
    )

    [one] = found.mismatches
    assert (one.of, one.table, one.column) == ("live", "run_tags", "value")
    assert (one.shown, one.logged) == ("superb", "fantastic")
    assert one.key["key"] == "quality"
    assert one.event is not None
    assert (one.event.stream, one.event.topic) == ("run/parent", "run.tag_set")
    assert one.key["from_position"] == one.event.position
    assert "value is shown as 'superb', was logged as 'fantastic'" in str(one)


def test_a_row_that_was_taken_away_is_told_whole(folder: Path) -> None:
    found = corrupted(folder, "DELETE FROM store.run_properties WHERE value = 'ada'")

    [one] = found.mismatches
    assert (one.table, one.column, one.shown) == ("run_properties", None, None)
    assert one.logged["value"] == "ada"
    assert "a row is missing" in str(one)


def test_a_row_that_no_event_says_is_told_whole(folder: Path) -> None:
    found = corrupted(
        folder,
        "INSERT INTO store.run_tags BY NAME "
        "SELECT 1 AS run_no, 'good' AS key, 99999 AS from_position",
    )

    [one] = found.mismatches
    assert (one.table, one.column, one.logged, one.event) == ("run_tags", None, None, None)
    assert one.shown["key"] == "good"
    assert "never logged" in str(one)


def test_a_row_that_is_there_twice_is_told(folder: Path) -> None:
    found = corrupted(folder, "INSERT INTO store.runs FROM store.runs WHERE run_id = 'child-0'")

    [one] = found.mismatches
    assert (one.table, one.logged, one.shown["run_id"]) == ("runs", None, "child-0")


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "place", "topic"),
    [
        ("tail_points SET value = -value", "metric_points.value", "run.values_logged"),
        ("metric_latest SET max = 9 WHERE run_no = 2", "metric_latest.max", "run.values_logged"),
        ("series SET name = 'gain' WHERE name = 'loss'", "series.name", "run.values_logged"),
        ("writers SET actor = 'eve'", "writers.actor", "writer.opened"),
        ("artifacts SET nbytes = 7", "artifacts.nbytes", "run.artifact_added"),
        (
            "run_states SET status = 'Failed' WHERE status = 'Completed' AND run_no = 1",
            "run_states.status",
            "run.completed",
        ),
        ("events SET topic = 'x' WHERE position = 1", "events.topic", "writer.opened"),
    ],
)
def test_every_kind_of_table_leads_to_its_event(
    folder: Path, change: str, place: str, topic: str
) -> None:
    found = corrupted(folder, f"UPDATE store.{change}")

    assert {f"{one.table}.{one.column}" for one in found.mismatches} == {place}
    assert {one.event and one.event.topic for one in found.mismatches} == {topic}


def test_a_view_that_shows_right_rows_wrongly_is_told(folder: Path) -> None:
    found = corrupted(folder, "CREATE OR REPLACE VIEW run_tree AS SELECT 1 AS run_id")

    [one] = found.mismatches
    assert (one.table, one.key) == ("views", {"view": "run_tree"})


def test_a_table_that_cannot_be_read_is_told(folder: Path) -> None:
    found = corrupted(folder, "ALTER TABLE store.refusals RENAME COLUMN reason TO why")

    [one] = found.mismatches
    assert one.table == "refusals"
    assert "cannot be read" in one.shown


def test_no_more_differences_are_listed_than_asked_for(folder: Path) -> None:
    corrupted(folder, "UPDATE store.events SET topic = 'x'")
    with Workspace.open(folder) as ws:
        found = ws.audit.replay(max_mismatches=3)

    assert len(found.mismatches) == 3
    assert not found.complete


def test_what_is_logged_while_tables_are_rebuilt_is_compared_too(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = OwnProjection.ask

    def after_a_tag(self: OwnProjection, question: Any) -> Any:
        ws.get_run("parent").tag("later", "while the tables were rebuilt")
        return ask(self, question)

    monkeypatch.setattr(OwnProjection, "ask", after_a_tag)
    found = ws.audit.replay()

    assert found.holds
    assert found.position == ws.log.head().position
    assert found.rows["events"] == found.position


def test_a_published_copy_is_compared_too(folder: Path) -> None:
    with Workspace.open(folder) as ws:
        projection = session_of(ws).reader().projection
        projection.refresh()
        projection.publish()
    [database] = cached(folder).glob("*/generations/*/projection.duckdb")
    with duckdb.connect(str(database)) as connection:
        connection.execute("UPDATE store.run_properties SET value = 'eve' WHERE value = 'ada'")
    with Workspace.open(folder) as ws:
        found = ws.audit.replay(generations=True)

    [one] = found.mismatches
    assert found.compared == (one.of, "live")
    assert one.of == f"generation {database.parent.name}"
    assert (one.shown, one.logged) == ("eve", "ada")


def test_a_position_of_no_sense_is_refused(ws: Workspace) -> None:
    with pytest.raises(InvalidInput, match="there is no position -1 in the log"):
        ws.audit.replay(to=-1)


def test_an_earlier_position_leaves_out_what_is_only_current(ws: Workspace) -> None:
    found = ws.audit.replay(to=5)

    assert found.holds and found.position == 5
    assert found.left_out == ("metric_latest",)
    assert found.rows["events"] == 5


def test_an_exported_copy_says_the_same_until_somebody_writes_into_the_tables(
    folder: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "parent.bundle"
    with Workspace.open(folder) as ws:
        ws.export(bundle, run="parent")
        ws.get_run("parent").tag("later", "not in the bundle")
        ws.get_run("elsewhere").tag("not", "selected")

        found = ws.audit.replay_bundle(bundle)

    assert found.holds and found.complete
    assert found.rows["runs"] == 3 and found.rows["metric_points"] == 6
    corrupted(folder, "UPDATE store.run_tags SET value = 'superb' WHERE value = 'fantastic'")
    with Workspace.open(folder) as ws:
        [one] = ws.audit.replay_bundle(bundle).mismatches
        assert ws.audit.replay_bundle(bundle, max_mismatches=1).complete
    assert (one.table, one.key["run_id"], one.shown) == ("run_tags", "parent", "superb")
    assert one.event is not None and one.event.topic == "run.tag_set"


def test_a_row_that_was_added_to_a_run_shows_against_an_exported_copy(
    folder: Path, tmp_path: Path
) -> None:
    with Workspace.open(folder) as ws:
        ws.export(tmp_path / "bundle", run="child-1")
    corrupted(folder, "INSERT INTO store.tail_points FROM store.tail_points")
    with Workspace.open(folder) as ws:
        found = ws.audit.replay_bundle(tmp_path / "bundle")

        assert not ws.audit.replay_bundle(tmp_path / "bundle", max_mismatches=1).complete

    assert {one.table for one in found.mismatches} == {"metric_points"}
    assert {one.key["run_id"] for one in found.mismatches} == {"child-1"}


def test_a_bundle_of_another_workspace_cannot_be_compared(ws: Workspace, tmp_path: Path) -> None:
    with Workspace.create("other", path=tmp_path / "other") as other:
        other.export(tmp_path / "bundle")

    with pytest.raises(InvalidInput, match="is of the workspace other"):
        ws.audit.replay_bundle(tmp_path / "bundle")
