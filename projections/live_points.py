"""Points of runs that are not in the log yet, beside those of the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from runlore.projections.arrow_tables import table_of_arrays

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class LivePoints(NamedTuple):
    """Numbers of one scalar metric of a run that are not in the log, in the order of logging.

    All arrays have shape (n,): `steps` and `times` (µs since 1970 UTC) int64, `values` float64.
    """

    run_id: str
    metric: str
    steps: Ints
    times: Ints
    values: Floats


_NAME: Final = "live_points"
_AFTER_ALL: Final = 2**30  # A place after those of the last batch in the log.
_BOTH: Final = """
(SELECT series_no, run_no, step, time, value, position, idx FROM {points}
 UNION ALL SELECT series_no, run_no, step, time, value, {position:d}, idx FROM live_points)
"""


@contextmanager
def together(
    connection: duckdb.DuckDBPyConnection,
    points: str,
    live: Sequence[LivePoints],
    runs: Mapping[str, int],
    series: Mapping[str, int],
    position: int,
) -> Iterator[str]:
    """The source of points and of live ones, which come last; `runs` and `series` number them."""
    known = [one for one in live if one.run_id in runs and one.metric in series]
    if not known:
        yield points
        return
    lengths = [len(one.steps) for one in known]
    columns = {
        "series_no": np.repeat([series[one.metric] for one in known], lengths),
        "run_no": np.repeat([runs[one.run_id] for one in known], lengths),
        "step": np.concatenate([one.steps for one in known]),
        "time": np.concatenate([one.times for one in known]),
        "value": np.concatenate([one.values for one in known]),
        "idx": _AFTER_ALL + np.arange(sum(lengths)),
    }
    connection.register(_NAME, table_of_arrays(columns))
    try:
        yield _BOTH.format(points=points, position=position)
    finally:
        connection.unregister(_NAME)
