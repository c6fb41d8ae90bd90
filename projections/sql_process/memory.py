"""The memory of a process: what it has, and a bound on what it may allocate.

Linux counts every private writable mapping under RLIMIT_DATA, so an allocation beyond it fails
inside DuckDB, which says so and goes on. Elsewhere neither the figures nor the bound exist.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runlore.projections.query_limits import QueryLimits

_RESIDENT: Final = 1  # Fields of /proc/PID/statm, in pages.
_DATA: Final = 5


def resident_nbytes(pid: int | str = "self") -> int:
    """The resident memory of a process; 0 if it has ended, or if the system does not tell."""
    return _statm(pid, _RESIDENT)


@contextmanager
def data_limited(limits: QueryLimits) -> Iterator[None]:
    """Inside the block, allocations of this process fail before it is too large."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    # What is reserved and not yet used does not count as resident, so only growth is bounded.
    room = max(0, limits.of_data_nbytes - resident_nbytes())
    bound = _statm("self", _DATA) + room
    held = [value for value in (bound, *before) if value != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(held), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _statm(pid: int | str, field: int) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()
    except OSError:
        return 0
    return int(pages[field]) * resource.getpagesize() if pages else 0
