"""The base of commands: fields by position or name, checked by their names."""

from __future__ import annotations

import pytest

from runlore.domain.command import BaseCommand


class Rename(BaseCommand):
    key: str
    value: str
    reason: str = "none"


def test_fields_are_given_by_position_or_name() -> None:
    renamed = Rename("k", value="v")

    assert (renamed.key, renamed.value, renamed.reason) == ("k", "v", "none")
    assert renamed == Rename(key="k", value="v", reason="none")
    assert renamed != Rename("k", "w")
    assert hash(renamed) == hash(Rename("k", "v"))


def test_a_command_matches_by_position() -> None:
    match Rename("k", "v", "typo"):
        case Rename(key, value, reason):
            assert (key, value, reason) == ("k", "v", "typo")
        case _:
            pytest.fail("it did not match")


@pytest.mark.parametrize(
    ("values", "named", "problem"),
    [
        (("k",), {}, r"lacks \['value'\]"),
        (("k", "v", "r", "x"), {}, "takes 3 fields, got 4 values"),
        (("k", "v"), {"key": "k"}, r"got \['key'\] twice"),
        (("k", "v"), {"keys": "k"}, r"has no fields \['keys'\]"),
    ],
    ids=["missing", "too-many", "twice", "unknown"],
)
def test_wrong_fields_are_refused(
    values: tuple[str, ...], named: dict[str, str], problem: str
) -> None:
    with pytest.raises(TypeError, match=problem):
        Rename(*values, **named)


def test_a_command_never_changes() -> None:
    renamed = Rename("k", "v")

    with pytest.raises(AttributeError, match="frozen"):
        renamed.key = "other"  # type: ignore[misc]  # the test's point
    with pytest.raises(AttributeError, match="frozen"):
        del renamed.key
    assert renamed.with_fields(key="other") == Rename("other", "v")
