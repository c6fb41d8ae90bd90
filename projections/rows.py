"""Light rows that queries give: enough to make a Run or an Experiment without another read."""

from __future__ import annotations

from typing import NamedTuple


class RunRow(NamedTuple):
    """A run as a list shows it. `created_at` is µs since 1970 UTC."""

    run_id: str
    experiment: str
    experiment_id: str
    number: int
    parent_id: str | None
    root_id: str
    run_type: str | None
    status: str
    created_at: int


class ExperimentRow(NamedTuple):
    """An experiment as a list shows it. `archived_at` is None while it is active."""

    experiment_id: str
    name: str
    created_at: int
    archived_at: int | None
