"""A run's config: nested JSON whose leaves get their value once.

A leaf is named by its keys from the outside in, joined with dots: `{"optimizer": {"lr": 0.1}}` has
the leaf `optimizer.lr`. A dot or a backslash inside a key is escaped with a backslash. Everything
but a non-empty object is a leaf: lists are values, not places.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from runlore.domain.errors import InvalidInput, InvalidType
from runlore.domain.text import VALUE_MAX_BYTES, check_key, check_order

DEPTH_MAX: Final = 100
"""How deep objects and lists may be nested."""

_PART: Final = re.compile(r"(?:[^.\\]|\\.)+", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_INTS: Final = range(-(2**63), 2**64)


def check_config(config: object) -> dict[str, Any]:
    """The config as plain JSON values, in order.

    Raises InvalidType for keys that are no texts and for values that JSON does not have;
    InvalidInput for numbers that it cannot hold, and beyond the limits.
    """
    if not isinstance(config, Mapping):
        raise InvalidType(f"config must be a dict, got {type(config).__name__} {config!r:.80}")
    plain = {check_key(key, "config key"): _plain(value, key, 1) for key, value in config.items()}
    nbytes = len(json_text(plain).encode())
    if nbytes > VALUE_MAX_BYTES:
        raise InvalidInput(
            f"config has {nbytes} bytes as JSON; the limit is {VALUE_MAX_BYTES}: "
            "upload large content as a file with run.upload_file()"
        )
    return plain


def check_leaf(value: object, key: str) -> str:
    """The JSON text of one leaf. Raises as `check_config`, and InvalidInput for an object."""
    plain = check_config({key: value})[key]
    if isinstance(plain, dict) and plain:
        raise InvalidInput(
            f"config key {key!r:.80} cannot become an object; correct its keys one by one: "
            + ", ".join(f"{key}.{escaped(inner)}" for inner in list(plain)[:3])
        )
    return json_text(plain)


def json_text(value: Any) -> str:
    """The value as compact JSON; equal values of equal types have equal texts, but for the order.

    >>> json_text({"lr": 0.1, "layers": [64, 64]})
    '{"lr":0.1,"layers":[64,64]}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def check_new_config(config: object) -> dict[str, Any]:
    """The same for a config that is about to be recorded; see `check_new_key`."""
    plain = check_config(config)
    for key in flattened(plain):
        check_order(key, "config key")
    return plain


def flattened(config: Mapping[str, Any]) -> dict[str, str]:
    """The JSON text of each leaf, by its flattened key, in order.

    >>> flattened({"a": {"b": 1, "c.d": None}, "e": {}})
    {'a.b': '1', 'a.c\\\\.d': 'null', 'e': '{}'}
    """
    return {key: json_text(value) for key, value in _leaves(config, "")}


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The config that has these values, by their flattened keys.

    >>> nested({"a.b": 1, "a.c\\\\.d": None, "e": {}})
    {'a': {'b': 1, 'c.d': None}, 'e': {}}
    """
    config: dict[str, Any] = {}
    for name, value in leaves.items():
        *outer, last = (_ESCAPED.sub(r"\1", part) for part in _PART.findall(name))
        place = config
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = value
    return config


def escaped(key: str) -> str:
    """One key as a part of a flattened one."""
    return key.replace("\\", "\\\\").replace(".", "\\.")


def above(key: str) -> Iterator[str]:
    """The flattened keys of the objects that a leaf is in, from the inside out.

    >>> list(above("a.b\\\\.c.d"))
    ['a.b\\\\.c', 'a']
    """
    place = len(key)
    while (place := key.rfind(".", 0, place)) > 0:
        before = key[:place]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            yield before


def number_of(text: str) -> float | None:
    """The number that a leaf's JSON is, or that its text says; None if it is neither.

    >>> number_of("0.1"), number_of('"1e-3"'), number_of("true"), number_of('"fast"')
    (0.1, 0.001, None, None)
    """
    value = json.loads(text)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _leaves(config: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        name = before + escaped(key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield name, value


def _plain(value: object, key: str, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise InvalidInput(f"config key {key!r:.80} is nested more than {DEPTH_MAX} deep")
    match value:
        case None | bool():
            return value
        case str():
            return _text(str.__str__(value), key)
        case int():
            if int(value) not in _INTS:
                raise InvalidInput(
                    f"config key {key!r:.80} has the whole number {value}, which takes more than "
                    "64 bits; give it as text"
                )
            return int(value)
        case float():
            if not math.isfinite(value):
                raise InvalidInput(
                    f"config key {key!r:.80} is {value}, which JSON cannot hold; give it as text"
                )
            return float(value)
        case Mapping():
            return {
                check_key(inner, f"config key below {key!r:.80}"): _plain(item, key, depth + 1)
                for inner, item in value.items()
            }
        case list() | tuple():
            return [_plain(item, key, depth + 1) for item in value]
    raise InvalidType(
        f"config key {key!r:.80} has a value of the type {type(value).__name__}, which JSON does "
        "not have; convert it to text, a number, a list or a dict first"
    )


def _text(text: str, key: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"config key {key!r:.80} has text that cannot be written as UTF-8 (character "
            f"{error.start} is a lone surrogate)"
        ) from error
    return text
