"""What holds for every projection: overlapping batches, bounded pages, the library's names."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.projections.duckdb_view import Tracking
from runlore.projections.queries import PAGE
from runlore.projections.runner import APPLICATION, catch_up
from runlore.storage.codec import fact_of
from runlore.storage.driver_errors import ProgrammingError
from runlore.storage.log_query import LogQuery
from runlore.storage.mapper import Envelope
from tests.examples import few
from tests.projections.histories import (
    Happening,
    History,
    histories,
    history_of,
    projection_in_memory,
    reader_of,
    rebuilt,
    run_created,
    tables,
)


@settings(deadline=None, max_examples=few(15))
@given(histories, st.data())
def test_a_batch_that_overlaps_earlier_ones_adds_only_what_is_new(
    appends: list[list[Happening]], data: st.DataObject
) -> None:
    history = history_of(appends)
    facts = [fact_of(row) for row in history.log.read_log(LogQuery(limit=1_000))]
    with projection_in_memory() as projection:
        applied = 0
        while applied < len(facts):
            start = data.draw(st.integers(0, applied), "where the batch begins again")
            applied = data.draw(st.integers(applied + 1, len(facts)), "and where it ends")
            last = facts[applied - 1].position
            leaf = history.log.read_log(LogQuery(after_position=last - 1, limit=1))[0].leaf
            projection.commit(facts[start:applied], Tracking(APPLICATION, last), leaf)

        assert tables(projection.view.connection) == (
            rebuilt(history.log) if facts else tables(projection.view.connection)
        )


def test_an_event_of_another_mapper_fails_with_what_is_needed() -> None:
    envelope = Envelope("run/r0", 1, ev.RunStarted())
    with projection_in_memory() as projection:
        with pytest.raises(ProgrammingError, match="MAPPER_TOPIC=runlore.storage.mapper"):
            projection.process_event(envelope, Tracking(APPLICATION, 1))

        assert projection.view.max_tracking_id(APPLICATION) is None


def test_a_projection_goes_on_where_the_librarys_runner_left_it() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    history.say("run/r0", ev.RunCompleted())
    with projection_in_memory() as projection:
        for row in history.log.read_log(LogQuery(limit=2)):
            envelope = Envelope(row.stream, row.version, ev.RunStarted(), fact_of(row))
            projection.process_event(envelope, Tracking("TrainingRuns", row.position))

        assert catch_up(projection, history.log, application_name="TrainingRuns") == 1

        found = tables(projection.view.connection)
        expected = rebuilt(history.log)
        assert {**found, "main.tracking": []} == {**expected, "main.tracking": []}


@pytest.mark.parametrize("count", [3 * PAGE - 1, 3 * PAGE, 3 * PAGE + 1, 8 * PAGE])
def test_pages_that_grow_lose_no_row_and_show_none_twice(count: int) -> None:
    history = History()
    history.experiment()
    births = [run_created(f"r{number}") for number in range(count)]
    history.add(*[Happening(f"run/{one.run_id}", one) for one in births])

    with reader_of(history.log) as reader:
        found = [row.run_id for row in reader.runs()]

    assert found == [one.run_id for one in reversed(births)]


def test_catching_up_leaves_the_garbage_collector_as_it_was() -> None:
    history = History()
    history.experiment()
    with projection_in_memory() as projection:
        assert gc.isenabled()
        catch_up(projection, history.log)
        assert gc.isenabled()
        gc.disable()
        try:
            catch_up(projection, history.log)
            assert not gc.isenabled()
        finally:
            gc.enable()
