"""What keys, values and labels may be. One set of limits, generous, and raised instead of cut.

Azure ML's limits (50 tags of 100 characters, metric names of 255 ...) are a service's; an
embedded store keeps none of the small ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from runlore.domain.errors import InvalidInput, InvalidType

KEY_MAX_CHARS: Final = 1_000
"""Tag and property keys, metric and column names, run names."""

FILE_NAME_MAX_CHARS: Final = 5_000
"""Names of a run's files; whether one is a safe path is the artifact store's question."""

VALUE_MAX_BYTES: Final = 2**20
"""Tag and property values and descriptions, as UTF-8."""


def check_key(key: object, what: str, max_chars: int = KEY_MAX_CHARS) -> str:
    """The key as a plain str; `what` names it in errors ("tag key", "metric name").

    Raises InvalidType if it is no str; InvalidInput if it is empty, too long, holds control
    characters or cannot be written as UTF-8.
    """
    if not isinstance(key, str):
        raise InvalidType(f"{what} must be a str, got {type(key).__name__} {key!r:.80}")
    if not key:
        raise InvalidInput(f"{what} is empty; give it at least one character")
    if len(key) > max_chars:
        raise InvalidInput(
            f"{what} {key[:40]!r}... has {len(key)} characters; at most {max_chars} fit"
        )
    if not key.isprintable() and any(ord(c) < 32 or 127 <= ord(c) < 160 for c in key):
        raise InvalidInput(f"{what} {key!r:.80} holds control characters; leave them out")
    _check_utf8(key, what)
    return _plain(key)


def check_keys(keys: object, what: str) -> list[str]:
    """The keys of a list or another iterable, each once, in their order; `what` is "tag", say.

    One text alone raises InvalidType: its characters are not what was meant.
    """
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise InvalidType(
            f"{_plural(what)} to remove must be a list of keys, "
            f"got {type(keys).__name__} {keys!r:.80}"
        )
    return list(dict.fromkeys(check_key(key, f"{what} key") for key in keys))


def check_text(text: object, what: str) -> str:
    """The text as a plain str of at most 1 MiB of UTF-8; any character but lone surrogates."""
    if not isinstance(text, str):
        raise InvalidType(f"{what} must be a str, got {type(text).__name__} {text!r:.80}")
    nbytes = _check_utf8(text, what)
    if nbytes > VALUE_MAX_BYTES:
        raise InvalidInput(
            f"{what} has {nbytes} bytes; at most {VALUE_MAX_BYTES} fit: "
            "keep large content as a file with run.upload_file()"
        )
    return _plain(text)


def check_reason(reason: object, of_what: str) -> str:
    """Why something was done, as a text that says something; `of_what` is "a correction", say."""
    text = check_text(reason, f"the reason of {of_what}")
    if not text.strip():
        raise InvalidInput(f"{of_what} needs a reason; say why, it is kept with it")
    return text


def check_pairs(pairs: object, what: str) -> dict[str, str | None]:
    """A mapping of keys to texts or None as a plain dict, in its order; `what` is "tag", say."""
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
    # Not str(text): a subclass (`class Colour(str, Enum)`) may show another text than it holds.
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
