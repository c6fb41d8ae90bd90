"""Decisions about a run: given its events, when a command comes, then these events follow."""

from __future__ import annotations

import tracemalloc
from collections import OrderedDict, UserDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given as for_all

from runlore.domain.decision import Decision
from runlore.domain.errors import (
    AlreadyExists,
    ChangeRefusedError,
    InvalidInput,
    InvalidType,
    PropertyConflict,
    RunEnded,
    RunloreError,
    RunNotFound,
    TransitionRefused,
    UserError,
)
from runlore.domain.events import (
    ArtifactAdded,
    ChangeRefused,
    DescriptionSet,
    DisplayNameSet,
    Event,
    PropertyAdded,
    PropertyCorrected,
    RunCanceled,
    RunCancelRequested,
    RunCompleted,
    RunFailed,
    RunPlaced,
    RunStarted,
    RunStatusChanged,
    ScriptExited,
    SnapshotTaken,
    TagRemoved,
    TagSet,
    WarningAdded,
)
from runlore.domain.fact import Fact
from runlore.domain.run import (
    decide,
)
from runlore.domain.run_commands import (
    AddArtifacts,
    AddProperties,
    AddWarning,
    Alert,
    ChangeStatus,
    Command,
    CorrectProperty,
    CreateRun,
    EndRun,
    KeepSnapshot,
    PlaceRun,
    RecordExit,
    RemoveTags,
    RewindRun,
    SetDescription,
    SetDisplayName,
    SetTags,
)
from runlore.domain.run_state import Artifact, PropertyValue, RunState, fold
from runlore.domain.status import TERMINAL, Status, may_follow
from tests.domain.given import ALICE, BOB, created, given
from tests.strategies import fact_of_event, run_commands, run_histories

REASON = "property is held with another value"


def create_run(**fields: Any) -> CreateRun:
    names = {"run_id": "r", "experiment_id": "e", "experiment_name": "lab", "root_id": "r"}
    return CreateRun(**{**names, "status": Status.RUNNING, **fields})


def state_in(status: Status) -> RunState:
    """The state of a run in this status."""
    state = fold(None, [fact_of_event(created(status), 1)])
    assert state is not None
    return state


def event_for(status: Status) -> Event:
    """The event that gives a run this status."""
    named: dict[Status, Event] = {
        Status.RUNNING: RunStarted(),
        Status.COMPLETED: RunCompleted(),
        Status.FAILED: RunFailed(error={}),
        Status.CANCELED: RunCanceled(),
        Status.CANCEL_REQUESTED: RunCancelRequested(),
    }
    return named.get(status) or RunStatusChanged(status=status)


# --- creation -----------------------------------------------------------------------------


def test_the_creation_is_one_event_with_everything_known_then() -> None:
    command = create_run(
        status=Status.NOT_STARTED,
        parent_id="p",
        root_id="p",
        run_type="azureml.scriptrun",
        target="local",
        name="fold 1",
        display_name="calm_sun",
        description="# why",
        outputs=("outputs",),
        tags={"key only": None, "lr": "0.1"},
        properties={"author": "me"},
    )

    after = (
        given()
        .when(command)
        .then(
            created(
                Status.NOT_STARTED,
                parent_id="p",
                root_id="p",
                run_type="azureml.scriptrun",
                target="local",
                name="fold 1",
                display_name="calm_sun",
                description="# why",
                outputs=("outputs",),
                tags={"key only": None, "lr": "0.1"},
                properties={"author": "me"},
            )
        )
    )

    assert after.state is not None
    assert after.state.started_at is None
    assert after.state.created_by == ALICE
    assert after.state.properties == {"author": PropertyValue("me", ALICE, after.state.created_at)}


def test_a_run_that_is_created_running_starts_at_its_creation() -> None:
    state = given(created(Status.RUNNING)).state
    assert state is not None
    assert state.started_at == state.created_at


def test_a_taken_id_is_refused_and_nothing_is_written() -> None:
    given(created()).when(create_run()).then_raises(AlreadyExists, "'r' is taken")


@pytest.mark.parametrize("command", [SetTags({"a": "b"}), ChangeStatus(Status.COMPLETED)])
def test_a_run_that_does_not_exist_can_only_be_created(command: Command) -> None:
    given().when(command).then_raises(RunNotFound, "no run")


def test_a_parent_and_its_children_have_statuses_of_their_own() -> None:
    parent = given(created()).when(ChangeStatus(Status.COMPLETED)).then(RunCompleted())
    child = created(run_id="c", parent_id="r", root_id="r")
    failed = given(child).when(ChangeStatus(Status.FAILED)).then(RunFailed(error={}))
    canceled = given(child).when(ChangeStatus(Status.CANCELED)).then(RunCanceled())

    statuses = [family.state and family.state.status for family in (parent, failed, canceled)]
    assert statuses == [Status.COMPLETED, Status.FAILED, Status.CANCELED]


# --- status -------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", Status)
@pytest.mark.parametrize("held", Status)
def test_every_step_of_the_status_machine(held: Status, asked: Status) -> None:
    decision = decide(state_in(held), ChangeStatus(asked), ALICE)

    if held is asked:
        assert decision == Decision()
    elif may_follow(held, asked):
        assert decision == Decision((event_for(asked),))
        after = fold(state_in(held), [fact_of_event(decision.events[0], 2)])
        assert after is not None
        assert after.status is asked
    else:
        [refusal] = decision.events
        assert isinstance(refusal, ChangeRefused)
        assert (refusal.change, refusal.held, refusal.refused) == (
            event_for(asked).topic,
            held,
            asked,
        )
        assert type(decision.refused) is (RunEnded if held in TERMINAL else TransitionRefused)


@pytest.mark.parametrize("ended", sorted(TERMINAL))
def test_a_late_change_of_an_ended_run_is_recorded_but_not_applied(ended: Status) -> None:
    late = Status.RUNNING

    after = (
        given(created(ended))
        .when(ChangeStatus(late))
        .then_refused(
            RunEnded,
            ChangeRefused(
                change="run.started", held=ended, refused="Running", reason="run has ended"
            ),
        )
    )

    assert after.state is not None
    assert after.state.status is ended


@pytest.mark.parametrize("ended", sorted(TERMINAL))
def test_ending_a_run_the_same_way_again_writes_nothing(ended: Status) -> None:
    given(created(), event_for(ended)).when(ChangeStatus(ended)).then()


def test_a_supervisor_ends_a_run_as_its_script_did() -> None:
    error = {"code": "UserError"}
    given(created()).when(EndRun(Status.COMPLETED)).then(RunCompleted())
    given(created()).when(EndRun(Status.FAILED, error)).then(RunFailed(error=error))


def test_a_run_that_was_asked_to_stop_ends_canceled_whatever_its_script_returned() -> None:
    asked = given(created(), RunCancelRequested())
    asked.when(EndRun(Status.COMPLETED)).then(RunCanceled())
    asked.when(EndRun(Status.FAILED, {"code": "UserError"})).then(RunCanceled())


@pytest.mark.parametrize("ended", sorted(TERMINAL))
def test_a_supervisor_respects_an_end_that_someone_else_recorded(ended: Status) -> None:
    given(created(), event_for(ended)).when(EndRun(Status.FAILED)).then()


def test_an_ended_run_still_accepts_tags_and_properties() -> None:
    ended = given(created(), RunCompleted())
    ended.when(SetTags({"best": None})).then(TagSet(key="best", value=None))
    ended.when(AddProperties({"auc": "0.9"})).then(PropertyAdded(key="auc", value="0.9"))


def test_a_paused_run_resumes_without_a_second_start() -> None:
    state = given(created(), RunStatusChanged(status=Status.PAUSED), RunStarted()).state
    assert state is not None
    assert state.status is Status.RUNNING
    assert state.started_at == state.created_at


def test_a_run_that_did_not_respond_returns_to_any_status() -> None:
    silent = given(created(), RunStatusChanged(status=Status.NOT_RESPONDING))
    silent.when(ChangeStatus(Status.RUNNING)).then(RunStarted())
    silent.when(ChangeStatus(Status.QUEUED)).then(RunStatusChanged(status=Status.QUEUED))


def test_the_error_of_a_failed_run_is_kept() -> None:
    error = {"code": "UserError", "message": "boom"}
    after = given(created()).when(ChangeStatus(Status.FAILED, error)).then(RunFailed(error=error))
    assert after.state is not None
    assert after.state.error == error
    assert after.state.ended_at is not None


def test_the_detail_of_a_status_is_kept() -> None:
    change = ChangeStatus(Status.QUEUED, detail="2 runs before this one")
    queued = RunStatusChanged(status=Status.QUEUED, detail="2 runs before this one")
    after = given(created(Status.NOT_STARTED)).when(change).then(queued)
    assert after.state is not None
    assert after.state.status_detail == "2 runs before this one"


# --- refusals -----------------------------------------------------------------------------


def test_the_same_refusal_is_recorded_once_per_writer() -> None:
    refusal = ChangeRefused(
        change="run.property_added", key="k", held="1", refused="2", reason=REASON
    )
    conflict = AddProperties({"k": "2"})
    held = given(created(properties={"k": "1"}))

    once = held.when(conflict, writer=ALICE).then_refused(PropertyConflict, refusal)
    twice = once.when(conflict, writer=ALICE).then_refused(PropertyConflict)
    twice.when(conflict, writer=BOB).then_refused(PropertyConflict, refusal)


def test_another_value_is_another_refusal() -> None:
    held = given(created(properties={"k": "1"}))
    once = held.when(AddProperties({"k": "2"})).then_refused(
        PropertyConflict,
        ChangeRefused(change="run.property_added", key="k", held="1", refused="2", reason=REASON),
    )
    once.when(AddProperties({"k": None})).then_refused(
        PropertyConflict,
        ChangeRefused(change="run.property_added", key="k", held="1", refused=None, reason=REASON),
    )


def test_a_late_completion_is_recorded_once_per_writer() -> None:
    canceled = given(created(), RunCanceled())
    refusal = ChangeRefused(
        change="run.completed", held="Canceled", refused="Completed", reason="run has ended"
    )
    once = canceled.when(ChangeStatus(Status.COMPLETED)).then_refused(RunEnded, refusal)
    once.when(ChangeStatus(Status.COMPLETED)).then_refused(RunEnded)


@for_all(run_histories, run_commands)
def test_a_refused_change_changes_nothing_but_the_list_of_refusals(
    history: list[Fact], command: Command
) -> None:
    state = fold(None, history)
    assert state is not None
    decision = decide(state, command, ALICE)
    if decision.refused is None:
        return

    assert all(isinstance(event, ChangeRefused) for event in decision.events)
    after = fold(
        state,
        [
            fact_of_event(event, version, ALICE)
            for version, event in enumerate(decision.events, state.version + 1)
        ],
    )
    assert after is not None
    for name in RunState.__slots__:
        if name not in ("version", "refusals"):
            assert getattr(after, name) == getattr(state, name)
    again = decide(after, command, ALICE)
    assert again.events == ()
    assert type(again.refused) is type(decision.refused)


@for_all(run_histories, run_commands)
def test_a_command_that_was_done_writes_nothing_again(
    history: list[Fact], command: Command
) -> None:
    state = fold(None, history)
    assert state is not None
    first = decide(state, command, ALICE)
    after = fold(
        state,
        [
            fact_of_event(event, version, ALICE)
            for version, event in enumerate(first.events, state.version + 1)
        ],
    )
    again = decide(after, command, ALICE)
    # A second snapshot is refused even if it is the same: each has a new id. Alerts and rewinds
    # mean something each time.
    if isinstance(command, KeepSnapshot | Alert | RewindRun):
        return
    assert again.events == ()


# --- properties ---------------------------------------------------------------------------


def test_property_cannot_change_after_first_write() -> None:
    held = given(created(), PropertyAdded(key="lr", value="0.1"), writer=BOB)
    after = held.when(AddProperties({"lr": "0.2"})).then_refused(
        PropertyConflict,
        ChangeRefused(
            change="run.property_added", key="lr", held="0.1", refused="0.2", reason=REASON
        ),
    )
    assert after.state is not None
    assert after.state.properties["lr"].value == "0.1"


def test_the_same_property_value_again_is_no_change() -> None:
    given(created(properties={"a": "1", "b": None})).when(
        AddProperties({"a": "1", "b": None})
    ).then()


def test_none_and_empty_text_are_different_property_values() -> None:
    held = given(created(properties={"a": None}))
    assert isinstance(held.when(AddProperties({"a": ""})).then_refusal(), PropertyConflict)


def test_several_properties_are_added_all_or_none() -> None:
    held = given(created(properties={"a": "1", "b": "1"}))
    held.when(AddProperties({"new": "x", "a": "2", "b": "3", "newer": "y"})).then_refused(
        PropertyConflict,
        ChangeRefused(change="run.property_added", key="a", held="1", refused="2", reason=REASON),
        ChangeRefused(change="run.property_added", key="b", held="1", refused="3", reason=REASON),
    )


def test_only_the_new_ones_of_several_properties_are_written() -> None:
    given(created(properties={"a": "1"})).when(AddProperties({"a": "1", "b": "2", "c": None})).then(
        PropertyAdded(key="b", value="2"), PropertyAdded(key="c", value=None)
    )


def test_no_properties_are_no_change() -> None:
    given(created()).when(AddProperties({})).then()


def test_a_conflict_names_key_held_value_refused_value_holder_and_time() -> None:
    held = given(created(), PropertyAdded(key="lr", value="0.1"), writer=BOB)
    error = held.when(AddProperties({"lr": "0.2"})).then_refusal()

    assert isinstance(error, PropertyConflict)
    assert isinstance(error, UserError)
    assert isinstance(error, ChangeRefusedError)
    assert (error.run_id, error.key, error.held, error.refused) == ("r", "lr", "0.1", "0.2")
    assert error.held_by == BOB
    assert error.held_since == datetime(2023, 11, 14, 22, 13, 20, 2, tzinfo=UTC)
    for named in ("'lr'", "'0.1'", "'0.2'", BOB, "2023-11-14", "use a tag instead"):
        assert named in str(error)


def test_a_conflict_of_huge_values_has_a_short_message_and_whole_attributes() -> None:
    held = given(created(properties={"k": "x" * 1_000_000}))
    error = held.when(AddProperties({"k": "y" * 1_000_000})).then_refusal()
    assert isinstance(error, PropertyConflict)
    assert len(str(error)) < 1_000
    assert error.held == "x" * 1_000_000
    assert error.refused == "y" * 1_000_000


# --- tags ---------------------------------------------------------------------------------


def test_tags_are_set_replaced_and_made_key_only() -> None:
    after = (
        given(created(tags={"a": "1", "b": "2", "c": None}))
        .when(SetTags({"a": "other", "b": None, "c": None, "d": "new"}))
        .then(
            TagSet(key="a", value="other"),
            TagSet(key="b", value=None),
            TagSet(key="d", value="new"),
        )
    )
    assert after.state is not None
    assert after.state.tags == {"a": "other", "b": None, "c": None, "d": "new"}


def test_removing_unknown_tags_is_ignored() -> None:
    after = (
        given(created(tags={"a": "1", "b": "2"}))
        .when(RemoveTags(["b", "missing", "b"]))
        .then(TagRemoved(key="b"))
    )
    assert after.state is not None
    assert after.state.tags == {"a": "1"}


def test_a_removed_tag_can_come_back() -> None:
    given(created(tags={"a": "1"}), TagRemoved(key="a")).when(SetTags({"a": "1"})).then(
        TagSet(key="a", value="1")
    )


# --- names, files, snapshots --------------------------------------------------------------


def test_display_name_and_description_are_set_once_per_change() -> None:
    run = given(created(display_name="old", description="old"))
    run.when(SetDisplayName("new")).then(DisplayNameSet(display_name="new"))
    run.when(SetDisplayName("old")).then()
    run.when(SetDescription("")).then(DescriptionSet(description=""))
    run.when(SetDescription("old")).then()


def test_files_are_added_once() -> None:
    weights, log = Artifact("1" * 64, 5), Artifact("2" * 64, 6)
    held = given(created(), ArtifactAdded(name="model.pt", sha256="1" * 64, nbytes=5))
    held.when(AddArtifacts({"model.pt": weights, "log": log})).then(
        ArtifactAdded(name="log", sha256="2" * 64, nbytes=6)
    )


def test_other_content_for_a_known_file_name_refuses_all_files_of_the_call() -> None:
    held = given(created(), ArtifactAdded(name="model.pt", sha256="1" * 64, nbytes=5))
    other = {"log": Artifact("3" * 64, 1), "model.pt": Artifact("2" * 64, 5)}
    held.when(AddArtifacts(other)).then_refused(
        ChangeRefusedError,
        ChangeRefused(
            change="run.artifact_added",
            key="model.pt",
            held="1" * 64,
            refused="2" * 64,
            reason="file name is taken",
        ),
    )


def test_a_run_keeps_one_snapshot() -> None:
    taken = SnapshotTaken(snapshot_id="s1", manifest_sha256="1" * 64, files=2, nbytes=3)
    kept = given(created()).when(KeepSnapshot("s1", "1" * 64, 2, 3)).then(taken)
    kept.when(KeepSnapshot("s2", "2" * 64, 2, 3)).then_refused(
        ChangeRefusedError,
        ChangeRefused(
            change="run.snapshot_taken", held="s1", refused="s2", reason="run has a snapshot"
        ),
    )


# --- bad input ----------------------------------------------------------------------------

LONE = "caf\udce9"
BAD_KEYS = {
    "empty": ("", InvalidInput, "empty"),
    "over-long": ("k" * 1_001, InvalidInput, "1001 characters"),
    "control-character": ("a\x00b", InvalidInput, "control characters"),
    "newline": ("a\nb", InvalidInput, "control characters"),
    "c1-control-character": ("a\x85b", InvalidInput, "control characters"),
    "lone-surrogate": (LONE, InvalidInput, "lone surrogate"),
    "bytes": (b"key", InvalidType, "must be a str, got bytes"),
    "int": (3, InvalidType, "must be a str, got int"),
    "none": (None, InvalidType, "must be a str, got NoneType"),
}
BAD_VALUES = {
    "int": (3, InvalidType, "must be a str, got int"),
    "bytes": (b"value", InvalidType, "must be a str, got bytes"),
    "list": (["a"], InvalidType, "must be a str, got list"),
    "lone-surrogate": (LONE, InvalidInput, "lone surrogate"),
    "over-long": ("x" * (2**20 + 1), InvalidInput, "1048577 bytes"),
    "over-long-in-utf-8": ("é" * (2**19 + 1), InvalidInput, "1048578 bytes"),
}
BAD_MAPS = {
    "none": (None, "got NoneType"),
    "list-of-pairs": ([("a", "b")], "got list"),
    "str": ("a", "got str"),
    "set": ({"a"}, "got set"),
}


def bad(cases: Mapping[str, tuple[Any, ...]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())


@bad(BAD_KEYS)
def test_invalid_keys_are_refused(case: tuple[Any, type[RunloreError], str]) -> None:
    key, error, message = case
    run = given(created())
    run.when(SetTags({"fine": "x", key: "x"})).then_raises(error, f"tag key.*{message}")
    run.when(AddProperties({key: "x"})).then_raises(error, f"property key.*{message}")
    run.when(RemoveTags(["fine", key])).then_raises(error, f"tag key.*{message}")
    given().when(create_run(tags={key: "x"})).then_raises(error, f"tag key.*{message}")
    given().when(create_run(properties={key: ""})).then_raises(error, f"property key.*{message}")


@bad(BAD_VALUES)
def test_invalid_values_are_refused(case: tuple[Any, type[RunloreError], str]) -> None:
    value, error, message = case
    run = given(created())
    run.when(SetTags({"k": value})).then_raises(error, f"value of tag 'k'.*{message}")
    run.when(AddProperties({"k": value})).then_raises(error, f"value of property 'k'.*{message}")
    given().when(create_run(tags={"k": value})).then_raises(error, "value of tag 'k'")


@bad(BAD_MAPS)
def test_anything_but_a_mapping_is_refused(case: tuple[Any, str]) -> None:
    given_map, message = case
    run = given(created())
    run.when(SetTags(given_map)).then_raises(InvalidType, f"tags must be a dict.*{message}")
    run.when(AddProperties(given_map)).then_raises(InvalidType, message)
    given().when(create_run(tags=given_map)).then_raises(InvalidType, message)


@pytest.mark.parametrize("keys", ["abc", b"abc", None, 3], ids=repr)
def test_tags_to_remove_are_a_list_of_keys(keys: Any) -> None:
    run = given(created(tags={"a": None}))
    run.when(RemoveTags(keys)).then_raises(InvalidType, "tags to remove must be a list of keys")


@bad({name: case for name, case in BAD_KEYS.items() if name != "none"})
def test_invalid_run_names_are_refused(case: tuple[Any, type[RunloreError], str]) -> None:
    name, error, message = case
    given(created()).when(SetDisplayName(name)).then_raises(error, f"display name.*{message}")
    for field in ("display_name", "name", "run_type", "target"):
        given().when(create_run(**{field: name})).then_raises(error, message)
    given().when(create_run(outputs=(name,))).then_raises(error, message)


@bad(BAD_VALUES)
def test_invalid_descriptions_and_details_are_refused(
    case: tuple[Any, type[RunloreError], str],
) -> None:
    text, error, message = case
    run = given(created())
    run.when(SetDescription(text)).then_raises(error, message)
    given().when(create_run(description=text)).then_raises(error, message)
    run.when(ChangeStatus(Status.PAUSED, detail=text)).then_raises(error, message)
    run.when(ChangeStatus(Status.FAILED, {"message": text})).then_raises(error, message)


@pytest.mark.parametrize("name", ["", "a\x00b", LONE, "x" * 5_001, 3], ids=repr)
def test_invalid_file_names_are_refused(name: Any) -> None:
    file = Artifact("1" * 64, 5)
    given(created()).when(AddArtifacts({name: file})).then_raises(UserError, "file name")


@pytest.mark.parametrize(
    "run_id",
    ["", "a/b", "../up", "a\\b", ".hidden", "a b", "é", "x" * 257, "a\n", LONE, "a\x00"],
    ids=repr,
)
def test_run_ids_name_streams_and_folders_so_they_are_strict(run_id: str) -> None:
    given().when(create_run(run_id=run_id)).then_raises(InvalidInput, "not a valid run id")


def test_values_of_one_megabyte_are_kept() -> None:
    big = "x" * 2**20
    after = given(created()).when(SetTags({"k": big})).then(TagSet(key="k", value=big))
    assert after.state is not None
    assert after.state.tags["k"] == big


def test_values_may_have_control_characters() -> None:
    value = "\x00 line\r\n\t\x1b[31m"
    given(created()).when(SetTags({"k": value})).then(TagSet(key="k", value=value))


class Text(str):
    """A text with an attribute."""

    def __str__(self) -> str:
        return "not what was checked"


class Colour(str, Enum):  # noqa: UP042  # Not StrEnum: its str() is "Colour.RED".
    RED = "red"


@pytest.mark.parametrize(
    "tags",
    [
        OrderedDict(b="1", a=None),
        defaultdict(str, b="1", a=None),
        MappingProxyType({"b": "1", "a": None}),
        UserDict(b="1", a=None),
    ],
    ids=lambda tags: type(tags).__name__,
)
def test_dict_subclasses_and_other_mappings_are_read_as_dicts(
    tags: Mapping[str, str | None],
) -> None:
    given(created()).when(SetTags(tags)).then(
        TagSet(key="b", value="1"), TagSet(key="a", value=None)
    )


@pytest.mark.parametrize("text", [Text("red"), Colour.RED], ids=["subclass", "enum"])
def test_subclasses_of_str_are_kept_as_the_text_that_was_checked(text: str) -> None:
    decision = decide(state_in(Status.RUNNING), SetTags({text: text}), ALICE)
    [event] = decision.events
    assert isinstance(event, TagSet)
    assert (event.key, event.value) == ("red", "red")
    assert (type(event.key), type(event.value)) == (str, str)
    named = decide(state_in(Status.RUNNING), SetDisplayName(text), ALICE)
    assert named.events == (DisplayNameSet(display_name="red"),)
    assert type(named.events[0].__dict__["display_name"]) is str


# --- folding ------------------------------------------------------------------------------


@for_all(run_histories)
def test_folding_at_once_is_folding_one_by_one(history: list[Fact]) -> None:
    one_by_one: RunState | None = None
    for fact in history:
        one_by_one = fold(one_by_one, [fact])

    assert fold(None, history) == one_by_one
    for split in range(len(history) + 1):
        assert fold(fold(None, history[:split]), history[split:]) == one_by_one


@for_all(run_histories)
def test_folding_changes_neither_the_state_before_nor_the_facts(history: list[Fact]) -> None:
    before = fold(None, history[:1])
    assert before is not None
    copies = dict(before.tags), dict(before.properties), before.refusals
    texts = repr(history)

    fold(before, history[1:])

    assert (dict(before.tags), dict(before.properties), before.refusals) == copies
    assert repr(history) == texts


def test_the_first_of_two_writes_of_a_property_counts() -> None:
    """No decision writes it twice, but a log from elsewhere might."""
    state = given(
        created(), PropertyAdded(key="k", value="1"), PropertyAdded(key="k", value="2")
    ).state
    assert state is not None
    assert state.properties["k"].value == "1"


def test_facts_before_the_creation_are_skipped() -> None:
    early = [fact_of_event(TagSet(key="a", value="1"), 1), fact_of_event(created(), 2)]
    state = fold(None, early)
    assert state is not None
    assert state.tags == {}
    assert state.version == 2
    assert fold(None, early[:1]) is None


@pytest.mark.parametrize(
    "event_of",
    [
        lambda n: TagSet(key=f"k{n}", value="v"),
        lambda n: PropertyAdded(key=f"k{n}", value="v"),
        lambda n: ArtifactAdded(name=f"k{n}", sha256="0", nbytes=0),
        lambda n: ChangeRefused(change="run.started", refused=str(n), reason="no"),
    ],
    ids=["tags", "properties", "artifacts", "refusals"],
)
def test_a_fact_copies_none_of_the_maps(event_of: Callable[[int], Event]) -> None:
    facts = [fact_of_event(event_of(n), n + 2) for n in range(2_000)]
    allocated = 0

    def facts_and_again() -> Iterator[Fact]:
        nonlocal allocated
        yield fact_of_event(created(), 1)
        yield from facts
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        yield from facts[:10]
        _, peak = tracemalloc.get_traced_memory()
        allocated = peak - before

    tracemalloc.start()
    try:
        fold(None, facts_and_again())
    finally:
        tracemalloc.stop()
    assert allocated < 10_000  # A map of 2,000 takes over 70,000 bytes.


def test_ten_thousand_tags_are_one_command() -> None:
    tags = {f"tag {n}": str(n) for n in range(10_000)}
    after = (
        given(created())
        .when(SetTags(tags))
        .then(*[TagSet(key=key, value=value) for key, value in tags.items()])
    )
    assert after.state is not None
    assert after.state.tags == tags
    after.when(SetTags(tags)).then()
    assert given().when(create_run(tags=tags)).then(created(tags=tags)).state is not None


# --- corrections ------------------------------------------------------------------------------


def test_a_correction_says_what_it_supersedes() -> None:
    held = given(created(properties={"auc": "0.17"}), RunCompleted())
    correction = CorrectProperty("auc", "0.71", "digits were swapped")

    corrected = PropertyCorrected(key="auc", value="0.71", superseded="0.17")
    held.when(correction).then(corrected).when(correction).then()


def test_an_unknown_property_is_not_corrected() -> None:
    given(created()).when(CorrectProperty("auc", "1", "why")).then_refused(InvalidInput)


@pytest.mark.parametrize("reason", ["", " "])
def test_a_correction_without_a_reason_is_refused(reason: str) -> None:
    held = given(created(properties={"auc": "0.17"}))
    held.when(CorrectProperty("auc", "1", reason)).then_raises(InvalidInput, "needs a reason")


# --- what a supervisor records ----------------------------------------------------------------


def test_a_warning_is_recorded_once() -> None:
    run = given(created())
    warned = run.when(AddWarning("outputs", "a.bin is gone")).then(
        WarningAdded(source="outputs", message="a.bin is gone")
    )
    warned.when(AddWarning("outputs", "a.bin is gone")).then()
    warned.when(AddWarning("outputs", "b.bin is gone")).then(
        WarningAdded(source="outputs", message="b.bin is gone")
    )
    warned.when(AddWarning("logs", "a.bin is gone")).then(
        WarningAdded(source="logs", message="a.bin is gone")
    )
    run.when(AddWarning("outputs", "x" * (2**20 + 1))).then_raises(InvalidInput, "warning")
    run.when(AddWarning("x" * (2**20 + 1), "a.bin is gone")).then_raises(InvalidInput, "source")


def test_the_engines_name_for_a_run_is_recorded_when_it_changes() -> None:
    placed = given(created()).when(PlaceRun("4711")).then(RunPlaced(handle="4711"))
    placed.when(PlaceRun("4711")).then()
    placed.when(PlaceRun("4712")).then(RunPlaced(handle="4712"))


def test_the_exit_of_each_rank_is_recorded_once() -> None:
    ended = (
        given(created())
        .when(RecordExit(0, 1, None))
        .then(ScriptExited(rank=0, exit_code=1, signal=None))
    )
    ended.when(RecordExit(0, 1, None)).then()
    ended.when(RecordExit(1, 1, None)).then(ScriptExited(rank=1, exit_code=1, signal=None))
