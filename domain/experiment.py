"""Experiment names: at most one active experiment has a name at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runlore.domain.command import BaseCommand
from runlore.domain.decision import Decision
from runlore.domain.errors import AlreadyExists, ExperimentNotFound, InvalidInput
from runlore.domain.events import (
    ExperimentArchived,
    ExperimentCreated,
    ExperimentReactivated,
    ExperimentRenamed,
    ExperimentTagRemoved,
    ExperimentTagSet,
)
from runlore.domain.fact import Fact
from runlore.domain.ids import check_experiment_name, experiment_stream
from runlore.domain.text import check_keys, check_new_pairs, check_order


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentState:
    """One experiment; `archived_at` (µs since 1970) is None while it is active.

    `renamed_to` is its next name, or None if it still has this one.
    """

    experiment_id: str
    name: str
    created_at: int
    archived_at: int | None = None
    renamed_to: str | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def has_name(self) -> bool:
        """Whether the experiment is active under this name."""
        return self.archived_at is None and self.renamed_to is None


@dataclass(frozen=True, slots=True)
class NameState:
    """All experiments that ever had a name, in order of creation, and the stream's version."""

    experiments: tuple[ExperimentState, ...] = ()
    version: int = 0

    @property
    def active(self) -> ExperimentState | None:
        """The experiment that has the name now, or None."""
        return next((e for e in self.experiments if e.has_name), None)

    def get(self, experiment_id: str) -> ExperimentState | None:
        """The experiment with this id, active or archived, or None."""
        return next((e for e in self.experiments if e.experiment_id == experiment_id), None)


class GetOrCreate(BaseCommand):
    """Create an experiment with this id, unless the name has an active one."""

    name: str
    experiment_id: str


class Archive(BaseCommand):
    """Hide the experiment and free its name."""

    experiment_id: str


class Reactivate(BaseCommand):
    """Give an archived experiment its name back."""

    experiment_id: str


class Rename(BaseCommand):
    """Give an active experiment another name, which no active one has.

    The decision is about the stream of the old name. The same event goes into the stream of the new
    one, in the same transaction, if `decide_arrival` allows it.
    """

    experiment_id: str
    name: str


class SetExperimentTags(BaseCommand):
    """Set, replace or, with None, make key-only each of the tags."""

    experiment_id: str
    tags: Mapping[str, str | None]


class RemoveExperimentTags(BaseCommand):
    """Remove tags; unknown keys are ignored."""

    experiment_id: str
    keys: Sequence[str]


Command = GetOrCreate | Archive | Reactivate | Rename | SetExperimentTags | RemoveExperimentTags


def decide(state: NameState, command: Command) -> Decision:
    """The events of a command about the experiments of one name."""
    if isinstance(command, GetOrCreate):
        check_experiment_name(command.name)
        if state.active is not None:
            return Decision()
        check_order(command.name, "experiment name")
        created = ExperimentCreated(experiment_id=command.experiment_id, name=command.name)
        return Decision((created,))
    held = state.get(command.experiment_id)
    if held is None:
        raise ExperimentNotFound(command.experiment_id, "this workspace")
    if held.renamed_to is not None:
        if command == Rename(held.experiment_id, held.renamed_to):
            return Decision()
        raise ExperimentNotFound(
            command.experiment_id, f"{held.name!r:.80}, as it is {held.renamed_to!r:.80} now"
        )
    match command:
        case Archive(experiment_id):
            if held.archived_at is not None:
                return Decision()
            return Decision((ExperimentArchived(experiment_id=experiment_id),))
        case Reactivate(experiment_id):
            return _reactivate(state, held, experiment_id)
        case Rename(_, name):
            check_order(check_experiment_name(name), "experiment name")
            return _rename(held, name)
        case SetExperimentTags(experiment_id, tags):
            return Decision(
                tuple(
                    ExperimentTagSet(experiment_id=experiment_id, key=key, value=value)
                    for key, value in check_new_pairs(tags, "tag").items()
                    if key not in held.tags or held.tags[key] != value
                )
            )
        case RemoveExperimentTags(experiment_id, keys):
            return Decision(
                tuple(
                    ExperimentTagRemoved(experiment_id=experiment_id, key=key)
                    for key in check_keys(keys, "tag")
                    if key in held.tags
                )
            )


def _reactivate(state: NameState, held: ExperimentState, experiment_id: str) -> Decision:
    if held.archived_at is None:
        return Decision()
    if state.active is not None:
        raise AlreadyExists(
            f"experiment {held.name!r} ({experiment_id}) cannot be reactivated: its name is "
            f"taken by {state.active.experiment_id}; archive that experiment first"
        )
    return Decision((ExperimentReactivated(experiment_id=experiment_id),))


def _rename(held: ExperimentState, name: str) -> Decision:
    if held.archived_at is not None:
        raise InvalidInput(
            f"experiment {held.name!r:.80} is archived and cannot be renamed; reactivate it first"
        )
    if held.name == name:
        return Decision()
    renamed = ExperimentRenamed(
        experiment_id=held.experiment_id,
        name=name,
        previous=held.name,
        created_at=held.created_at,
        tags=dict(held.tags),
    )
    return Decision((renamed,))


def decide_arrival(state: NameState, renamed: ExperimentRenamed) -> Decision:
    """The same event in the stream of the new name. Raises AlreadyExists if the name is taken."""
    if state.active is not None:
        raise AlreadyExists(
            f"experiment {renamed.previous!r:.80} cannot be renamed to {renamed.name!r:.80}, which "
            f"is the name of {state.active.experiment_id}; archive or rename that experiment first"
        )
    return Decision((renamed,))


def fold(state: NameState, facts: Iterable[Fact]) -> NameState:
    """The state after the facts of the stream `experiment/<name>`, in their order. Pure."""
    drafts: dict[str, dict[str, Any]] = {
        e.experiment_id: {
            "experiment_id": e.experiment_id,
            "name": e.name,
            "created_at": e.created_at,
            "archived_at": e.archived_at,
            "renamed_to": e.renamed_to,
            "tags": dict(e.tags),
        }
        for e in state.experiments
    }
    version = state.version
    for fact in facts:
        version = fact.version
        apply = _APPLY.get(fact.topic)
        if apply is not None and fact.data is not None:
            apply(drafts.setdefault(fact.data["experiment_id"], {}), fact.data, fact)
    return NameState(tuple(ExperimentState(**draft) for draft in drafts.values()), version)


def _created(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    draft.update(data, created_at=fact.observed_at, archived_at=None, tags={})


def _renamed(draft: dict[str, Any], data: dict[str, Any], fact: Fact) -> None:
    """Leave under the old name, or arrive under the new one, as the fact's stream says."""
    if fact.stream == experiment_stream(data["previous"]):
        draft["renamed_to"] = data["name"]
        return
    draft.update(
        experiment_id=data["experiment_id"],
        name=data["name"],
        created_at=data["created_at"],
        archived_at=None,
        renamed_to=None,
        tags=dict(data["tags"]),
    )


_APPLY: Final[Mapping[str, Callable[[dict[str, Any], dict[str, Any], Fact], None]]] = {
    ExperimentCreated.topic: _created,
    ExperimentArchived.topic: lambda draft, data, fact: draft.update(archived_at=fact.observed_at),
    ExperimentReactivated.topic: lambda draft, data, fact: draft.update(archived_at=None),
    ExperimentRenamed.topic: _renamed,
    ExperimentTagSet.topic: lambda draft, data, fact: draft["tags"].update(
        {data["key"]: data["value"]}
    ),
    ExperimentTagRemoved.topic: lambda draft, data, fact: draft["tags"].pop(data["key"], None),
}
