"""At most one active experiment has a name; archived ones may be reactivated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.domain.decision import Decision
from runlore.domain.errors import AlreadyExists, ExperimentNotFound, InvalidInput, InvalidType
from runlore.domain.events import (
    Event,
    ExperimentArchived,
    ExperimentCreated,
    ExperimentReactivated,
    ExperimentRenamed,
    ExperimentTagRemoved,
    ExperimentTagSet,
)
from runlore.domain.experiment import (
    Archive,
    Command,
    GetOrCreate,
    NameState,
    Reactivate,
    RemoveExperimentTags,
    Rename,
    SetExperimentTags,
    decide,
    decide_arrival,
    fold,
)
from runlore.domain.fact import Fact
from runlore.domain.ids import experiment_stream
from tests.strategies import experiment_commands, fact_of_event

CREATED = ExperimentCreated(experiment_id="e1", name="lab")
ARCHIVED = ExperimentArchived(experiment_id="e1")
SUCCESSOR = ExperimentCreated(experiment_id="e2", name="lab")
COMMANDS = experiment_commands(st.sampled_from(["e1", "e2", "e3"]))


def after(*events: Event) -> NameState:
    return fold(NameState(), [fact_of_event(event, n) for n, event in enumerate(events, 1)])


def test_a_new_name_gets_an_experiment() -> None:
    assert decide(NameState(), GetOrCreate("lab", "e1")) == Decision((CREATED,))
    created = after(CREATED)
    assert created.active is not None
    assert created.active.experiment_id == "e1"
    assert created.active.created_at == 1_700_000_000_000_001


def test_a_taken_name_gets_no_second_experiment() -> None:
    assert decide(after(CREATED), GetOrCreate("lab", "e2")) == Decision()


def test_archiving_hides_the_experiment_and_frees_its_name() -> None:
    assert decide(after(CREATED), Archive("e1")) == Decision((ARCHIVED,))
    state = after(CREATED, ARCHIVED)
    assert state.active is None
    archived = state.get("e1")
    assert archived is not None
    assert archived.archived_at == 1_700_000_000_000_002


def test_the_name_of_an_archived_experiment_creates_a_new_one() -> None:
    state = after(CREATED, ARCHIVED)
    assert decide(state, GetOrCreate("lab", "e2")) == Decision((SUCCESSOR,))
    both = after(CREATED, ARCHIVED, SUCCESSOR)
    assert [e.experiment_id for e in both.experiments] == ["e1", "e2"]
    assert both.active == both.get("e2")


def test_archiving_and_reactivating_are_idempotent() -> None:
    assert decide(after(CREATED, ARCHIVED), Archive("e1")) == Decision()
    assert decide(after(CREATED), Reactivate("e1")) == Decision()


def test_an_archived_experiment_gets_its_name_back() -> None:
    state = after(CREATED, ARCHIVED)
    reactivated = ExperimentReactivated(experiment_id="e1")
    assert decide(state, Reactivate("e1")) == Decision((reactivated,))
    assert after(CREATED, ARCHIVED, reactivated).active is not None


def test_an_experiment_is_not_reactivated_while_its_name_is_taken() -> None:
    with pytest.raises(AlreadyExists, match="taken by e2; archive that experiment first"):
        decide(after(CREATED, ARCHIVED, SUCCESSOR), Reactivate("e1"))


def test_tags_of_experiments_are_set_replaced_and_removed() -> None:
    first = ExperimentTagSet(experiment_id="e1", key="a", value="1")
    state = after(CREATED, first)

    replaced = ExperimentTagSet(experiment_id="e1", key="a", value="2")
    removed = ExperimentTagRemoved(experiment_id="e1", key="a")

    assert decide(state, SetExperimentTags("e1", {"a": "2"})) == Decision((replaced,))
    assert [dict(e.tags) for e in after(CREATED, first, replaced).experiments] == [{"a": "2"}]
    assert [dict(e.tags) for e in after(CREATED, first, removed, removed).experiments] == [{}]
    assert decide(state, SetExperimentTags("e1", {"a": "1", "b": None})) == Decision(
        (ExperimentTagSet(experiment_id="e1", key="b", value=None),)
    )
    assert decide(state, RemoveExperimentTags("e1", ["a", "missing", "a"])) == Decision((removed,))


def test_tags_belong_to_one_experiment_of_the_name() -> None:
    tagged = after(
        CREATED,
        ExperimentTagSet(experiment_id="e1", key="a", value="1"),
        ARCHIVED,
        SUCCESSOR,
        ExperimentTagSet(experiment_id="e2", key="b", value=None),
    )
    assert [dict(e.tags) for e in tagged.experiments] == [{"a": "1"}, {"b": None}]


@pytest.mark.parametrize(
    "command",
    [
        Archive("e9"),
        Reactivate("e9"),
        SetExperimentTags("e9", {"a": "b"}),
        RemoveExperimentTags("e9", ["a"]),
    ],
    ids=lambda command: type(command).__name__,
)
def test_an_experiment_that_does_not_exist_cannot_change(command: Command) -> None:
    with pytest.raises(ExperimentNotFound, match="'e9'"):
        decide(after(CREATED), command)


@pytest.mark.parametrize("name", ["", " ", "\n", "x" * 501, "caf\udce9"], ids=repr)
def test_bad_names_create_nothing(name: str) -> None:
    with pytest.raises(InvalidInput, match="experiment name"):
        decide(NameState(), GetOrCreate(name, "e1"))


def test_bad_tags_change_nothing() -> None:
    state = after(CREATED, ExperimentTagSet(experiment_id="e1", key="a", value="1"))
    for tags in ({"": "x"}, {"a": "caf\udce9"}, {"a": "x" * (2**20 + 1)}):
        with pytest.raises(InvalidInput):
            decide(state, SetExperimentTags("e1", tags))
    with pytest.raises(InvalidType, match="tags to remove must be a list of keys"):
        decide(state, RemoveExperimentTags("e1", "a"))


@given(st.lists(COMMANDS, max_size=30))
def test_at_most_one_experiment_of_a_name_is_active(commands: list[Command]) -> None:
    state = NameState()
    facts: list[Fact] = []
    for command in commands:
        try:
            events = decide(state, command).events
        except (AlreadyExists, ExperimentNotFound, InvalidInput):
            continue
        if isinstance(command, GetOrCreate) and state.get(command.experiment_id):
            continue  # New experiments get new ids: nobody passes a taken one.
        for event in events:
            fact = fact_of_event(event, state.version + 1)
            facts.append(fact._replace(stream=experiment_stream("lab")))
            state = fold(state, facts[-1:])

        assert sum(e.has_name for e in state.experiments) <= 1
        assert decide(state, command).events == ()  # Idempotent.

    assert fold(NameState(), facts) == state
    middle = len(facts) // 2
    assert fold(fold(NameState(), facts[:middle]), facts[middle:]) == state


def test_events_of_a_newer_runlore_only_advance_the_version() -> None:
    other = fact_of_event(CREATED, 2)._replace(topic="experiment.of_tomorrow")
    newer = fact_of_event(ARCHIVED, 3)._replace(data=None)
    state = fold(after(CREATED), [other, newer])
    assert state.version == 3
    assert state.experiments == after(CREATED).experiments
    assert fold(NameState(), [other, newer]).experiments == ()


def renamed(
    name: str = "cv/fold 1", tags: dict[str, str | None] | None = None
) -> ExperimentRenamed:
    return ExperimentRenamed(
        experiment_id="e1",
        name=name,
        previous="lab",
        created_at=fact_of_event(CREATED, 1).observed_at,
        tags=tags or {},
    )


def in_stream(name: str, *events: Event) -> list[Fact]:
    stream = experiment_stream(name)
    return [fact_of_event(event, n)._replace(stream=stream) for n, event in enumerate(events, 1)]


def test_a_renamed_experiment_leaves_one_name_and_arrives_under_the_other() -> None:
    tagged = ExperimentTagSet(experiment_id="e1", key="a", value="1")
    state = fold(NameState(), in_stream("lab", CREATED, tagged))
    decision = decide(state, Rename("e1", "cv/fold 1"))
    assert decision == Decision((renamed(tags={"a": "1"}),))

    left = fold(NameState(), in_stream("lab", CREATED, tagged, *decision.events))
    assert left.active is None
    assert decide(left, GetOrCreate("lab", "e2")).events == (SUCCESSOR,)
    assert decide(left, Rename("e1", "cv/fold 1")) == Decision()
    with pytest.raises(ExperimentNotFound, match="it is 'cv/fold 1' now"):
        decide(left, SetExperimentTags("e1", {"a": "2"}))

    assert decide_arrival(NameState(), renamed(tags={"a": "1"})) == decision
    arrived = fold(NameState(), in_stream("cv/fold 1", *decision.events)).active
    assert arrived is not None
    assert (arrived.experiment_id, arrived.name, arrived.tags) == ("e1", "cv/fold 1", {"a": "1"})
    assert arrived.created_at == state.experiments[0].created_at


def test_an_experiment_may_come_back_to_its_name() -> None:
    back = ExperimentRenamed(experiment_id="e1", name="lab", previous="x", created_at=5, tags={})
    state = fold(NameState(), in_stream("lab", CREATED, renamed("x"), back))
    assert state.active is not None
    assert (state.active.name, state.active.created_at) == ("lab", 5)


def test_a_name_that_is_taken_cannot_be_given() -> None:
    with pytest.raises(AlreadyExists, match="cannot be renamed to 'cv/fold 1'"):
        decide_arrival(after(CREATED), renamed())


def test_an_archived_experiment_is_not_renamed() -> None:
    with pytest.raises(InvalidInput, match="archived and cannot be renamed"):
        decide(after(CREATED, ARCHIVED), Rename("e1", "x"))
    with pytest.raises(InvalidInput, match="blank"):
        decide(after(CREATED), Rename("e1", " "))
    assert decide(after(CREATED), Rename("e1", "lab")) == Decision()
