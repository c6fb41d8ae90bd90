"""However the log is cut into batches, the tables are those of a rebuild from zero."""

from __future__ import annotations

import pytest
from eventsourcing.persistence import IntegrityError, Tracking
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain.fact import Fact
from runlore.projections.runner import APPLICATION, catch_up
from runlore.storage.codec import fact_of
from runlore.storage.errors import LogCorrupt
from tests.projections.histories import (
    Happening,
    History,
    histories,
    projection_in_memory,
    rebuilt,
    run_created,
    strangers,
    tables,
)


@settings(deadline=None, max_examples=40)
@given(histories, st.data())
def test_any_interleaving_of_appends_and_catch_ups_gives_the_tables_of_a_rebuild(
    appends: list[list[Happening]], data: st.DataObject
) -> None:
    history = History()
    with projection_in_memory() as projection:
        for append in appends:
            history.add(*append)
            batch = data.draw(st.sampled_from([None, 1, 2, 3, 100]), "batch size, or no catch-up")
            if batch is not None:
                catch_up(projection, history.log, batch=batch)
        catch_up(projection, history.log, batch=2)

        assert tables(projection.view.connection) == rebuilt(history.log)


@settings(deadline=None, max_examples=15)
@given(histories, st.sampled_from([1, 3, 100]))
def test_a_batch_that_is_delivered_twice_changes_nothing(
    appends: list[list[Happening]], batch: int
) -> None:
    history = History()
    for append in appends:
        history.add(*append)
    with projection_in_memory() as projection:
        position = 0
        while rows := history.log.read_log(after_position=position, limit=batch):
            position = rows[-1].position
            facts = [fact_of(row) for row in rows]
            projection.commit(facts, Tracking(APPLICATION, position), rows[-1].leaf)
            once = tables(projection.view.connection)

            with pytest.raises(IntegrityError, match="cannot be applied again"):
                projection.commit(facts, Tracking(APPLICATION, position), rows[-1].leaf)

            assert tables(projection.view.connection) == once
        assert tables(projection.view.connection) == rebuilt(history.log)


@settings(deadline=None, max_examples=25)
@given(st.lists(strangers(), min_size=1, max_size=5))
def test_what_this_runlore_does_not_know_moves_the_position_and_is_listed_only(
    unknown: list[Happening],
) -> None:
    history = History()
    history.experiment("e1")
    history.run("r0", tags={"a": "x"})
    before = rebuilt(history.log)

    head = history.add(*unknown)

    after = rebuilt(history.log)
    assert int(after["main.tracking"][0].split(", ")[1]) == head
    assert len(after["store.events"]) == len(before["store.events"]) + len(unknown)
    for table in before.keys() - {"main.tracking", "store.events"}:
        assert after[table] == before[table]


def test_catching_up_stops_at_the_position_that_was_asked_for() -> None:
    history = History()
    positions = [history.add(Happening(f"run/r{n}", run_created(f"r{n}"))) for n in range(6)]

    with projection_in_memory() as projection:
        read = catch_up(projection, history.log, upto_position=positions[3], batch=2)

        assert read == 4
        assert projection.view.applied(APPLICATION)[0] == positions[3]
        assert catch_up(projection, history.log) == 2
        assert catch_up(projection, history.log) == 0


def test_a_batch_that_fails_leaves_neither_rows_nor_position() -> None:
    history = History()
    history.experiment("e1")
    history.run("r0")
    with projection_in_memory() as projection:
        catch_up(projection, history.log)
        before = tables(projection.view.connection)
        damaged = Fact(
            99, "run/r0/values/w", 1, "run.values_logged", {"payload": b"torn"}, b"", 0, None
        )

        with pytest.raises(LogCorrupt):
            projection.commit([damaged], Tracking(APPLICATION, damaged.position))

        assert tables(projection.view.connection) == before


def test_a_batch_of_values_without_values_adds_no_points() -> None:
    history = History()
    history.experiment("e1")
    history.run("r0")

    history.values("r0", [])

    assert rebuilt(history.log)["store.metric_points"] == []
