"""The SQL that asks for events, in the dialects of the databases that logs are in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from runlore.storage.errors import LogCorrupt
from runlore.storage.log_query import LogQuery

Params = list[int | str | None]
Row = TypeVar("Row", bound=tuple[Any, ...])


class LogTable(NamedTuple):
    """A table of events, as SQL names it; how its driver marks parameters, and what no limit is."""

    name: str
    placeholder: str
    no_limit: int | None

    def select(self, columns: str, query: LogQuery) -> tuple[str, Params]:
        """A statement for columns of the events asked for, and its parameters.

        Its rows come by increasing position, except in unlimited queries of some streams: reading
        these through the index of streams and sorting them afterwards is faster.
        """
        statement, params = self._select(columns, query)
        return statement.replace("?", self.placeholder), params

    def _select(self, columns: str, query: LogQuery) -> tuple[str, Params]:
        streams = _conditions_of_streams(query)
        limited = query.limit is not None or not streams
        where, params = _conditions(query, always_after=limited)
        select = f"SELECT {columns} FROM {self.name} "
        if limited:
            if streams:
                where.append(f"({' OR '.join(condition for condition, _ in streams)})")
                params += [param for _, bounds in streams for param in bounds]
            params.append(self.no_limit if query.limit is None else query.limit)
            return f"{select}{_where(where)}ORDER BY notification_id LIMIT ?", params
        branches = [f"{select}{_where([condition, *where])}" for condition, _ in streams]
        return "UNION ALL ".join(branches), [
            param for _, bounds in streams for param in (*bounds, *params)
        ]


def _where(conditions: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(conditions)} " if conditions else ""


def _conditions(query: LogQuery, *, always_after: bool) -> tuple[list[str], Params]:
    """The conditions other than those on streams, and their parameters."""
    where: list[str] = []
    params: Params = []
    if always_after or query.after_position:
        where.append("notification_id > ?")
        params.append(query.after_position)
    if query.upto_position is not None:
        where.append("notification_id <= ?")
        params.append(query.upto_position)
    if query.topics:
        where.append(f"topic IN ({', '.join('?' * len(query.topics))})")
        params.extend(query.topics)
    return where, params


def _conditions_of_streams(query: LogQuery) -> list[tuple[str, tuple[str, ...]]]:
    """Conditions, one of which must hold, each with its parameters; none for all streams."""
    conditions: list[tuple[str, tuple[str, ...]]] = []
    if query.under is not None:
        conditions = [("originator_id = ?", (query.under,)), _begins_with(f"{query.under}/")]
    if query.prefix is not None:
        condition, bounds = _begins_with(query.prefix)
        conditions = [
            (f"{other} AND {condition}", (*params, *bounds)) for other, params in conditions
        ] or [(condition, bounds)]
    return conditions


def _begins_with(prefix: str) -> tuple[str, tuple[str, str]]:
    beyond = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return "originator_id >= ? AND originator_id < ?", (prefix, beyond)


def in_order(rows: list[Row], query: LogQuery) -> list[Row]:
    """The rows of a `select`, each of which begins with its position, in the log's order.

    Raises LogCorrupt if a damaged file gives them in another: whoever reads on after the last one
    would never come to an end.
    """
    if query.limit is None and not query.all_streams:
        rows.sort()
    else:
        check_order([row[0] for row in rows], query.after_position)
    return rows


def check_order(positions: list[int], after: int) -> None:
    """Raise LogCorrupt unless the positions of a read in order, which begins after one, ascend."""
    if positions and (positions[0] <= after or positions != sorted(positions)):
        raise LogCorrupt(
            "the table of events is damaged: a read in order does not return its positions in "
            "order; restore the log from a copy"
        )
