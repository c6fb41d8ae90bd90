"""A run's config: nested JSON with flattened keys, whose leaves get their value once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given as given_any

from runlore.domain import config
from runlore.domain.errors import ConfigConflict, InvalidInput, InvalidType
from runlore.domain.events import ChangeRefused, ConfigAdded, ConfigCorrected
from runlore.domain.run_commands import (
    AddConfig,
    CorrectConfig,
)
from runlore.domain.run_state import RunState
from tests.domain.given import ALICE, created, given
from tests.strategies import few_configs

BASE = created(config='{"lr":0.1,"net":{"act.fn":"relu","layers":[64,64]},"none":null,"empty":{}}')


def held(state: RunState | None) -> dict[str, str | None]:
    assert state is not None
    return {key: value.value for key, value in state.config.items()}


def test_a_run_has_its_config_flattened() -> None:
    assert held(given(BASE).state) == {
        "lr": "0.1",
        "net.act\\.fn": '"relu"',
        "net.layers": "[64,64]",
        "none": "null",
        "empty": "{}",
    }


def test_new_keys_are_added_and_held_ones_are_not_repeated() -> None:
    added = ConfigAdded(config='{"lr":0.1,"net":{"depth":2}}')
    after = given(BASE).when(AddConfig({"lr": 0.1, "net": {"depth": 2}})).then(added)
    assert held(after.state)["net.depth"] == "2"
    after.when(AddConfig({"net": {"depth": 2}})).then()
    after.when(AddConfig({})).then()


@pytest.mark.parametrize(
    ("asked", "key", "refused", "held_value"),
    [
        ({"lr": 0.2}, "lr", "0.2", "0.1"),
        ({"lr": "0.1"}, "lr", '"0.1"', "0.1"),  # Text is not the number.
        ({"none": True}, "none", "true", "null"),
        ({"lr": {"start": 1}}, "lr.start", "1", "0.1"),  # It would be inside a value.
        ({"net": 3}, "net", "3", '"relu"'),  # It would contain values.
    ],
)
def test_another_value_is_refused_and_nothing_is_added(
    asked: dict[str, Any], key: str, refused: str, held_value: str
) -> None:
    refusal = ChangeRefused(
        change="run.config_added",
        key=key,
        held=held_value,
        refused=refused,
        reason="key is held with another value",
    )
    again = given(BASE).when(AddConfig({"seed": 1, **asked})).then_refused(ConfigConflict, refusal)
    again.when(AddConfig({"seed": 1, **asked})).then_refused(ConfigConflict)
    assert "seed" not in held(again.state)


def test_a_conflict_says_what_is_held_and_what_to_do() -> None:
    error = ConfigConflict("r", "lr.start", "1", "lr", "0.1")
    assert str(error) == (
        "config 'lr.start' of run r meets 'lr' = 0.1, so it cannot become 1; config never changes: "
        "use a tag instead, or correct the held value if it is wrong"
    )


def test_a_correction_keeps_the_old_value_in_the_log() -> None:
    corrected = ConfigCorrected(key="lr", value="0.01", superseded="0.1")
    after = given(BASE).when(CorrectConfig("lr", 0.01, "a typo")).then(corrected)
    assert held(after.state)["lr"] == "0.01"
    after.when(CorrectConfig("lr", 0.01, "a typo")).then()
    unknown = after.when(CorrectConfig("seed", 1, "a typo")).then_refusal()
    assert "no config key 'seed' to correct; it has 'empty', 'lr', " in str(unknown)
    for value, error in (({"a": 1}, "its keys one by one"), (float("nan"), "JSON cannot hold")):
        with pytest.raises(InvalidInput, match=error):
            after.when(CorrectConfig("lr", value, "a typo")).then()


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ([("a", 1)], InvalidType, "must be a dict"),
        ({1: "a"}, InvalidType, "config key must be a str"),
        ({"a": {2: "b"}}, InvalidType, "config key below 'a' must be a str"),
        ({"": 1}, InvalidInput, "empty"),
        ({"a": {1, 2}}, InvalidType, "type set"),
        ({"a": b"x"}, InvalidType, "type bytes"),
        ({"a": float("inf")}, InvalidInput, "JSON cannot hold"),
        ({"a": 2**64}, InvalidInput, "more than 64 bits"),
        ({"a": -(2**63) - 1}, InvalidInput, "more than 64 bits"),
        ({"a": "caf\udce9"}, InvalidInput, "UTF-8"),
        ({"a": "x" * 2**20}, InvalidInput, "upload large content as a file"),
    ],
)
def test_values_that_json_does_not_have_are_refused(bad: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        given(BASE).when(AddConfig(bad)).then()


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63)])
def test_whole_numbers_of_64_bits_are_kept(number: int) -> None:
    assert config.check_config({"a": number}) == {"a": number}


def test_a_config_may_be_nested_to_the_limit_and_no_deeper() -> None:
    deepest: Any = 1
    for _ in range(config.DEPTH_MAX - 1):
        deepest = [deepest]
    assert config.check_config({"a": deepest}) == {"a": deepest}
    with pytest.raises(InvalidInput, match="100 deep"):
        config.check_config({"a": [deepest]})


def test_a_config_that_contains_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["more"] = endless
    with pytest.raises(InvalidInput, match="100 deep"):
        config.check_config(endless)


def test_dots_and_backslashes_of_a_key_are_no_places() -> None:
    flat = config.flattened({"a": {"b": 1}, "a.b": 2, "a\\": {"b": 3}, "a\\.b": 4})
    assert list(flat) == ["a.b", r"a\.b", r"a\\.b", r"a\\\.b"]


@given_any(few_configs)
def test_different_places_have_different_flattened_keys(given_config: dict[str, Any]) -> None:
    flat = config.flattened(config.check_config(given_config))

    def leaves(value: Any) -> int:
        return sum(map(leaves, value.values())) if isinstance(value, dict) and value else 1

    assert len(flat) == (leaves(given_config) if given_config else 0)
    for key, text in flat.items():
        assert json.loads(text) == json.loads(json.dumps(json.loads(text)))
        assert not set(config.above(key)) & flat.keys()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0),
        ('"1e-3"', 0.001),
        ('" 5 "', 5.0),
        ("true", None),
        ("null", None),
        ('"nan"', None),
        ('"fast"', None),
        ("[1]", None),
        ("1" + "0" * 400, None),
    ],
)
def test_a_leaf_is_a_number_where_its_json_or_text_is_one(text: str, number: float | None) -> None:
    assert config.number_of(text) == number


def test_who_set_a_key_is_known() -> None:
    state = given(BASE).state
    assert state is not None
    assert state.config["lr"].writer_id == ALICE
