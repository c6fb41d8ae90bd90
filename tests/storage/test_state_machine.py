"""The memory log, the SQLite log and plain dicts, driven together: all three must agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from runlore.domain import experiment, run, run_commands, run_state
from runlore.domain.decision import Decision
from runlore.domain.errors import (
    AlreadyExists,
    ConfigConflict,
    ExperimentNotFound,
    InvalidInput,
    PropertyConflict,
    RunEnded,
    RunloreError,
    TransitionRefused,
)
from runlore.domain.events import ExperimentRenamed, WriterOpened
from runlore.domain.ids import experiment_stream, run_stream
from runlore.domain.run_state import RunState
from runlore.domain.status import TERMINAL, Status, may_follow
from runlore.storage.database import Database
from runlore.storage.event_log import EventLog
from runlore.storage.journal import Journal, Pending, StreamState
from runlore.storage.memory_log import MemoryLog
from runlore.storage.sqlite_log import SqliteLog
from runlore.testing.logs import Clock, check_head
from tests.examples import few
from tests.strategies import few_keys, few_pairs, keys, statuses

pytestmark = pytest.mark.slow

WRITERS = ("ann", "bob")
writers = st.sampled_from(WRITERS)
names = st.sampled_from(["lab", "field"])
ids = st.sampled_from(["l1", "l2", "l3", "f1", "f2"])
small_configs = st.dictionaries(few_keys, st.integers(0, 1), max_size=3)


@dataclass
class RunModel:
    """A run as a person would keep it on paper."""

    status: Status
    display_name: str | None = None
    tags: dict[str, str | None] = field(default_factory=dict)
    properties: dict[str, str | None] = field(default_factory=dict)
    refusals: frozenset[tuple[Any, ...]] = frozenset()
    config: dict[str, int] = field(default_factory=dict)
    archived: bool = False
    before_loss: Status | None = None
    rewinds: tuple[int, ...] = ()
    pauses: int = 0
    born_ended: bool = False

    def copy(self) -> RunModel:
        return replace(
            self,
            tags=dict(self.tags),
            properties=dict(self.properties),
            config=dict(self.config),
        )


@dataclass
class ExperimentModel:
    id: str
    active: bool = True
    renamed_to: str | None = None
    tags: dict[str, str | None] = field(default_factory=dict)


class Store:
    """One log with two writers, who know of each other only what they read."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.journals = {name: Journal(log, opened_by(name)) for name in WRITERS}
        self.known: dict[tuple[str, str], StreamState[Any]] = {}

    def change(
        self, writer: str, stream: str, fold: Any, empty: Any, decide: Callable[..., Decision]
    ) -> type[RunloreError] | None:
        """The type of the error, or None for a success."""
        journal = self.journals[writer]
        folded = self.known.setdefault((writer, stream), StreamState(stream, fold, empty))
        try:
            journal.change(folded, lambda state: decide(state, journal.writer_id))
        except RunloreError as error:
            return type(error)
        return None

    def run(self, run_id: str, upto_position: int | None = None) -> RunState | None:
        facts = self.journals["ann"].facts(run_stream(run_id), upto_position=upto_position)
        return run_state.fold(None, facts)


def opened_by(actor: str) -> Callable[[], WriterOpened]:
    opened = WriterOpened(
        actor=actor, host="h", boot_id="b", pid=1, process="p", client_version="0"
    )
    return lambda: opened


class Agreement(RuleBasedStateMachine):
    """Every rule asks the same of both logs and of the model."""

    runs: Bundle[str] = Bundle("runs")
    moments: Bundle[tuple[int, dict[str, RunModel]]] = Bundle("moments")

    def new_clock(self) -> Clock:
        """The clock of both logs."""
        return Clock()

    def new_log(self) -> EventLog:
        """The log that is compared with one in memory."""
        sqlite = SqliteLog(Database(":memory:"), clock=self.clock)
        sqlite.create_table()
        return sqlite

    @initialize()
    def open(self) -> None:
        self.clock = self.new_clock()
        self.stores = [Store(MemoryLog(clock=self.clock)), Store(self.new_log())]
        self.model: dict[str, RunModel] = {}
        self.experiments: dict[str, list[ExperimentModel]] = {"lab": [], "field": []}

    def ask_run(
        self,
        writer: str,
        run_id: str,
        command: run_commands.Command,
        expected: type[RunloreError] | None,
    ) -> None:
        found = {
            store.change(
                writer,
                run_stream(run_id),
                run_state.fold,
                None,
                lambda state, writer_id: run.decide(state, command, writer_id),
            )
            for store in self.stores
        }
        assert found == {expected}

    def ask_name(
        self,
        writer: str,
        name: str,
        command: experiment.Command,
        expected: type[RunloreError] | None,
    ) -> None:
        found = {
            store.change(
                writer,
                experiment_stream(name),
                experiment.fold,
                experiment.NameState(),
                lambda state, writer_id: experiment.decide(state, command),
            )
            for store in self.stores
        }
        assert found == {expected}

    # --- time -----------------------------------------------------------------------------

    @rule(microseconds=st.integers(-1_000, 1_000))
    def turn_the_clock(self, microseconds: int) -> None:
        self.clock.now += microseconds

    @rule(target=moments)
    def remember(self) -> Any:
        heads = {store.log.head().position for store in self.stores}
        assert len(heads) == 1
        return heads.pop(), {run_id: model.copy() for run_id, model in self.model.items()}

    @rule(moment=consumes(moments))
    def replay(self, moment: tuple[int, dict[str, RunModel]]) -> None:
        position, model = moment
        for store in self.stores:
            for run_id in self.model:
                check_run(store.run(run_id, upto_position=position), model.get(run_id))

    # --- runs -----------------------------------------------------------------------------

    @rule(target=runs, writer=writers, status=statuses, tags=few_pairs, properties=few_pairs)
    def create_run(
        self,
        writer: str,
        status: Status,
        tags: dict[str, str | None],
        properties: dict[str, str | None],
    ) -> Any:
        run_id = f"r{len(self.model)}"
        command = run_commands.CreateRun(
            run_id=run_id,
            experiment_id="e1",
            experiment_name="lab",
            status=status,
            root_id=run_id,
            tags=tags,
            properties=properties,
        )
        self.ask_run(writer, run_id, command, None)
        self.ask_run(WRITERS[0], run_id, command, AlreadyExists)
        self.model[run_id] = RunModel(
            status, None, dict(tags), dict(properties), born_ended=status in TERMINAL
        )
        return multiple(run_id)

    @rule(writer=writers, run_id=runs, tags=few_pairs)
    def set_tags(self, writer: str, run_id: str, tags: dict[str, str | None]) -> None:
        self.ask_run(writer, run_id, run_commands.SetTags(tags), None)
        self.model[run_id].tags.update(tags)

    @rule(writer=writers, run_id=runs, removed=st.lists(few_keys, max_size=3))
    def remove_tags(self, writer: str, run_id: str, removed: list[str]) -> None:
        self.ask_run(writer, run_id, run_commands.RemoveTags(removed), None)
        for key in removed:
            self.model[run_id].tags.pop(key, None)

    @rule(writer=writers, run_id=runs, name=keys)
    def set_display_name(self, writer: str, run_id: str, name: str) -> None:
        self.ask_run(writer, run_id, run_commands.SetDisplayName(name), None)
        self.model[run_id].display_name = name

    @rule(writer=writers, run_id=runs, properties=few_pairs)
    def add_properties(self, writer: str, run_id: str, properties: dict[str, str | None]) -> None:
        model = self.model[run_id]
        held = {key for key in properties if key in model.properties}
        conflicts = {key for key in held if model.properties[key] != properties[key]}
        expected = PropertyConflict if conflicts else None
        self.ask_run(writer, run_id, run_commands.AddProperties(properties), expected)
        if conflicts:
            model.refusals |= {
                (writer, "run.property_added", key, properties[key]) for key in conflicts
            }
        else:
            model.properties.update(properties)

    @rule(writer=writers, run_id=runs, status=statuses)
    def change_status(self, writer: str, run_id: str, status: Status) -> None:
        model = self.model[run_id]
        expected: type[RunloreError] | None = None
        if model.status is not status and not may_follow(model.status, status):
            expected = RunEnded if model.status in TERMINAL else TransitionRefused
        self.ask_run(writer, run_id, run_commands.ChangeStatus(status), expected)
        if expected is None:
            model.status = status
        else:
            model.refusals |= {(writer, TOPICS.get(status, "run.status_changed"), None, status)}

    @rule(writer=writers, run_id=runs, config=small_configs)
    def add_config(self, writer: str, run_id: str, config: dict[str, int]) -> None:
        model = self.model[run_id]
        conflicts = {key for key, value in config.items() if model.config.get(key, value) != value}
        expected = ConfigConflict if conflicts else None
        self.ask_run(writer, run_id, run_commands.AddConfig(config), expected)
        if conflicts:
            model.refusals |= {
                (writer, "run.config_added", key, str(config[key])) for key in conflicts
            }
        else:
            model.config.update(config)

    @rule(writer=writers, run_id=runs, key=few_keys, value=st.integers(0, 2))
    def correct_config(self, writer: str, run_id: str, key: str, value: int) -> None:
        model = self.model[run_id]
        expected = None if key in model.config else InvalidInput
        self.ask_run(writer, run_id, run_commands.CorrectConfig(key, value, "a typo"), expected)
        if expected is None:
            model.config[key] = value

    @rule(writer=writers, run_id=runs)
    def lose(self, writer: str, run_id: str) -> None:
        model = self.model[run_id]
        self.ask_run(writer, run_id, run_commands.LoseRun("its process died", {"pid": 7}), None)
        if model.status is Status.CANCEL_REQUESTED:
            model.status = Status.CANCELED
        elif model.status not in TERMINAL and model.status is not Status.QUEUED:
            model.before_loss, model.status = model.status, Status.FAILED

    @rule(writer=writers, run_id=runs)
    def find(self, writer: str, run_id: str) -> None:
        model = self.model[run_id]
        self.ask_run(writer, run_id, run_commands.FindRun(), None)
        if model.before_loss is not None:
            model.status, model.before_loss = model.before_loss, None

    @rule(writer=writers, run_id=runs)
    def resume(self, writer: str, run_id: str) -> None:
        model = self.model[run_id]
        self.ask_run(writer, run_id, run_commands.ResumeRun("more epochs"), None)
        if model.status in TERMINAL:
            model.status, model.before_loss = Status.RUNNING, None
            model.pauses += not model.born_ended
            model.born_ended = False

    @rule(writer=writers, run_id=runs, step=st.integers(0, 9))
    def rewind(self, writer: str, run_id: str, step: int) -> None:
        self.ask_run(writer, run_id, run_commands.RewindRun(step), None)
        self.model[run_id].rewinds += (step,)

    @rule(writer=writers, run_id=runs, archived=st.booleans())
    def archive_run(self, writer: str, run_id: str, archived: bool) -> None:
        self.ask_run(
            writer,
            run_id,
            run_commands.ArchiveRun() if archived else run_commands.ReactivateRun(),
            None,
        )
        self.model[run_id].archived = archived

    # --- experiments ----------------------------------------------------------------------

    def the(self, name: str, experiment_id: str) -> ExperimentModel | None:
        return next((e for e in self.experiments[name] if e.id == experiment_id), None)

    def active(self, name: str) -> ExperimentModel | None:
        return next((e for e in self.experiments[name] if e.active and not e.renamed_to), None)

    def here(self, name: str, experiment_id: str) -> ExperimentModel | None:
        """The experiment, unless it has another name by now."""
        held = self.the(name, experiment_id)
        return None if held is None or held.renamed_to else held

    @rule(writer=writers, names=st.permutations(["lab", "field"]), experiment_id=ids)
    def rename(self, writer: str, names: list[str], experiment_id: str) -> None:
        name, other = names
        held = self.here(name, experiment_id)
        if held is None or not held.active or self.active(other) is not None:
            return
        for store in self.stores:
            journal = store.journals[writer]
            streams = [
                StreamState(experiment_stream(n), experiment.fold, experiment.NameState())
                for n in names
            ]
            leaves, arrives = [journal.refresh(stream) for stream in streams]
            [event] = experiment.decide(leaves, experiment.Rename(experiment_id, other)).events
            assert isinstance(event, ExperimentRenamed)
            assert experiment.decide_arrival(arrives, event).events == (event,)
            journal.append([Pending(s.stream, s.version + 1, event) for s in streams])
        held.renamed_to = other
        arrived = self.the(other, experiment_id)
        if arrived is None:
            self.experiments[other].append(ExperimentModel(experiment_id, tags=dict(held.tags)))
        else:
            arrived.active, arrived.renamed_to, arrived.tags = True, None, dict(held.tags)

    @rule(writer=writers, name=names)
    def get_or_create(self, writer: str, name: str) -> None:
        fresh = f"{name[0]}{len(self.experiments[name]) + 1}"
        self.ask_name(writer, name, experiment.GetOrCreate(name, fresh), None)
        if self.active(name) is None:
            self.experiments[name].append(ExperimentModel(fresh))

    @rule(writer=writers, name=names, experiment_id=ids)
    def archive(self, writer: str, name: str, experiment_id: str) -> None:
        held = self.here(name, experiment_id)
        expected = None if held else ExperimentNotFound
        self.ask_name(writer, name, experiment.Archive(experiment_id), expected)
        if held:
            held.active = False

    @rule(writer=writers, name=names, experiment_id=ids)
    def reactivate(self, writer: str, name: str, experiment_id: str) -> None:
        held = self.here(name, experiment_id)
        expected: type[RunloreError] | None = None if held else ExperimentNotFound
        if held and not held.active and self.active(name):
            expected = AlreadyExists
        self.ask_name(writer, name, experiment.Reactivate(experiment_id), expected)
        if held and expected is None:
            held.active = True

    @rule(writer=writers, name=names, experiment_id=ids, tags=few_pairs, removed=few_keys)
    def tag_experiment(
        self,
        writer: str,
        name: str,
        experiment_id: str,
        tags: dict[str, str | None],
        removed: str,
    ) -> None:
        held = self.here(name, experiment_id)
        expected = None if held else ExperimentNotFound
        setting = experiment.SetExperimentTags(experiment_id, tags)
        removing = experiment.RemoveExperimentTags(experiment_id, [removed])
        self.ask_name(writer, name, setting, expected)
        self.ask_name(writer, name, removing, expected)
        if held:
            held.tags.update(tags)
            held.tags.pop(removed, None)

    # --- agreement ------------------------------------------------------------------------

    @invariant()
    def runs_agree(self) -> None:
        for run_id, model in self.model.items():
            memory, sqlite = (store.run(run_id) for store in self.stores)
            check_run(memory, model)
            check_run(sqlite, model)
            assert memory is not None
            assert sqlite is not None
            assert memory.version == sqlite.version

    @invariant()
    def what_writers_know_is_what_the_log_says(self) -> None:
        for store in self.stores:
            for (writer, _), folded in store.known.items():
                journal = store.journals[writer]
                known = journal.refresh(folded)
                facts = journal.facts(folded.stream)
                fold: Any = run_state.fold
                empty: Any = None
                if folded.stream.startswith("experiment/"):
                    fold, empty = experiment.fold, experiment.NameState()
                assert known == fold(empty, facts)

    @invariant()
    def experiments_agree(self) -> None:
        for store in self.stores:
            for name, models in self.experiments.items():
                facts = store.journals["ann"].facts(experiment_stream(name))
                state = experiment.fold(experiment.NameState(), facts)
                found = [
                    (e.experiment_id, e.archived_at is None, e.renamed_to, dict(e.tags))
                    for e in state.experiments
                ]
                assert found == [(e.id, e.active, e.renamed_to, e.tags) for e in models]

    @invariant()
    def heads_are_sound(self) -> None:
        one, other = (check_head(store.log) for store in self.stores)
        assert (one.position, one.recorded_at) == (other.position, other.recorded_at)

    def teardown(self) -> None:
        for store in getattr(self, "stores", []):
            store.log.close()


TOPICS = {
    Status.RUNNING: "run.started",
    Status.COMPLETED: "run.completed",
    Status.FAILED: "run.failed",
    Status.CANCELED: "run.canceled",
    Status.CANCEL_REQUESTED: "run.cancel_requested",
}


def check_run(state: RunState | None, model: RunModel | None) -> None:
    assert (state is None) == (model is None)
    if state is None or model is None:
        return
    assert state.status is model.status
    assert state.display_name == model.display_name
    assert state.tags == model.tags
    assert {key: held.value for key, held in state.properties.items()} == model.properties
    assert {key: held.value for key, held in state.config.items()} == {
        key: str(value) for key, value in model.config.items()
    }
    assert (state.archived_at is not None) == model.archived
    assert state.lost == (model.before_loss is not None)
    assert tuple(rewind.step for rewind in state.rewinds) == model.rewinds
    assert len(state.pauses) == model.pauses
    found = sorted((refusal[1:] for refusal in state.refusals), key=repr)
    expected = sorted((refusal[1:] for refusal in model.refusals), key=repr)
    assert found == expected


TestAgreement = Agreement.TestCase
TestAgreement.settings = settings(max_examples=few(120), stateful_step_count=30)
