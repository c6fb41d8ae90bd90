"""The tables of an open database, as a question finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runlore.projections.event_payloads import EventPayloads
from runlore.projections.projection_of_runs import RunsProjection
from runlore.projections.queries import experiment_number
from runlore.projections.runner import APPLICATION
from runlore.storage.codec import fact_of
from runlore.storage.event_log import EventLog
from runlore.storage.log_query import LogQuery

if TYPE_CHECKING:
    from runlore.projections.user_sql import Question


class OpenTables:
    """The tables, caught up with their log while a question is asked.

    Questions cache facts about the database here; the cache ends when it is closed.
    """

    def __init__(self, projection: RunsProjection, log: EventLog) -> None:
        self.projection = projection
        self.connection = projection.view.connection
        self.log = log
        self.checked_queries: dict[str, Question] = {}
        self._experiment_nos: dict[str, int] = {}

    @property
    def position(self) -> int:
        """The applied position."""
        return self.projection.view.applied(APPLICATION)[0]

    @cached_property
    def payloads(self) -> EventPayloads:
        """The view `events`, which reads payloads from the log."""
        return EventPayloads(self.connection, self.log)

    def check_segments(self) -> None:
        """Raises duckdb.Error if a segment is damaged; reads each segment once."""
        self.projection.check_segments()

    def read_all(self) -> None:
        """Reads every table and segment to its end. Raises duckdb.Error if one is damaged."""
        self.check_segments()
        names = self.connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'store'"
        ).fetchall()
        for (name,) in names:
            self.connection.execute(f"SELECT count(hash(t)) FROM store.{name} t").fetchall()

    def experiment_no(self, experiment_id: str | None) -> int | None:
        """An experiment's number; 0, which none has, if it is unknown; None for None."""
        if experiment_id is None:
            return None
        number = self._experiment_nos.get(experiment_id) or experiment_number(
            self.connection, experiment_id
        )
        if number:
            self._experiment_nos[experiment_id] = number
        return number

    def described_at(self, position: int) -> Sequence[Mapping[str, Any]]:
        """The series that the batch at a position describes."""
        (row,) = self.log.read_log(LogQuery.at(position))
        data = fact_of(row).data
        return () if data is None else data["series"]
