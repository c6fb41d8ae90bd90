"""Changes of bytes, texts and trees (of msgpack, JSON or YAML) that keep their structure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, Final

import msgpack

NUMBERS: Final = (
    *(0, 1, -1, 2, 3, 7, 127, 128, 255, 256, 65_535, 65_536),
    *(2**31 - 1, 2**31, 2**32, 2**53 - 1, 2**53, 2**62, 2**63 - 1, -(2**63), 2**63, 2**64 - 1),
    *(10_000_000, 10**8, 10**12, 253_402_300_799_999_999, 253_402_300_800_000_000),
    *(0.0, -0.0, 0.5, 1e308, -1e-308, float("inf"), float("-inf"), float("nan")),
)
TEXTS: Final = (
    *("", "a", "lr", "loss", "é", "\u0130", "\u212a", "\U0001f680", "0", "-1", "1e400", "null"),
    *("\0", "\n", "\x1b[2J", "\u202e", "\u2028", "\u200d", "\ufeff", "\x85", "=1+1"),
    *(".", "..", "../x", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "run/../x", "x" * 300),
    *("Running", "Completed", "Failed", "scalar", "row", "image", "run.created", "r", "e1"),
    *("a" * 32, "f" * 64, "2026-03-03T12:00:00+00:00", "2026-03-03", "{}", "[]", '{"a":1}'),
)
JSON_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    *NUMBERS,
    *TEXTS,
    [],
    {},
    [1, 2],
    {"a": None},
)
MSGPACK_VALUES: Final[tuple[Any, ...]] = (
    *JSON_VALUES,
    *(b"", b"\xc1", b"\xc1erased", bytes(8), bytes(16), bytes(32), b"\x91" * 700),
    *(msgpack.ExtType(1, b"ff"), msgpack.ExtType(1, b"zz"), msgpack.ExtType(7, b"x")),
    msgpack.Timestamp(1, 2),
)
_DEPTHS: Final = (3, 90, 120, 400, 600)
_MOST_PLACES: Final = 2_000

Place = tuple[Any, Any]
"""A list or a dict, and an index or a key in it."""


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """Some bytes changed, removed, repeated or added: for the short form, and for leaves."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(content) + 1)
        length = random.choice((1, 1, 2, 4, 8, 16, 64))
        match random.randrange(6):
            case 0 if content:
                content[at % len(content)] ^= 1 << random.randrange(8)
            case 1:
                content[at : at + length] = random.randbytes(length)
            case 2:
                content[at:at] = random.randbytes(length)
            case 3:
                del content[at : at + length]
            case 4:
                content[at:at] = content[at : at + length]
            case _:
                number = random.choice(NUMBERS)
                if isinstance(number, int):
                    width = random.choice((1, 2, 4, 8))
                    bytes_of = (number % (1 << 8 * width)).to_bytes(width, "little")
                    content[at : at + width] = bytes_of
    return bytes(content)


def mutated_text(text: str, random: Random, words: Sequence[str] = TEXTS) -> str:
    """Some parts of a text changed, removed, repeated or replaced by words."""
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(text) + 1)
        to = min(len(text), at + random.choice((0, 0, 1, 1, 2, 5, 20)))
        match random.randrange(6):
            case 0:
                text = text[:at] + random.choice(words) + text[to:]
            case 1:
                text = text[:at] + text[to:]
            case 2:
                text = text[:to] + text[at:to] * random.choice((1, 1, 2, 50)) + text[to:]
            case 3:
                text = text[:at] + chr(_character(random)) + text[to:]
            case 4:
                there = random.randrange(len(text) + 1)
                text = text[:at] + text[there : there + 20] + text[to:]
            case _:
                text = text[:at] + random.choice(words) + text[at:]
    return text


def _character(random: Random) -> int:
    found = random.choice(
        (
            random.randrange(0x20),
            random.randrange(0x20, 0x7F),
            random.randrange(0x7F, 0x300),
            random.randrange(0x2000, 0x2100),
            random.randrange(0x1_0000),
            random.randrange(0x11_0000),
        )
    )
    return found if not 0xD800 <= found < 0xE000 else 0xFFFD


def mutated_tree(tree: Any, random: Random, values: Sequence[Any] = JSON_VALUES) -> Any:
    """The tree, changed in place at one or a few places."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        tree = _changed(tree, random, values)
    return tree


def _changed(tree: Any, random: Random, values: Sequence[Any]) -> Any:
    places = list(_places(tree))
    if not places:
        return random.choice(values)
    holder, key = random.choice(places)
    match random.randrange(8):
        case 0 | 1:
            holder[key] = random.choice(values)
        case 2:
            holder[key] = _other(holder[key], random)
        case 3:
            del holder[key]
        case 4 if isinstance(holder, list):
            holder.insert(key, holder[key])
        case 4 if isinstance(key, str):
            renamed = random.choice(values)
            if not isinstance(renamed, list | dict):
                holder[renamed] = holder.pop(key)
        case 5:
            from_holder, from_key = random.choice(places)
            if not _holds(from_holder[from_key], holder):
                holder[key] = from_holder[from_key]
        case 6:
            holder[key] = _nested(holder[key], random)
        case _ if isinstance(holder, dict):
            added = random.choice(values)
            if not isinstance(added, list | dict):
                holder[added] = random.choice(values)
        case _:
            holder.append(random.choice(values))
    return tree


def _places(tree: Any) -> Iterator[Place]:
    waiting, found = [tree], 0
    while waiting and found < _MOST_PLACES:
        holder = waiting.pop()
        if isinstance(holder, dict):
            places: list[Place] = [(holder, key) for key in holder]
        elif isinstance(holder, list):
            places = [(holder, index) for index in range(len(holder))]
        else:
            continue
        found += len(places)
        yield from places
        waiting.extend(held[key] for held, key in places)


def _holds(tree: Any, holder: Any) -> bool:
    """Whether a holder is inside of a tree: it cannot become a part of itself."""
    waiting = [tree]
    while waiting:
        found = waiting.pop()
        if found is holder:
            return True
        if isinstance(found, dict):
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)
    return False


def _other(value: Any, random: Random) -> Any:
    """A value of the same type that differs a little."""
    match value:
        case bool():
            return not value
        case int():
            return value + random.choice((-1, 1, 2, -value, value, 2**31, 2**62))
        case float():
            return random.choice((-value, value + 1, value * 1e300))
        case str():
            return mutated_text(value, random)
        case bytes():
            return mutated_bytes(value, random)
        case list():
            return value[: random.randrange(len(value) + 1)] * random.choice((1, 2))
        case _:
            return random.choice(JSON_VALUES)


def _nested(value: Any, random: Random) -> Any:
    wrap: Callable[[Any], Any] = random.choice((lambda v: [v], lambda v: {"a": v}))
    for _ in range(random.choice(_DEPTHS)):
        value = wrap(value)
    return value


def unpacked(data: bytes) -> Any:
    """The tree of msgpack bytes. Raises ValueError if they are none."""
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except Exception as error:  # msgpack raises many kinds of errors.
        raise ValueError("no msgpack") from error


def packed(tree: Any) -> bytes | None:
    """The tree as msgpack; None if msgpack cannot hold it."""
    try:
        data: bytes = msgpack.packb(tree)
    except (ValueError, OverflowError, TypeError):
        return None
    return data
