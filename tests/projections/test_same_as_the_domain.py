"""The tables say of each run what the domain's own fold says of its stream, at every position."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.domain.config import number_of
from runlore.domain.fact import author_of
from runlore.domain.ids import run_stream
from runlore.domain.run_state import RunState, fold
from runlore.domain.status import Status
from runlore.domain.surroundings import commit_in, script_in
from runlore.projections.runner import catch_up
from runlore.storage.codec import fact_of
from runlore.storage.event_log import EventLog
from tests.examples import few
from tests.projections.histories import (
    RUNS,
    Happening,
    History,
    histories,
    history_of,
    projection_in_memory,
    run_created,
)
from tests.strategies import run_events


def states_of(log: EventLog, upto_position: int) -> dict[str, RunState]:
    """What the domain knows of the runs that were created once."""
    states = {}
    for run_id in RUNS:
        rows = log.read_stream(run_stream(run_id), upto_position=upto_position)
        facts = [fact_of(row) for row in rows if row.event_id is not None]
        births = [f for f in facts if f.topic == ev.RunCreated.topic and f.data is not None]
        state = fold(None, facts)
        if state is not None and len(births) == 1:
            states[run_id] = state
    return states


def said_by_domain(state: RunState) -> dict[str, Any]:
    return {
        "status": state.status,
        "status_detail": state.status_detail,
        "created_at": state.created_at,
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "ended_position": state.ended_position,
        "last_ended_at": state.last_ended_at,
        "running_since": state.running_since,
        "ran_us": state.ran_us,
        "archived_at": state.archived_at,
        "before_loss": None if state.before_loss is None else list(state.before_loss[1:]),
        "given": (state.given_at, state.given_user),
        "pauses": [tuple(pause) for pause in state.pauses],
        "rewinds": [tuple(rewind) for rewind in state.rewinds],
        "environment": None if state.environment is None else dict(state.environment),
        "shown": (script_in(state.environment), commit_in(state.environment)),
        "config": {
            key: (held.value, number_of(str(held.value)), *held[1:])
            for key, held in state.config.items()
        },
        "warnings": [tuple(warning) for warning in state.warnings],
        "display_name": state.display_name,
        "description": state.description,
        "error": None if state.error is None else dict(state.error),
        "tags": dict(state.tags),
        "properties": {key: tuple(held) for key, held in state.properties.items()},
        "artifacts": {name: tuple(artifact) for name, artifact in state.artifacts.items()},
        "snapshot": (state.snapshot_id, state.snapshot_manifest),
        "refusals": {tuple(refusal) for refusal in state.refusals},
    }


def said_by_tables(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[str, Any] | None:
    def ask(query: str, parameter: object) -> list[tuple[Any, ...]]:
        return connection.execute(query, [parameter]).fetchall()

    found = ask(
        "SELECT run_no, s.status, s.status_detail, created_at, s.started_at, s.ended_at, "
        "s.display_name, s.description, s.error, s.ended_position, "
        "coalesce(s.ended_at, s.last_ended_at), s.running_since, s.ran_us, s.archived_at, "
        "s.before_loss, given_at, given_user FROM store.runs r JOIN store.run_states s "
        "USING (run_no) WHERE run_id = ? AND to_position IS NULL",
        run_id,
    )
    if not found:  # Its experiment is not in the log.
        return None
    run_no, status, detail, created, started, ended, name, description, error, *more = found[0]
    ended_position, last_ended, since, ran_us, archived, before_loss, *given = more
    snapshots = ask(
        "SELECT snapshot_id, manifest_sha256 FROM store.snapshots WHERE run_no = ? "
        "ORDER BY position",
        run_no,
    )
    current = "WHERE run_no = ? AND to_position IS NULL"
    stated = "SELECT position, actor FROM store.events"
    tags = ask(f"SELECT key, value FROM store.run_tags {current}", run_no)
    properties = ask(
        "SELECT key, value, writer_id, changed_at, reason, e.actor FROM store.run_properties "
        f"LEFT JOIN ({stated}) e ON e.position = from_position {current}",
        run_no,
    )
    config = ask(
        "SELECT key, json, number, writer_id, changed_at, reason, e.actor FROM store.run_config "
        f"LEFT JOIN ({stated}) e ON e.position = from_position {current}",
        run_no,
    )
    artifacts = ask(
        "SELECT name, sha256, nbytes, uri, pruned_at IS NOT NULL FROM artifacts WHERE run_id = ?",
        run_id,
    )
    environments = ask(
        f"SELECT environment, script, git_commit FROM store.environments {current}", run_no
    )
    in_order = "WHERE run_no = ? ORDER BY position"
    pauses = ask(f"SELECT ended_position, position FROM store.pauses {in_order}", run_no)
    rewinds = ask(f"SELECT position, step FROM store.rewinds {in_order}", run_no)
    warnings = ask(f"SELECT source, message FROM store.warnings {in_order}", run_no)
    refusals = ask(
        "SELECT writer_id, e.actor, change, key, refused FROM store.refusals "
        f"LEFT JOIN ({stated}) e USING (position) WHERE run_no = ?",
        run_no,
    )
    return {
        "status": status,
        "status_detail": detail,
        "created_at": created,
        "started_at": started,
        "ended_at": ended,
        "ended_position": ended_position,
        "last_ended_at": last_ended,
        "running_since": since,
        "ran_us": ran_us,
        "archived_at": archived,
        "before_loss": None if before_loss is None else json.loads(before_loss),
        "given": tuple(given),
        "pauses": pauses,
        "rewinds": rewinds,
        "environment": json.loads(environments[0][0]) if environments else None,
        "shown": environments[0][1:] if environments else (None, None),
        "config": {key: tuple(held) for key, *held in config},
        "warnings": warnings,
        "display_name": name,
        "description": description,
        "error": None if error is None else json.loads(error),
        "tags": dict(tags),
        "properties": {key: tuple(held) for key, *held in properties},
        "artifacts": {name: tuple(artifact) for name, *artifact in artifacts},
        "snapshot": snapshots[-1] if snapshots else (None, None),
        "refusals": {(author_of(writer, actor), *said) for writer, actor, *said in refusals},
    }


REFUSED_TO_AN_ACTOR = [
    [
        Happening("experiment/lab", ev.ExperimentCreated(experiment_id="e1", name="lab")),
        Happening("run/r0", run_created("r0")),
        Happening(
            "run/r0",
            ev.ChangeRefused(change="run.created", key="k", held="a", refused="b", reason="no"),
            actor="ana",
        ),
    ]
]


@pytest.mark.long
@settings(deadline=None, max_examples=few(12))
@example(REFUSED_TO_AN_ACTOR)
@given(histories)
def test_at_every_position_the_tables_say_of_a_run_what_the_domain_says(
    appends: list[list[Happening]],
) -> None:
    history = history_of(appends)
    with projection_in_memory() as projection:
        for position in range(1, history.log.head().position + 1):
            catch_up(projection, history.log, upto_position=position)

            for run_id, state in states_of(history.log, position).items():
                said = said_by_tables(projection.view.connection, run_id)
                assert said is None or said == said_by_domain(state)


@settings(deadline=None, max_examples=few(10))
@given(st.data())
def test_what_can_follow_a_runs_creation_shows_in_the_tables_as_in_the_domain(
    data: st.DataObject,
) -> None:
    history = History()
    history.experiment()
    history.run("r0", status=Status.NOT_STARTED)
    history.say("run/r0", *data.draw(st.lists(run_events, min_size=1, max_size=30)))

    with projection_in_memory() as projection:
        catch_up(projection, history.log)

        state = states_of(history.log, history.log.head().position)["r0"]
        assert said_by_tables(projection.view.connection, "r0") == said_by_domain(state)


def test_the_start_of_a_run_keeps_what_was_said_about_its_status() -> None:
    history = History()
    history.experiment()
    history.run("r0", status=Status.NOT_STARTED)
    history.say(
        "run/r0", ev.RunStatusChanged(status=Status.QUEUED, detail="waits"), ev.RunStarted()
    )

    with projection_in_memory() as projection:
        catch_up(projection, history.log)
        shown = projection.view.connection.execute("SELECT status, status_detail FROM runs")

        assert shown.fetchall() == [("Running", "waits")]


def test_the_first_value_of_a_property_stays_in_one_batch_and_in_two() -> None:
    for batch in (1, 100):
        history = History()
        history.experiment()
        history.run("r0", properties={"a": "first"})
        history.say("run/r0", ev.PropertyAdded(key="a", value="second"))
        history.say("run/r0", ev.PropertyAdded(key="b", value="first"))
        history.say("run/r0", ev.PropertyAdded(key="b", value="second"))

        with projection_in_memory() as projection:
            catch_up(projection, history.log, batch=batch)
            shown = projection.view.connection.execute("SELECT key, value FROM properties")

            assert sorted(shown.fetchall()) == [("a", "first"), ("b", "first")]


def test_a_correction_ends_the_value_before_it_in_one_batch_and_in_many() -> None:
    for batch in (1, 2, 100):
        history = History()
        history.experiment()
        history.run("r0", properties={"a": "1"})
        history.say("run/r0", ev.PropertyCorrected(key="a", value="2", superseded="1"))
        history.say("run/r0", ev.PropertyAdded(key="a", value="1"))
        history.say("run/r0", ev.PropertyAdded(key="b", value="1"))
        history.say("run/r0", ev.PropertyCorrected(key="b", value="2", superseded="1"))
        history.say("run/r0", ev.PropertyCorrected(key="b", value="3", superseded="2"))

        with projection_in_memory() as projection:
            catch_up(projection, history.log, batch=batch)
            shown = projection.view.connection.execute(
                "SELECT key, value, from_position, to_position FROM property_history "
                "ORDER BY key, from_position"
            )

            assert shown.fetchall() == [
                ("a", "1", 2, 3),
                ("a", "2", 3, None),
                ("b", "1", 5, 6),
                ("b", "2", 6, 7),
                ("b", "3", 7, None),
            ]
