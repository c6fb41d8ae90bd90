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


class ExperimentActivity(NamedTuple):
    """The runs of an experiment: how many, how many have not ended or have failed.

    `last_begun_at` is when the newest started, or was created, in µs since 1970 UTC.
    """

    runs: int
    active: int
    failed: int
    last_begun_at: int


class RecordRow(NamedTuple):
    """All columns of a run; times are text; error, definition and warnings are
    JSON. Tags and properties are keys and their values, by key."""

    run_id: str
    experiment: str
    experiment_id: str
    number: int
    parent_id: str | None
    root_id: str
    run_type: str | None
    target: str | None
    name: str | None
    created: str
    started: str | None
    ended: str | None
    status: str
    status_detail: str | None
    display_name: str | None
    description: str | None
    error: str | None
    actor: str | None
    writer: str | None
    definition: str | None
    repeats: str | None
    warnings: list[str] | None
    tag_keys: list[str] | None
    tag_values: list[str | None] | None
    property_keys: list[str] | None
    property_values: list[str | None] | None
    erased: bool
