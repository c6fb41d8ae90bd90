"""The values of a run configuration: each checked, or refused with advice on a valid one."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterable, Mapping

from runlore.exceptions import RunConfigurationException


def refusal(what: str, expected: str, found: object, to_do: str) -> RunConfigurationException:
    """The error for an unexpected value."""
    kind = "nothing" if found is None else f"{found!r:.80} ({type(found).__name__})"
    return RunConfigurationException(f"{what} must be {expected}, found {kind}; {to_do}")


def text(value: object, what: str) -> str:
    """A string that a command line or an environment can carry."""
    if not isinstance(value, str):
        raise refusal(what, "a string", value, "put it in quotes")
    if "\0" in value:
        raise refusal(what, "a string without NUL characters", value, "leave them out")
    return str.__str__(value)  # subclasses (enums) count as what they hold


def path(value: object, what: str) -> str:
    """A path, as a string."""
    return text(os.fspath(value) if isinstance(value, os.PathLike) else value, what)


def truth(value: object, what: str) -> bool:
    """True or false, and nothing that only looks like it."""
    if not isinstance(value, bool):
        raise refusal(what, "true or false", value, "write it without quotes")
    return value


def positive(value: object, what: str) -> int:
    """A whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise refusal(what, "a whole number from 1", value, "give a number, or leave it out")
    return int(value)


def whole(value: object, what: str) -> int:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise refusal(what, "a whole number", value, "give a number, or leave it out")
    return int(value)


def texts(value: object, what: str) -> list[str]:
    """A list of arguments; numbers and paths become text, as on a command line."""
    if isinstance(value, (str, bytes)):
        raise refusal(what, "a list", value, 'pass a list, one item a word: ["--alpha", 0.5]')
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise refusal(what, "a list", value, 'pass a list: ["--alpha", 0.5]')
    return [_argument(item, f"{what}[{place}]") for place, item in enumerate(value)]


def _argument(value: object, what: str) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif isinstance(value, numbers.Number):
        value = str(value)
    if not isinstance(value, str):
        raise refusal(
            what, "a string, a number or a path", value, "pass each argument as an item of its own"
        )
    return text(value, what)


def command(value: object, what: str) -> str | list[str] | None:
    """A command line, as one text or as a list; None if it is empty."""
    if value is None:
        return None
    return (text(value, what) if isinstance(value, str) else texts(value, what)) or None


def variables(value: object, what: str) -> dict[str, str]:
    """Environment variables; numbers become texts."""
    if not isinstance(value, Mapping):
        raise refusal(what, "a mapping of names to strings", value, 'give {"NAME": "value"}')
    return {
        _variable(name, what): _argument(held, f"{what}[{name}]") for name, held in value.items()
    }


def _variable(name: object, what: str) -> str:
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise refusal(f"a name in {what}", "a string without '='", name, "rename the variable")
    return str.__str__(name)
