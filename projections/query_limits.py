"""How long a query may run and how much memory it may take, and the errors beyond that.

DuckDB looks at its own limits between the chunks of a query, and one value may take any time and
any memory. So these limits bind a whole process; `docs/sql.md` says what holds where.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Final

from runlore.domain.errors import InvalidInput, InvalidType, UserError
from runlore.domain.sizes import nbytes_of, shown_size

MEMORY_NBYTES: Final = 1_000_000_000
LEAST_OF_PROCESS_NBYTES: Final = 200_000_000
"""Python, DuckDB and the open tables alone take a hundred MB."""

LEAST_OF_DUCKDB_NBYTES: Final = 100_000_000


class QueryTimedOut(UserError):
    """The query did not end within its time limit; it was stopped."""

    def __init__(self, query: str, timeout_s: float) -> None:
        super().__init__(
            f"sql() stopped {query.strip()[:200]!r} after {timeout_s:g} s, its time limit; narrow "
            f"the query, or give it more time: timeout_s={2 * timeout_s:g} (in a shell --timeout)"
        )
        self.query = query
        self.timeout_s = timeout_s


class QueryTooLarge(UserError):
    """The query, or its result, needs more memory than its limit; it was stopped."""

    def __init__(self, query: str, memory_nbytes: int) -> None:
        more = shown_size(2 * memory_nbytes).replace(" ", "")
        super().__init__(
            f"sql() stopped {query.strip()[:200]!r}: it needs more memory than its limit of "
            f"{shown_size(memory_nbytes)}; aggregate, ask for fewer rows, or give it more: "
            f"memory_limit={more!r} (in a shell --memory-limit)"
        )
        self.query = query
        self.memory_nbytes = memory_nbytes


class QueryStopped(UserError):
    """The query was stopped by somebody before it ended."""

    def __init__(self, query: str) -> None:
        super().__init__(f"{query.strip()[:200]!r} was stopped before it ended; ask it again")
        self.query = query


@dataclass(frozen=True)
class QueryLimits:
    """The limits of one query; None is no limit of time."""

    timeout_s: float | None = None
    memory_nbytes: int = MEMORY_NBYTES

    @classmethod
    def of(
        cls, timeout_s: object = None, memory_limit: object = None, *, of_process: bool
    ) -> QueryLimits:
        """Limits as users give them: seconds, and bytes or a size such as `2GB`.

        The memory is that of a whole process, or what DuckDB fills before it spills. Raises
        InvalidInput or InvalidType.
        """
        least = LEAST_OF_PROCESS_NBYTES if of_process else LEAST_OF_DUCKDB_NBYTES
        return cls(_seconds(timeout_s), _nbytes(memory_limit, least))

    @property
    def of_duckdb_nbytes(self) -> int:
        """The part of a limited process that DuckDB fills before it spills to a file."""
        return self.memory_nbytes * 3 // 4

    @property
    def of_data_nbytes(self) -> int:
        """What the process may allocate, before allocations fail."""
        return self.memory_nbytes * 5 // 4

    @property
    def of_resident_nbytes(self) -> int:
        """The resident memory at which the process is killed."""
        return self.memory_nbytes * 7 // 5


NO_LIMITS: Final = QueryLimits()


def is_out_of_memory(reason: str) -> bool:
    """Whether memory was missing, as DuckDB or Python say it."""
    return any(sign in reason for sign in _SIGNS)


_SIGNS: Final = (
    "Out of Memory Error",
    "bad allocation",
    "bad_alloc",
    "MemoryError",
    "can't start new thread",
)


def _seconds(given: object) -> float | None:
    if given is None:
        return None
    if not isinstance(given, Real) or isinstance(given, bool):
        raise InvalidType(f"timeout_s is {given!r:.80}; give a number of seconds")
    seconds = float(given)
    if not (seconds > 0 and math.isfinite(seconds)):
        raise InvalidInput(f"timeout_s is {seconds:g}; give a positive number of seconds, or None")
    return seconds


def _nbytes(given: object, least: int) -> int:
    if given is None:
        return MEMORY_NBYTES
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise InvalidType(f"memory_limit is {given!r:.80}; give bytes, or a size such as '2GB'")
    nbytes = nbytes_of(given) if isinstance(given, str) else given
    if nbytes is None:
        raise InvalidInput(f"memory_limit is {given!r:.80}; give bytes, or a size such as '2GB'")
    if nbytes < least:
        raise InvalidInput(
            f"memory_limit is {given!r:.80}; a query needs at least {shown_size(least)}"
        )
    return nbytes
