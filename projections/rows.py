"""Light rows that queries give: enough to make a Run or an Experiment without another read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class FirstRun(NamedTuple):
    """The run that was created first; `position` is that of its first event, `created_at` in µs."""

    run_id: str
    position: int
    created_at: int


class RunMarks(NamedTuple):
    """The experiment of a run, and people's marks: `colour` as its tag says it, None for none."""

    experiment_id: str
    colour: str | None
    starred: bool


class ExperimentRow(NamedTuple):
    """An experiment as a list shows it. `archived_at` is None while it is active."""

    experiment_id: str
    name: str
    created_at: int
    archived_at: int | None


class RecordRow(NamedTuple):
    """All that a list shows of a run; times are text, error and definition are JSON.

    Tags and properties are in order of their keys.
    """

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
    erased: bool
    warnings: Sequence[Mapping[str, str]]
    tags: dict[str, str | None]
    properties: dict[str, str | None]
