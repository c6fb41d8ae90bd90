"""The values of a metric as a short table of a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runlore.shown.tables import shown_table

_ENDS: Final = 10


def values_table(
    name: str,
    steps: NDArray[np.int64],
    times: NDArray[np.datetime64],
    columns: Mapping[str, NDArray[Any]],
) -> str:
    """The first and last rows of a metric's values, with their steps and times."""
    n = len(steps)
    places = np.arange(n) if n <= 2 * _ENDS else np.r_[0:_ENDS, n - _ENDS : n]
    moments = times[places].astype("datetime64[ms]").astype(str).tolist()
    cells = [steps[places].tolist(), [moment.replace("T", " ") for moment in moments]]
    cells += [column[places].tolist() for column in columns.values()]
    rows = list(zip(*cells, strict=True))
    caption = name if n == len(rows) else f"{name}: the first and the last {_ENDS}"
    return shown_table(("step", "time (UTC)", *columns), rows, total=n, caption=caption)
