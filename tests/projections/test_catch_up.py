"""However the log is cut into batches, the tables are those of a rebuild from zero."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from unittest.mock import patch

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain.events import DescriptionSet
from runlore.domain.fact import Fact
from runlore.projections import projection_of_runs as runs_projection
from runlore.projections import temporal
from runlore.projections.duckdb_view import DuckDBView, Tracked, Tracking
from runlore.projections.projection import Projection
from runlore.projections.projection_of_runs import RunsProjection
from runlore.projections.runner import APPLICATION, Beside, catch_up
from runlore.storage.codec import fact_of
from runlore.storage.driver_errors import IntegrityError
from runlore.storage.log_query import LogQuery
from runlore.storage.value_codec import Series
from tests.examples import few
from tests.logged_values import Record
from tests.projections.histories import (
    Happening,
    History,
    histories,
    history_of,
    projection_in_memory,
    rebuilt,
    run_created,
    strangers,
    tables,
)


@settings(deadline=None, max_examples=few(20))
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


@settings(deadline=None, max_examples=few(10))
@given(histories, st.integers(0, 3), st.sampled_from([1, 2, 100]))
def test_what_is_forgotten_between_batches_is_read_from_the_tables(
    appends: list[list[Happening]], known_max: int, batch: int
) -> None:
    history = history_of(appends)
    with (
        patch.object(runs_projection, "KNOWN_MAX", known_max),
        projection_in_memory() as projection,
    ):
        catch_up(projection, history.log, batch=batch)

        assert tables(projection.view.connection) == rebuilt(history.log)


@settings(deadline=None, max_examples=few(7))
@given(histories, st.booleans())
def test_few_rows_are_the_same_with_arrow_and_without(
    appends: list[list[Happening]], with_arrow: bool
) -> None:
    history = history_of(appends)
    few = 0 if with_arrow else 1_000
    with patch.object(temporal, "_FEW", few), projection_in_memory() as projection:
        catch_up(projection, history.log, batch=3)

        found = tables(projection.view.connection)
    assert found == rebuilt(history.log)


class Failing(RunsProjection):
    """Fails to write its second batch, once."""

    batches = 0

    def write(self, prepared: Any, tracking: Tracked, leaf: bytes) -> None:
        self.batches += 1
        if self.batches == 2:
            raise duckdb.IOException("no room")
        super().write(prepared, tracking, leaf)


def test_after_a_batch_that_failed_beside_the_next_one_nothing_is_missing() -> None:
    history = History()
    history.experiment()
    for number in range(8):
        history.run(
            f"r{number}", tags={"n": str(number)}, parent_id=f"r{number - 1}" if number else None
        )
    view = DuckDBView(duckdb.connect())
    projection = Failing(view)

    with pytest.raises(duckdb.IOException, match="no room"):
        catch_up(projection, history.log, batch=2)

    assert view.applied(APPLICATION)[0] == 2
    catch_up(projection, history.log, batch=2)
    assert tables(view.connection) == rebuilt(history.log)
    view.close()


def test_things_done_beside_come_one_after_the_other_and_are_done_at_the_end() -> None:
    done: list[int] = []
    with Beside() as beside:
        for number in range(5):
            beside.run(partial(done.append, number))
        beside.wait()
        assert done == [0, 1, 2, 3, 4]
        beside.run(partial(done.append, 5))
    assert done[-1] == 5


def test_what_fails_beside_is_raised_where_it_is_waited_for() -> None:
    def fails() -> None:
        raise ValueError("beside")

    with pytest.raises(ValueError, match="beside"), Beside() as beside:
        beside.run(fails)
    # What fails later on the same connection only says that its transaction is aborted.
    with pytest.raises(ValueError, match="beside") as raised, Beside() as beside:
        beside.run(fails)
        raise KeyError("later")
    assert isinstance(raised.value.__context__, KeyError)


@settings(deadline=None, max_examples=few(7))
@given(histories, st.sampled_from([1, 3, 100]))
def test_a_batch_that_is_delivered_twice_changes_nothing(
    appends: list[list[Happening]], batch: int
) -> None:
    history = History()
    for append in appends:
        history.add(*append)
    with projection_in_memory() as projection:
        position = 0
        while rows := history.log.read_log(LogQuery(after_position=position, limit=batch)):
            position = rows[-1].position
            facts = [fact_of(row) for row in rows]
            projection.commit(facts, Tracking(APPLICATION, position), rows[-1].leaf)
            once = tables(projection.view.connection)

            with pytest.raises(IntegrityError, match="cannot be applied again"):
                projection.commit(facts, Tracking(APPLICATION, position), rows[-1].leaf)

            assert tables(projection.view.connection) == once
        assert tables(projection.view.connection) == rebuilt(history.log)


@settings(deadline=None, max_examples=few(12))
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


def test_a_batch_of_values_that_is_torn_is_listed_as_damaged() -> None:
    history = History()
    history.experiment("e1")
    history.run("r0")
    with projection_in_memory() as projection:
        catch_up(projection, history.log)
        damaged = Fact(
            99, "run/r0/values/w", 1, "run.values_logged", {"payload": b"torn"}, b"", 0, 0, None
        )

        projection.commit([damaged], Tracking(APPLICATION, damaged.position))

        [found] = projection.damaged()
        assert (found.position, found.run_id) == (99, "r0")
        assert tables(projection.view.connection)["store.metric_points"] == []


def test_a_batch_of_values_without_values_adds_no_points() -> None:
    history = History()
    history.experiment("e1")
    history.run("r0")

    history.values("r0", [])

    assert rebuilt(history.log)["store.metric_points"] == []


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        ((), ["experiment.created", "run.created", "run.description_set", "run.created"]),
        (("run.created",), ["run.created", "run.created"]),
        (("nothing",), []),
    ],
)
def test_a_projection_gets_the_facts_of_its_topics(
    topics: tuple[str, ...], expected: list[str]
) -> None:
    history = History()
    history.experiment()
    history.run("r1")
    history.say("run/r1", DescriptionSet(description="good"))
    history.run("r2")
    seen: list[str] = []

    class Seen(Projection):
        def init(self, connection: duckdb.DuckDBPyConnection) -> None:
            pass

        def apply(self, facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> None:
            seen.extend(fact.topic for fact in facts if not fact.topic.startswith("writer."))

    Seen.topics = topics
    catch_up(Seen(DuckDBView(duckdb.connect())), history.log)

    assert seen == expected


def test_a_batch_is_added_inside_a_transaction_of_the_caller() -> None:
    history = History()
    history.experiment()
    history.run("r1")
    history.values("r1", [Record(Series("loss"), 0, 0, 0.5)])
    facts = [fact_of(row) for row in history.log.read_log(LogQuery(after_position=0, limit=100))]
    with projection_in_memory() as projection:
        with projection.view.transaction() as connection:
            projection.apply(facts, connection)

        added, expected = tables(projection.view.connection), rebuilt(history.log)
        assert {name: rows for name, rows in added.items() if "tracking" not in name} == {
            name: rows for name, rows in expected.items() if "tracking" not in name
        }
