"""The base of projections: tables, and how a batch of facts changes them.

A projection is data plus three functions: the topics it handles (none means all), `init`, which
makes its tables, and `apply`, which adds a batch. The runner commits the work of `apply` together
with the applied position, so a batch takes effect once, however often it is delivered.

The `eventsourcing` library's own runner can drive it as well, one event at a time, through
`process_event`, which commits a batch of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from runlore.domain.fact import Fact
from runlore.projections.driver import duckdb
from runlore.projections.duckdb_view import DuckDBView, Tracked
from runlore.storage.driver_errors import ProgrammingError


class DataErased(Exception):
    """The tables hold data that has since been erased from the log: they must be rebuilt."""


class Projection(ABC):
    """Base of our projections, and of yours: see docs/projections.md for one in 20 lines."""

    name = "projection"
    """Begins the variables of its settings under the library's runner; else that of the class."""
    topics: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        if "name" not in cls.__dict__:
            cls.name = cls.__name__

    def __init__(self, view: DuckDBView) -> None:
        self.view = view
        with view.transaction() as connection:
            self.init(connection)

    @abstractmethod
    def init(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Makes the tables, if they are not there yet."""

    @abstractmethod
    def apply(self, facts: Sequence[Fact], connection: duckdb.DuckDBPyConnection) -> None:
        """Adds a batch, in the order of positions, inside an open transaction."""

    def prepare(
        self, facts: Sequence[Fact], wait: Callable[[], None]
    ) -> Callable[[duckdb.DuckDBPyConnection], None]:
        """`apply` in two steps: this one, and the function that it returns.

        Override it if the Python work is worth doing while DuckDB writes the previous batch in
        another thread; `wait` returns when that batch is written.
        """
        return partial(self.apply, facts)

    def forget(self) -> None:  # noqa: B027  # most prepare nothing
        """Forgets prepared batches that may not be written, because a batch failed."""

    def process_event(self, domain_event: Any, tracking: Tracked) -> None:
        """Applies one event from the library's runner: an `Envelope` that came with its record."""
        fact: Fact | None = getattr(domain_event, "fact", None)
        if fact is None:
            raise ProgrammingError(
                f"a {type(domain_event).__name__} does not say how it was recorded; give the "
                "application PERSISTENCE_MODULE=runlore.storage.sqlite and "
                "MAPPER_TOPIC=runlore.storage.mapper:PydanticMsgpackMapper"
            )
        self.commit((fact,), tracking)

    def commit(self, facts: Sequence[Fact], tracking: Tracked, leaf: bytes = b"") -> None:
        """Applies a batch and the position up to which it was read, in one transaction.

        Facts at or before the applied position are skipped, so a batch that overlaps an earlier
        one adds only its new facts. Raises IntegrityError, and changes nothing, if `tracking`
        was reached already.
        """
        with self.view.lock:
            applied = self.view.max_tracking_id(tracking.application_name) or 0
            try:
                wanted = self.wanted([fact for fact in facts if fact.position > applied])
                write = self.prepare(wanted, _written_already) if wanted else None
                self.write(write, tracking, leaf)
            except BaseException:
                self.forget()
                raise

    def wanted(self, facts: Sequence[Fact]) -> Sequence[Fact]:
        """The facts whose topic the projection handles."""
        if not self.topics:
            return facts
        return [fact for fact in facts if fact.topic in self.topics]

    def write(
        self,
        prepared: Callable[[duckdb.DuckDBPyConnection], None] | None,
        tracking: Tracked,
        leaf: bytes,
    ) -> None:
        """Writes the prepared batch and moves the applied position, in one transaction."""
        with self.view.transaction() as connection:
            self.view.track(connection, tracking, leaf)
            if prepared is not None:
                prepared(connection)


def _written_already() -> None:
    pass
