from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidInput, InvalidType, PropertyConflict
from runlore.exceptions import ServiceException, UserErrorException
from tests.fresh_python import race
from tests.workspaces import seen_again, start


class Colour(str, Enum):  # noqa: UP042  # StrEnum shows its value, this one does not.
    RED = "red"


# --- tags -------------------------------------------------------------------------------------


def test_a_tag_is_set_and_replaced(run: Run) -> None:
    run.tag("quality", "great run")
    run.tag("quality", "fantastic run")

    assert run.get_tags() == {"quality": "fantastic run"}
    assert seen_again(run).get_tags() == {"quality": "fantastic run"}


def test_a_tag_without_a_value_is_none(run: Run) -> None:
    run.tag("worth another look")

    assert run.get_tags() == {"worth another look": None}


def test_a_tag_may_lose_its_value_and_get_it_back(run: Run) -> None:
    run.tag("k", "v")
    run.tag("k")
    assert run.get_tags() == {"k": None}

    run.tag("k", "")
    assert run.get_tags() == {"k": ""}


def test_set_tags_leaves_the_others(run: Run) -> None:
    run.set_tags({"a": "1", "b": "2"})
    run.set_tags({"b": "3", "c": None})

    assert run.get_tags() == {"a": "1", "b": "3", "c": None}


def test_set_tags_is_one_commit(run: Run) -> None:
    run.set_tags({"a": "1", "b": "2", "c": "3"})

    times = {change.time for change in run.history() if change.what == "tag_set"}
    assert len(times) == 1


def test_tags_are_removed_by_key(run: Run) -> None:
    run.set_tags({"a": "1", "b": None, "c": "3"})

    run.remove_tags(["a", "b", "never there", "a"])

    assert run.get_tags() == {"c": "3"}


def test_keys_may_come_one_by_one_whatever_this_object_has_read(run: Run) -> None:
    run.get_tags()
    seen_again(run).set_tags({"a": "1", "b": "2", "c": "3"})

    run.remove_tags(key for key in ["a", "b"])  # type: ignore[arg-type]  # Not in the signature.

    assert run.get_tags() == {"c": "3"}
    with pytest.raises(InvalidType):
        run.remove_tags(key for key in [1, "c"])  # type: ignore[arg-type]
    assert run.get_tags() == {"c": "3"}


def test_a_removed_tag_can_be_set_again(run: Run) -> None:
    run.tag("a", "1")
    run.remove_tags(["a"])
    run.tag("a", "2")

    assert run.get_tags() == {"a": "2"}


def test_no_tags_change_nothing(run: Run) -> None:
    before = run.history()

    run.set_tags({})
    run.remove_tags([])

    assert run.history() == before


def test_tags_and_properties_are_copies(run: Run) -> None:
    run.tag("a", "1")
    run.add_properties({"p": "1"})

    run.tags["a"] = "changed"
    run.get_tags().clear()
    run.properties.clear()

    assert run.tags == {"a": "1"}
    assert run.properties == {"p": "1"}


def test_cached_tags_are_those_last_read(run: Run) -> None:
    assert run.tags == {}
    seen_again(run).tag("a", "1")
    seen_again(run).add_properties({"p": "1"})

    assert (run.tags, run.properties) == ({}, {})
    assert run.get_tags() == {"a": "1"}
    assert (run.tags, run.properties) == ({"a": "1"}, {"p": "1"})


# --- properties -------------------------------------------------------------------------------


def test_properties_are_added(run: Run) -> None:
    run.add_properties({"author": "azureml-user"})
    run.add_properties({"data": "diabetes", "checked": None})

    expected = {"author": "azureml-user", "data": "diabetes", "checked": None}
    assert run.get_properties() == expected
    assert seen_again(run).get_properties() == expected


def test_a_property_cannot_change_and_the_error_says_everything(run: Run) -> None:
    run.add_properties({"author": "azureml-user"})

    with pytest.raises(PropertyConflict) as raised:
        run.add_properties({"author": "different-user"})

    error = raised.value
    message = str(error)
    for part in ("'author'", run.id, "'azureml-user'", "'different-user'", "use a tag instead"):
        assert part in message
    assert "@" in message  # actor@host
    assert (error.key, error.held, error.refused) == ("author", "azureml-user", "different-user")
    assert isinstance(error, ServiceException)
    assert isinstance(error, UserErrorException)
    assert run.get_properties() == {"author": "azureml-user"}


def test_the_same_value_again_is_accepted_silently(run: Run) -> None:
    run.add_properties({"author": "me", "empty": None})
    before = run.history()

    run.add_properties({"author": "me", "empty": None})

    assert run.history() == before


def test_no_value_and_no_text_are_different_values(run: Run) -> None:
    run.add_properties({"a": None})

    with pytest.raises(PropertyConflict, match="is already None"):
        run.add_properties({"a": ""})


def test_several_properties_are_added_all_or_none(run: Run) -> None:
    run.add_properties({"b": "held"})

    with pytest.raises(PropertyConflict):
        run.add_properties({"a": "new", "b": "other", "c": "new"})

    assert run.get_properties() == {"b": "held"}


def test_a_refused_property_is_in_the_history_once(run: Run) -> None:
    run.add_properties({"author": "me"})

    for _ in range(3):
        with pytest.raises(PropertyConflict):
            run.add_properties({"author": "you"})

    refused = [change for change in run.history() if change.what == "change_refused"]
    assert [(change.key, change.old, change.new) for change in refused] == [("author", "me", "you")]


@pytest.mark.parametrize("nothing", [{}, None])
def test_no_properties_change_nothing(run: Run, nothing: Mapping[str, str]) -> None:
    before = run.history()

    run.add_properties(nothing)

    assert run.history() == before


@pytest.mark.processes
def test_of_processes_that_add_a_property_with_different_values_exactly_one_wins(
    folder_ws: Workspace, project: Path
) -> None:
    rounds = 30
    runs = [start(Experiment(folder_ws, "e")).id for _ in range(rounds)]

    printed = race(
        f"""
import runlore
ws = runlore.Workspace.open({folder_ws.uri!r}, actor=f"racer{{NUMBER}}")
runs = [ws.get_run(run_id) for run_id in {runs}]
go()
for run in runs:
    try:
        run.add_properties({{"winner": str(NUMBER)}})
        print("won")
    except runlore.exceptions.PropertyConflict as error:
        print(error.held)
""",
        4,
        cwd=project,
    )

    for number, outcomes in enumerate(zip(*(text.split() for text in printed), strict=True)):
        winner = outcomes.index("won")
        others = [outcome for outcome in outcomes if outcome != "won"]
        assert others == [str(winner)] * 3
        run = folder_ws.get_run(runs[number])
        assert run.get_properties() == {"winner": str(winner)}
        refused = [change for change in run.history() if change.what == "change_refused"]
        assert {change.who.partition("@")[0] for change in refused} == {
            f"racer{racer}" for racer in range(4) if racer != winner
        }


def test_of_threads_that_share_a_run_exactly_one_sets_a_property(exp: Experiment) -> None:
    for _ in range(20):
        run = start(exp)
        barrier = threading.Barrier(4)
        won: list[int] = []

        def add(number: int) -> None:
            barrier.wait()  # noqa: B023
            try:
                run.add_properties({"winner": str(number)})  # noqa: B023
                won.append(number)  # noqa: B023
            except PropertyConflict:
                pass

        threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert [run.get_properties()] == [{"winner": str(number)} for number in won]


# --- conversion -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), (0.1, "0.1"), (True, "True"), ([1, 2], "[1, 2]"), (b"x", "b'x'")],
)
def test_a_value_that_is_no_text_becomes_its_text_with_a_warning(
    run: Run, value: object, text: str
) -> None:
    with pytest.warns(UserWarning, match="has a value of type .*stored as its text") as caught:
        run.tag("k", value)
        run.add_properties({"k": value})

    assert run.get_tags() == run.get_properties() == {"k": text}
    assert {warning.filename for warning in caught} == {__file__}


def test_texts_of_other_classes_become_plain(run: Run) -> None:
    run.set_tags({Colour.RED: Colour.RED, np.str_("n"): np.str_("x")})

    tags = run.get_tags()
    assert tags == {"red": "red", "n": "x"}
    assert {type(key) for key in tags} | {type(value) for value in tags.values()} == {str}


@pytest.mark.parametrize(
    "pairs",
    [
        OrderedDict(b="2", a="1"),
        defaultdict(str, b="2", a="1"),
        MappingProxyType({"b": "2", "a": "1"}),
    ],
    ids=["OrderedDict", "defaultdict", "mappingproxy"],
)
def test_any_mapping_is_taken_in_its_order(run: Run, pairs: Mapping[str, str]) -> None:
    run.set_tags(pairs)
    run.add_properties(pairs)

    assert list(run.get_tags().items()) == [("b", "2"), ("a", "1")]
    assert list(run.get_properties().items()) == [("b", "2"), ("a", "1")]


# --- limits and bad input ---------------------------------------------------------------------


def test_a_tag_value_of_one_mebibyte_is_kept_and_a_larger_one_refused(run: Run) -> None:
    run.tag("large", "ü" * 2**19)

    with pytest.raises(InvalidInput, match=r"has 1048577 bytes.*run\.upload_file\(\)"):
        run.tag("larger", "x" * (2**20 + 1))

    assert run.get_tags() == {"large": "ü" * 2**19}


@pytest.mark.slow
def test_ten_thousand_tags_are_kept(run: Run) -> None:
    tags: dict[str, str | None] = {f"key {number}": str(number) for number in range(10_000)}

    run.set_tags(tags)

    assert seen_again(run).get_tags() == tags


@pytest.mark.parametrize("key", ["worth another look", "ключ", "🙂", "a" * 1000, "a/b", "'; --"])
def test_unusual_keys_work_everywhere(exp: Experiment, key: str) -> None:
    run = start(exp, tags={key: "x"})
    run.add_properties({key: "y"})

    assert seen_again(run).get_tags() == {key: "x"}
    assert list(exp.get_runs(tags=key)) == [run]
    assert list(exp.get_runs(properties={key: "y"})) == [run]


BAD_KEYS = {
    "empty": "",
    "too-long": "x" * 1001,
    "newline": "a\nb",
    "null": "a\0b",
    "escape": "\x1b[31m",
    "del": "\x7f",
    "surrogate": "\ud800",
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_bad_key_is_refused_and_nothing_is_written(run: Run, key: str) -> None:
    before = run.history()

    calls: list[Callable[[], object]] = [
        lambda: run.set_tags({"good": "x", key: "x"}),
        lambda: run.add_properties({"good": "x", key: "x"}),
        lambda: run.remove_tags([key]),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match="key"):
            call()

    assert run.history() == before


@pytest.mark.parametrize("key", [5, None, b"bytes", ("a",)], ids=repr)
def test_a_key_that_is_no_text_is_refused(run: Run, key: object) -> None:
    with pytest.raises(InvalidType, match="tag key must be a str"):
        run.tag(key, "x")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InvalidType, match="property key must be a str"):
        run.add_properties({key: "x"})  # type: ignore[dict-item]  # wrong on purpose


def test_a_value_that_is_not_utf8_is_refused(run: Run) -> None:
    with pytest.raises(InvalidInput, match="character 1 is a lone surrogate"):
        run.tag("k", "a\ud800")

    assert run.get_tags() == {}


@pytest.mark.parametrize("pairs", ["text", ["a", "b"], 5, {"a"}], ids=repr)
def test_what_is_no_mapping_is_refused(run: Run, pairs: object) -> None:
    with pytest.raises(InvalidType, match="tags must be a dict"):
        run.set_tags(pairs)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InvalidType, match="properties must be a dict"):
        run.add_properties(pairs)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("keys", ["text", 5, None], ids=repr)
def test_keys_to_remove_must_be_a_list(run: Run, keys: object) -> None:
    run.set_tags({"t": "x", "e": "x"})

    with pytest.raises(InvalidType, match="tags to remove must be a list of keys"):
        run.remove_tags(keys)  # type: ignore[arg-type]  # wrong on purpose

    assert set(run.get_tags()) == {"t", "e"}


def test_a_value_whose_text_cannot_be_made_changes_nothing(run: Run) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(RuntimeError, match="no text"):
        run.set_tags({"a": "x", "b": Broken()})

    assert run.get_tags() == {}
