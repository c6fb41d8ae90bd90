"""Histories of a workspace for the tests of projections: drawn by hypothesis, kept in a log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgpack
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.domain.config import json_text
from runlore.domain.ids import experiment_stream, run_stream, values_stream, writer_stream
from runlore.domain.status import Status
from runlore.projections.connection import connect
from runlore.projections.duckdb_view import DuckDBView
from runlore.projections.generations import Publishing
from runlore.projections.open_tables import OpenTables
from runlore.projections.own_projection import OwnProjection
from runlore.projections.projection_of_runs import RunsProjection
from runlore.projections.reader import RunsReader
from runlore.projections.runner import catch_up
from runlore.projections.segment_files import BOUNDS, Bounds
from runlore.storage.codec import encode_event
from runlore.storage.event_log import EventLog, ForeignEvent, NewEvent
from runlore.storage.memory_log import MemoryLog
from runlore.storage.value_codec import Series
from runlore.testing.logs import Clock
from tests.logged_values import Record, batch_of
from tests.strategies import (
    events_of,
    few_configs,
    few_keys,
    few_pairs,
    int64s,
    run_events,
    scalars,
    statuses,
)

WRITERS = ("1" * 32, "2" * 32)
EXPERIMENTS = ("e1", "e2", "e3")
RUNS = tuple(f"r{number}" for number in range(8))


class Happening(NamedTuple):
    """Something that happens to a stream; `version` is the schema's, if not the newest.

    `skew` is what the writer's clock is fast, in µs.
    """

    stream: str
    event: ev.Event
    topic: str | None = None
    schema_version: int | None = None
    writer: str = WRITERS[0]
    foreign: bool = False
    skew: int = 0
    actor: str | None = None


class History:
    """A log, and what to write to it: versions and writers are kept here."""

    def __init__(self, log: EventLog | None = None) -> None:
        self.clock = Clock()
        self.log = log or MemoryLog(clock=self.clock)
        self._versions: dict[str, int] = {}

    def add(self, *happenings: Happening) -> int:
        """Appends in one transaction where that is possible; returns the log's head."""
        self.clock.now += 1_000
        for happening in happenings:
            if happening.foreign:
                self._add_foreign(happening)
        self.log.append([self._new_event(one) for one in happenings if not one.foreign])
        return self.log.head().position

    def say(self, stream: str, *events: ev.Event) -> int:
        """Appends events of one stream; returns the log's head."""
        return self.add(*[Happening(stream, event) for event in events])

    def experiment(self, experiment_id: str = "e1", name: str = "lab") -> str:
        """Creates an experiment."""
        created = ev.ExperimentCreated(experiment_id=experiment_id, name=name)
        self.say(experiment_stream(name), created)
        return experiment_id

    def run(self, run_id: str, **fields: Any) -> str:
        """Creates a run, Running in e1 if nothing else is said."""
        self.say(run_stream(run_id), run_created(run_id, **fields))
        return run_id

    def values(self, run_id: str, records: Sequence[Record], writer: str = WRITERS[0]) -> int:
        """Logs a batch of values."""
        return self.say(values_stream(run_id, writer), batch_of(writer, 0, records))

    def _next_version(self, stream: str) -> int:
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        return version

    def _new_event(self, happening: Happening) -> NewEvent:
        event = happening.event
        state = encode_event(event)
        if happening.schema_version is not None:
            state = msgpack.packb({**msgpack.unpackb(state), "v": happening.schema_version})
        return NewEvent(
            happening.stream,
            self._next_version(happening.stream),
            happening.topic or event.topic,
            state,
            os.urandom(16),
            self._metadata_of(happening),
        )

    def _metadata_of(self, happening: Happening) -> dict[str, Any]:
        metadata: dict[str, Any] = {"writer": happening.writer, "reason": "why not"}
        if happening.skew:
            metadata["observed_at"] = self.clock.now + happening.skew
        if happening.actor is not None:
            metadata["actor"] = happening.actor
        return metadata

    def _add_foreign(self, happening: Happening) -> None:
        version = self._next_version(happening.stream)
        state = encode_event(happening.event)
        self.log.append_foreign(
            [ForeignEvent(happening.stream, version, happening.event.topic, state)]
        )


def run_created(run_id: str, **fields: Any) -> ev.RunCreated:
    """The birth of a run, Running in e1 if nothing else is said."""
    given: dict[str, Any] = {
        "experiment_id": "e1",
        "experiment_name": "lab",
        "status": Status.RUNNING,
        "root_id": run_id,
    }
    return ev.RunCreated(run_id=run_id, **{**given, **fields})


# --- strategies ---------------------------------------------------------------------------

_experiment_ids = st.sampled_from(EXPERIMENTS)
_run_ids = st.sampled_from(RUNS)
_writers = st.sampled_from(WRITERS)
_skews = st.sampled_from([0, 0, 0, 7_000, -7_000])
_actors = st.sampled_from([None, None, "ana"])
_few_values = st.none() | st.sampled_from(["x", "y", ""])

_experiment_events: st.SearchStrategy[ev.Event] = st.one_of(
    st.builds(ev.ExperimentCreated, experiment_id=_experiment_ids, name=_experiment_ids),
    st.builds(ev.ExperimentArchived, experiment_id=_experiment_ids),
    st.builds(ev.ExperimentReactivated, experiment_id=_experiment_ids),
    st.builds(
        ev.ExperimentRenamed,
        experiment_id=_experiment_ids,
        name=_experiment_ids,
        previous=st.just("lab"),
        created_at=st.integers(0, 10**15),
        tags=few_pairs,
    ),
    st.builds(ev.ExperimentTagSet, experiment_id=_experiment_ids, key=few_keys, value=_few_values),
    st.builds(ev.ExperimentTagRemoved, experiment_id=_experiment_ids, key=few_keys),
)


def _happening(parts: tuple[str, ev.Event]) -> Happening:
    return Happening(*parts)


@st.composite
def births(draw: st.DrawFn, run_ids: st.SearchStrategy[str] = _run_ids) -> Happening:
    """A run is created: its experiment and parent may exist, or may not."""
    run_id = draw(run_ids)
    event = run_created(
        run_id,
        experiment_id=draw(_experiment_ids),
        status=draw(statuses),
        parent_id=draw(st.none() | _run_ids),
        run_type=draw(st.none() | st.sampled_from(["hyperdrive", "azureml.scriptrun"])),
        display_name=draw(st.none() | few_keys),
        tags=draw(few_pairs),
        properties=draw(few_pairs | st.just({"azureml.runsource": "hyperdrive"})),
        config=draw(st.just("{}") | few_configs.map(json_text)),
        given_at=draw(st.none() | st.integers(0, 10**15)),
        given_user=draw(st.none() | st.just("bo")),
    )
    stream, writer = run_stream(run_id), draw(_writers)
    return Happening(stream, event, writer=writer, skew=draw(_skews), actor=draw(_actors))


@st.composite
def value_batches(draw: st.DrawFn) -> Happening:
    """A few values of a few series, rows among them."""
    series = st.sampled_from([Series("loss"), Series("acc"), Series("roc", ("fpr", "tpr"), "row")])
    records = []
    for one in draw(st.lists(series, min_size=1, max_size=4)):
        value = draw(st.tuples(scalars, scalars) if one.columns else scalars)
        step = draw(int64s | st.integers(0, 3))
        records.append(Record(one, step, draw(st.integers(0, 10**15)), value))
    writer = draw(_writers)
    stream = values_stream(draw(_run_ids), writer)
    return Happening(stream, batch_of(writer, 0, records), writer=writer)


_spans: st.SearchStrategy[ev.Event] = st.one_of(
    *[st.builds(event) for event in (ev.RunStarted, ev.RunCompleted, ev.RunResumed)],
    *[st.builds(event) for event in (ev.RunArchived, ev.RunReactivated)],
    st.builds(ev.RunLost, error=st.just({"code": "Lost"}), evidence=st.just({"pid": 7})),
    st.builds(ev.RunFound, status=st.just(Status.RUNNING)),
    st.builds(ev.RunRewound, step=st.integers(-1, 2)),
)
"""What a run goes through, more often than by chance."""


@st.composite
def _changed(draw: st.DrawFn) -> Happening:
    run_id = draw(_run_ids)
    stream, event, writer = run_stream(run_id), draw(run_events | _spans), draw(_writers)
    return Happening(stream, event, writer=writer, skew=draw(_skews), actor=draw(_actors))


@st.composite
def strangers(draw: st.DrawFn) -> Happening:
    """What this runlore passes over: unknown topics, newer schema versions, foreign events."""
    known = draw(births() | _changed() | value_batches())
    return draw(
        st.sampled_from(
            [
                known._replace(topic="run.of_tomorrow"),
                known._replace(schema_version=99),
                known._replace(foreign=True),
                known._replace(stream="invoice/42", foreign=True),
            ]
        )
    )


happenings: st.SearchStrategy[Happening] = st.one_of(
    births(),
    _experiment_events.map(lambda event: Happening(experiment_stream("lab"), event)),
    _changed(),
    _changed(),
    _changed(),
    value_batches(),
    strangers(),
    st.tuples(_writers.map(writer_stream), events_of(ev.WriterOpened)).map(_happening),
    st.one_of(
        st.builds(ev.ViewSaved, name=few_keys, definition=few_configs),
        st.builds(ev.ViewDeleted, name=few_keys),
    ).map(lambda event: Happening("view/some", event)),
)
"""Anything that can stand in a log, in any order: runs may change before they exist."""

appends = st.lists(happenings, min_size=1, max_size=4)

_first = st.just(
    [
        Happening(experiment_stream("lab"), ev.ExperimentCreated(experiment_id="e1", name="lab")),
        Happening(run_stream("r0"), run_created("r0", tags={"a": "x"})),
        Happening(run_stream("r1"), run_created("r1", parent_id="r0", properties={"a": None})),
    ]
)

histories: st.SearchStrategy[list[list[Happening]]] = st.tuples(
    st.lists(_first, max_size=1), st.lists(appends, max_size=10)
).map(lambda parts: [*parts[0], *parts[1]])
"""Appends, one after the other; mostly behind a beginning that later ones can build on."""


# --- projections --------------------------------------------------------------------------


@contextmanager
def projection_in_memory(
    segments: Path | None = None, bounds: Bounds = BOUNDS
) -> Iterator[RunsProjection]:
    """An empty projection; points go on in segments if there is a folder for them."""
    connection = connect(":memory:", Path("spill"), segments)
    try:
        yield RunsProjection(DuckDBView(connection), segments, bounds)
    finally:
        connection.close()


def rebuilt(log: EventLog, *, upto_position: int | None = None) -> dict[str, list[str]]:
    """The tables of a projection that was made from the whole log, or its beginning, at once."""
    with projection_in_memory() as projection:
        catch_up(projection, log, upto_position=upto_position)
        return tables(projection.view.connection)


Query = Callable[[str], list[tuple[Any, ...]]]


def tables(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Every row of every table, in an order that does not depend on the insertion.

    As text, in which NaN is equal to itself and -0.0 is not 0.0. Points are those of the tail and
    of all segments: how these share them depends on when they came.
    """
    return _tables(lambda query: connection.execute(query).fetchall())


def tables_of(reader: RunsReader) -> dict[str, list[str]]:
    """The same of a reader, which catches up for it."""
    return _tables(lambda query: asked(reader, query))


def asked(reader: RunsReader, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query that names tables, which users cannot."""

    def question(tables: OpenTables) -> list[tuple[Any, ...]]:
        tables.check_segments()
        return tables.connection.execute(query).fetchall()

    return reader.projection.ask(question)


def _tables(ask: Query) -> dict[str, list[str]]:
    found = ask(
        "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
        "WHERE schema_name = 'store' OR table_name = 'tracking'"
    )
    names = {name for (name,) in found} - {"store.tail_points", "store.segments"}
    assert len(names) == 27
    names.add("store.metric_points")
    return {name: sorted(map(repr, ask(f"FROM {name}"))) for name in names}


NEVER = Publishing(after_s=float("inf"))
"""On a busy machine any catch-up may take long enough to be published."""


def opened(
    log: EventLog,
    folder: Path | None = None,
    bounds: Bounds = BOUNDS,
    publishing: Publishing = NEVER,
) -> RunsReader:
    """A reader of the log, to be closed by the test."""
    return RunsReader(OwnProjection(log, folder, bounds, publishing))


@contextmanager
def reader_of(
    log: EventLog,
    folder: Path | None = None,
    bounds: Bounds = BOUNDS,
    publishing: Publishing = NEVER,
) -> Iterator[RunsReader]:
    """A reader of the log, closed at the end."""
    reader = opened(log, folder, bounds, publishing)
    try:
        yield reader
    finally:
        reader.projection.close()


def history_of(appends: Sequence[Sequence[Happening]]) -> History:
    """A history in which this happened, append by append."""
    history = History()
    for append in appends:
        history.add(*append)
    return history
