"""However the log is cut into batches, the tables are those of a rebuild from zero."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pytest
from eventsourcing.persistence import IntegrityError, Tracking
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain.events import DescriptionSet
from runlore.domain.fact import Fact
from runlore.projections.duckdb_recorder import DuckDBView
from runlore.projections.projection import Projection
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
            nbytes = data.draw(st.sampled_from([1, 100, 100_000]), "bytes of a batch")
            if batch is not None:
                catch_up(projection, history.log, batch=batch, batch_nbytes=nbytes)
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


class Batches(Projection):
    """Keeps nothing but how many facts came at once."""

    def init(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.sizes: list[int] = []

    def apply(self, facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> None:
        self.sizes.append(len(facts))


def test_batches_have_a_bounded_number_of_events_and_of_bytes() -> None:
    history = History()
    history.experiment()
    history.run("r0")
    large = DescriptionSet(description="x" * 1_000)
    history.say("run/r0", *[large] * 3_000)
    small = DescriptionSet(description="x")
    history.say("run/r0", *[small] * 3_000)
    view = DuckDBView(duckdb.connect())

    by_bytes, by_count = Batches(view), Batches(view)
    catch_up(by_bytes, history.log, batch_nbytes=200_000)
    view.connection.execute("DELETE FROM tracking")
    catch_up(by_count, history.log, batch=1_500)

    assert sum(by_bytes.sizes) == sum(by_count.sizes) == 6_002
    first, *rest = by_bytes.sizes
    assert first == 1_000, "of which nothing is known"
    assert max(size for size in rest[:10]) <= 200
    assert max(rest) > 1_000, "when events are small again"
    assert by_count.sizes == [1_000, 1_500, 1_500, 1_500, 502]
    view.close()


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
