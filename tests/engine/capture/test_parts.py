"""Which parts of the capture are on."""

import pytest

from runlore.domain.errors import InvalidInput, InvalidType
from runlore.engine.capture.parts import (
    BY_DEFAULT,
    NOTHING,
    Capture,
    Part,
    Parts,
    parts_of,
)


@pytest.mark.parametrize(
    ("capture", "on"),
    [
        pytest.param(None, BY_DEFAULT, id="by-default"),
        pytest.param(True, BY_DEFAULT, id="true"),
        pytest.param(False, NOTHING, id="false"),
        pytest.param("none", NOTHING, id="none"),
        pytest.param("git", {Part.GIT}, id="one"),
        pytest.param("git, packages", {Part.GIT, Part.PACKAGES}, id="text-of-two"),
        pytest.param(["git", Part.DIFF], {Part.GIT, Part.DIFF}, id="list"),
        pytest.param([], NOTHING, id="empty-list"),
        pytest.param({"git": False}, BY_DEFAULT - {Part.GIT}, id="one-off"),
        pytest.param({"diff": True}, BY_DEFAULT | {Part.DIFF}, id="one-more"),
        pytest.param({}, BY_DEFAULT, id="no-change"),
    ],
)
def test_one_argument_says_which_parts_are_on(capture: Capture, on: Parts) -> None:
    assert parts_of(capture, BY_DEFAULT, {}) == on


@pytest.mark.parametrize(
    ("variable", "on"),
    [
        pytest.param("none", NOTHING, id="none"),
        pytest.param("0", NOTHING, id="zero"),
        pytest.param("", BY_DEFAULT, id="empty"),
        pytest.param("all", BY_DEFAULT, id="all"),
        pytest.param("git,program", {Part.GIT, Part.PROGRAM}, id="two"),
        pytest.param("diff", NOTHING, id="one-that-is-not-asked-for"),
    ],
)
def test_the_variable_allows_parts_and_adds_none(variable: str, on: Parts) -> None:
    assert parts_of(True, BY_DEFAULT, {"RUNLORE_CAPTURE": variable}) == on


def test_a_variable_that_nobody_understands_allows_nothing() -> None:
    with pytest.warns(UserWarning, match="'nonne', so nothing is captured; it takes 'none'"):
        assert parts_of(True, BY_DEFAULT, {"RUNLORE_CAPTURE": "nonne"}) == NOTHING


@pytest.mark.parametrize("capture", ["gti", ["git", "gti"], {"gti": False}, "none,git"])
def test_an_unknown_part_is_named_with_those_there_are(capture: Capture) -> None:
    with pytest.raises(InvalidInput, match="it takes some of program, git, diff, machine"):
        parts_of(capture, BY_DEFAULT, {})


@pytest.mark.parametrize("capture", [3, {"git": "no"}, {"git": 0}])
def test_another_type_is_an_error(capture: Capture) -> None:
    with pytest.raises(InvalidType, match="capture"):
        parts_of(capture, BY_DEFAULT, {})
