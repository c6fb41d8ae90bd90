"""The lists of runs as a plain Python model gives them: dicts, loops and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runlore.domain.fact import Fact
from runlore.domain.ids import run_id_of
from runlore.projections.rows import ExperimentRow, RunRow
from runlore.storage.codec import fact_of
from runlore.storage.event_log import EventLog
from runlore.storage.log_query import LogQuery

Pairs = dict[str, str | None]


@dataclass
class ModelExperiment:
    experiment_id: str
    name: str
    created_at: int
    archived_at: int | None = None
    tags: Pairs = field(default_factory=dict)
    runs: int = 0

    def row(self) -> ExperimentRow:
        return ExperimentRow(self.experiment_id, self.name, self.created_at, self.archived_at)


@dataclass
class ModelRun:
    sequence: int
    run_id: str
    experiment: ModelExperiment
    number: int
    parent: ModelRun | None
    run_type: str | None
    status: str
    created_at: int
    started_at: int | None
    tags: Pairs
    properties: Pairs
    awaited: str | None = None
    archived: bool = False

    @property
    def root(self) -> ModelRun:
        return self.parent.root if self.parent else self

    def ancestors(self) -> Iterator[ModelRun]:
        if self.parent:
            yield self.parent
            yield from self.parent.ancestors()

    def row(self) -> RunRow:
        return RunRow(
            self.run_id,
            self.experiment.name,
            self.experiment.experiment_id,
            self.number,
            self.parent.run_id if self.parent else None,
            self.root.run_id,
            self.run_type,
            self.status,
            self.created_at,
        )


class Model:
    """A log's runs and experiments, up to a position."""

    def __init__(self, log: EventLog, upto_position: int | None = None) -> None:
        self.experiments: dict[str, ModelExperiment] = {}
        self.runs: dict[str, ModelRun] = {}
        for row in log.read_log(LogQuery(limit=1_000_000, upto_position=upto_position)):
            self._happen(fact_of(row))

    def run_rows(
        self,
        *,
        experiment_id: str | None,
        include_children: bool,
        include_archived: bool = False,
        **wanted: Any,
    ) -> list[RunRow]:
        """What `RunsReader.runs` should give."""
        return _rows(
            run
            for run in self.runs.values()
            if experiment_id in (None, run.experiment.experiment_id)
            and (include_children or run.parent is None)
            and (include_archived or not run.archived)
            and _fits(run, **wanted)
        )

    def children(self, run_id: str, *, recursive: bool, **wanted: Any) -> list[RunRow]:
        """What `RunsReader.children` should give."""
        above = self.runs[run_id]
        return _rows(
            run
            for run in self.runs.values()
            if (above in run.ancestors() if recursive else run.parent is above)
            and _fits(run, **wanted)
        )

    def experiment_rows(
        self, *, view: str, name: str | None = None, tags: Any = None
    ) -> list[ExperimentRow]:
        """What `RunsReader.experiments` should give."""
        return [
            one.row()
            for one in self.experiments.values()
            if view == "all" or (one.archived_at is None) == (view == "active")
            if name in (None, one.name)
            if _has(one.tags, tags)
        ]

    def _happen(self, fact: Fact) -> None:
        data = fact.data
        if data is None:
            return
        kind, _, what = fact.topic.partition(".")
        if kind == "experiment":
            self._happen_to_experiment(what, data, fact)
        elif what == "created":
            self._create_run(data, fact)
        elif run := self.runs.get(run_id_of(fact.stream) or ""):
            _happen_to_run(run, what, data, fact)

    def _happen_to_experiment(self, what: str, data: Mapping[str, Any], fact: Fact) -> None:
        known = self.experiments.get(data["experiment_id"])
        if known is None and what in ("created", "renamed"):
            at = data.get("created_at", fact.observed_at)
            created = ModelExperiment(data["experiment_id"], data["name"], at)
            created.tags.update(data.get("tags", {}))
            self.experiments[created.experiment_id] = created
        elif known is None:
            pass
        elif what == "renamed":
            if known.name != data["name"]:
                known.name, known.archived_at = data["name"], None
        elif what in ("archived", "reactivated"):
            known.archived_at = fact.observed_at if what == "archived" else None
        elif what == "tag_set":
            known.tags[data["key"]] = data["value"]
        elif what == "tag_removed":
            known.tags.pop(data["key"], None)

    def _create_run(self, data: Mapping[str, Any], fact: Fact) -> None:
        if data["run_id"] in self.runs:
            return
        id_ = data["experiment_id"]
        new = ModelExperiment(id_, data["experiment_name"], fact.observed_at)
        experiment = self.experiments.setdefault(id_, new)
        experiment.runs += 1
        parent = self.runs.get(data["parent_id"] or "")
        created = self.runs[data["run_id"]] = ModelRun(
            len(self.runs),
            data["run_id"],
            experiment,
            experiment.runs,
            parent,
            data["run_type"],
            data["status"],
            fact.observed_at,
            _start(data, fact),
            dict(data["tags"]),
            dict(data["properties"]),
            None if parent or data["parent_id"] == data["run_id"] else data["parent_id"],
        )
        for run in self.runs.values():
            if run.awaited == created.run_id:
                run.awaited = None
                if created.root is not run:
                    run.parent = created


def _start(data: Mapping[str, Any], fact: Fact) -> int | None:
    if data["given_at"] is not None:
        given: int = data["given_at"]
        return given
    return fact.observed_at if data["status"] == "Running" else None


_STATUSES = {
    "started": "Running",
    "resumed": "Running",
    "cancel_requested": "CancelRequested",
    "completed": "Completed",
    "failed": "Failed",
    "canceled": "Canceled",
    "lost": "Failed",
}


def _happen_to_run(run: ModelRun, what: str, data: Mapping[str, Any], fact: Fact) -> None:
    if what in _STATUSES or what in ("status_changed", "found"):
        run.status = _STATUSES.get(what) or data["status"]
        if run.status == "Running" and run.started_at is None:
            run.started_at = fact.observed_at
    elif what in ("archived", "reactivated"):
        run.archived = what == "archived"
    elif what == "tag_set":
        run.tags[data["key"]] = data["value"]
    elif what == "tag_removed":
        run.tags.pop(data["key"], None)
    elif what == "property_added":
        run.properties.setdefault(data["key"], data["value"])
    elif what == "property_corrected":
        run.properties[data["key"]] = data["value"]


def _rows(runs: Iterator[ModelRun]) -> list[RunRow]:
    """Newest start first, ties by creation, the later first."""

    def newest(run: ModelRun) -> tuple[int, int]:
        return run.created_at if run.started_at is None else run.started_at, run.sequence

    return [run.row() for run in sorted(runs, key=newest, reverse=True)]


def _fits(run: ModelRun, type: Any, tags: Any, properties: Any, statuses: Any) -> bool:
    return (
        type in (None, run.run_type, run.properties.get("azureml.runsource"))
        and (not statuses or run.status in statuses)
        and _has(run.tags, tags)
        and _has(run.properties, properties)
    )


def _has(held: Pairs, wanted: Any) -> bool:
    """A text: the key exists; several: all do; a dict: its items are among those held."""
    if wanted is None:
        return True
    if isinstance(wanted, dict):
        return wanted.items() <= held.items()
    return ({wanted} if isinstance(wanted, str) else set(wanted)) <= held.keys()
