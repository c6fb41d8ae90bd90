"""A question that a signal handler ends: with what it raised, at once, and the next one answers."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from runlore.projections import own_projection, runner
from runlore.projections.reader import RunsReader
from runlore.storage.handler_errors import handler_of, raising_what_handlers_raise
from tests.projections.histories import History, reader_of

HOURS = "FROM range(10_000_000) a, range(10_000_000) b"
AGGREGATE = f"SELECT sum(a.range * b.range) {HOURS}"
STREAM = f"SELECT a.range {HOURS} WHERE a.range + b.range < 0"
A_SECOND = "SELECT count(*) FROM range(300_000_000) WHERE range % 7 = 3"
"""A query of our own ends by itself, as DuckDB does not look for signals in all of its waits."""


ERRORS = [SystemExit(143), TimeoutError("the alarm"), KeyboardInterrupt()]


@pytest.fixture(scope="module")
def reader() -> Iterator[RunsReader]:
    history = History()
    history.experiment()
    history.run("r1")
    with reader_of(history.log) as reader:
        reader.sql("SELECT 1")  # An import is not to be interrupted.
        yield reader


@contextmanager
def handler(call: Callable[[], None]) -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, lambda *_: call())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def raising(error: BaseException) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


def of_users_sql(reader: RunsReader, query: str) -> object:
    return reader.sql(query)


def of_our_own(reader: RunsReader, query: str) -> object:
    return reader.projection.ask(lambda tables: tables.connection.execute(query).fetchall())


def in_a_transaction(reader: RunsReader, query: str) -> object:
    def ask(view: object) -> object:
        with reader.projection.ask(lambda tables: tables.projection.view).transaction() as inner:
            return inner.execute(query).fetchall()

    return reader.projection.ask(ask)


@pytest.mark.long
@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize(
    ("ask", "query"),
    [
        (of_users_sql, AGGREGATE),
        (of_users_sql, STREAM),
        (of_our_own, A_SECOND),
        (in_a_transaction, A_SECOND),
    ],
    ids=["sql", "streamed sql", "own question", "transaction"],
)
def test_a_question_ends_with_what_the_handler_raised(
    ask: Callable[[RunsReader, str], object],
    query: str,
    error: BaseException,
    reader: RunsReader,
) -> None:
    read = reader.projection.events_read
    for wait_s in (0.001, 0.02, 0.1):
        timer = threading.Timer(wait_s, os.kill, [os.getpid(), signal.SIGTERM])
        with handler(raising(error)), pytest.raises(type(error)) as raised:
            timer.start()
            try:
                ask(reader, query)
            finally:
                timer.join()  # In the block: a signal that came too early ends it as well.
        assert raised.value is error
        assert reader.sql("SELECT count(*) FROM runs").fetchall() == [(1,)]
    assert reader.projection.events_read == read, "the tables were kept"


def test_what_duckdb_dropped_before_ends_a_long_query_as_well(
    reader: RunsReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the handler is called at the end of a short query, which then succeeds."""
    error = SystemExit(143)
    catch_up = runner.catch_up

    def then_a_signal(*given: Any, **options: Any) -> int:
        with suppress(SystemExit):
            os.kill(os.getpid(), signal.SIGTERM)
        return catch_up(*given, **options)

    monkeypatch.setattr(own_projection, "catch_up", then_a_signal)
    with handler(raising(error)), pytest.raises(SystemExit) as raised:
        reader.sql(AGGREGATE)
    assert raised.value is error


def test_a_handler_that_raises_nothing_ends_no_question(reader: RunsReader) -> None:
    called = []
    timer = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGTERM])
    with handler(lambda: called.append("handler")):
        timer.start()
        answer = reader.sql(A_SECOND)
        timer.join()
    assert called == ["handler"]
    assert answer.fetchall() == [(42_857_143,)]


def test_handlers_are_the_programs_own_again_afterwards() -> None:
    def own(*_: object) -> None: ...

    def placed_by_a_handler(*_: object) -> None: ...

    def placing(*_: object) -> None:
        signal.signal(signal.SIGUSR2, placed_by_a_handler)

    before = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        signal.signal(signal.SIGUSR1, own)
        signal.signal(signal.SIGUSR2, placing)
        with raising_what_handlers_raise():
            os.kill(os.getpid(), signal.SIGUSR2)
        assert signal.getsignal(signal.SIGUSR1) is own
        assert signal.getsignal(signal.SIGUSR2) is placed_by_a_handler
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_a_handler_raises_is_not_lost_where_all_errors_are_passed_over() -> None:
    error = TimeoutError("the alarm")
    with (
        handler(raising(error)),
        pytest.raises(TimeoutError) as raised,
        raising_what_handlers_raise(),
        suppress(OSError),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert raised.value is error


def test_a_handler_is_known_as_the_programs_own_within_a_question(reader: RunsReader) -> None:
    def own(*_: object) -> None: ...

    with handler(own):
        before = signal.getsignal(signal.SIGTERM)
        assert handler_of(signal.SIGTERM) is before
        seen = reader.projection.ask(
            lambda tables: (signal.getsignal(signal.SIGTERM), handler_of(signal.SIGTERM))
        )
    assert seen[0] is not before
    assert seen[1] is before
