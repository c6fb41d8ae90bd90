"""Limits of keys, values and labels. Generous; longer input is rejected, never truncated.

Azure ML's smaller limits (50 tags of 100 characters, metric names of 255 ...) are those of a
service; an embedded store does not need them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from runlore.domain.errors import InvalidInput, InvalidType
from runlore.domain.visible_text import first_reordering

KEY_MAX_CHARS: Final = 1_000
"""Tag and property keys, metric and column names, run names."""

FILE_NAME_MAX_CHARS: Final = 5_000
"""Names of a run's files; the artifact store checks that they are safe paths."""

VALUE_MAX_BYTES: Final = 2**20
"""Tag and property values and descriptions, as UTF-8."""


def check_key(key: object, what: str, max_chars: int = KEY_MAX_CHARS) -> str:
    """The key as a plain str; `what` names it in errors ("tag key", "metric name").

    Raises InvalidType if it is not a str; InvalidInput if it is empty, too long, holds control
    characters or cannot be written as UTF-8.
    """
    if not isinstance(key, str):
        raise InvalidType(f"{what} must be a str, got {type(key).__name__} {key!r:.80}")
    if not key:
        raise InvalidInput(f"{what} is empty; give it at least one character")
    if len(key) > max_chars:
        raise InvalidInput(
            f"{what} {key[:40]!r}... has {len(key)} characters; the limit is {max_chars}"
        )
    if not key.isprintable() and any(ord(c) < 32 or 127 <= ord(c) < 160 for c in key):
        raise InvalidInput(f"{what} {key!r:.80} holds control characters; remove them")
    _check_utf8(key, what)
    return _plain(key)


def check_new_key(key: object, what: str, max_chars: int = KEY_MAX_CHARS) -> str:
    """The same for a key that is about to be recorded: it must not change the order of text.

    Logs of earlier versions hold such keys, and they are read as any other.
    """
    checked = check_key(key, what, max_chars)
    check_order(checked, what)
    return checked


def check_order(text: str, what: str) -> None:
    """Raise InvalidInput if the text would break or reverse the line that it is shown in."""
    found = first_reordering(text)
    if found is not None:
        raise InvalidInput(
            f"{what} {text!r:.80} holds U+{ord(found):04X}, which breaks a line or reverses its "
            "order where it is shown; remove it"
        )


def check_keys(keys: object, what: str) -> list[str]:
    """The keys of an iterable without duplicates, in order; `what` is, say, "tag".

    A single text raises InvalidType: nobody means its characters.
    """
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise InvalidType(
            f"{_plural(what)} to remove must be a list of keys, "
            f"got {type(keys).__name__} {keys!r:.80}"
        )
    return list(dict.fromkeys(check_key(key, f"{what} key") for key in keys))


def check_text(text: object, what: str) -> str:
    """The text as a plain str: at most 1 MiB of UTF-8, any characters but lone surrogates."""
    if not isinstance(text, str):
        raise InvalidType(f"{what} must be a str, got {type(text).__name__} {text!r:.80}")
    nbytes = _check_utf8(text, what)
    if nbytes > VALUE_MAX_BYTES:
        raise InvalidInput(
            f"{what} has {nbytes} bytes; the limit is {VALUE_MAX_BYTES}: "
            "upload large content as a file with run.upload_file()"
        )
    return _plain(text)


def check_reason(reason: object, of_what: str) -> str:
    """The reason for a change, which must not be blank; `of_what` is, say, "a correction"."""
    text = check_text(reason, f"the reason for {of_what}")
    if not text.strip():
        raise InvalidInput(f"{of_what} needs a reason; it is recorded in the log")
    return text


def check_new_pairs(pairs: object, what: str) -> dict[str, str | None]:
    """The same as `check_pairs`, for keys that are about to be recorded."""
    checked = check_pairs(pairs, what)
    for key in checked:
        check_order(key, f"{what} key")
    return checked


def check_pairs(pairs: object, what: str) -> dict[str, str | None]:
    """A mapping of keys to texts or None as a plain dict, in order; `what` is, say, "tag"."""
    if not isinstance(pairs, Mapping):
        raise InvalidType(
            f"{_plural(what)} must be a dict of str to str or None, got {type(pairs).__name__}"
        )
    return {
        check_key(key, f"{what} key"): None
        if value is None
        else check_text(value, f"value of {what} {key!r:.80}")
        for key, value in pairs.items()
    }


def _plain(text: str) -> str:
    # Not str(text): a subclass (`class Colour(str, Enum)`) may override its text.
    return str.__str__(text)


def _plural(what: str) -> str:
    return "properties" if what == "property" else f"{what}s"


def _check_utf8(text: str, what: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{what} {text!r:.80} cannot be written as UTF-8 (character {error.start} is a "
            "lone surrogate); decode its bytes with the right encoding first"
        ) from error
