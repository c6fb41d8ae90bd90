"""Which references a caller allows: places below a folder, or below the beginning of a URL.

A reference is text from a log, and may have been chosen to look as if it were below an allowed
place. So both are taken apart, their parts compared one by one, and every form is refused that
programs read in different ways: `..`, encoded slashes, users, backslashes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, unquote_to_bytes, urlsplit

from runlore.domain.errors import InvalidInput, UserError
from runlore.storage.object_places import is_object_uri, object_place

WEB: Final = {"http": 80, "https": 443}
"""The schemes that are fetched from other machines, and their ports."""

_STRANGE: Final = re.compile(r"[\x00-\x20\x7f-\uffff\U00010000-\U0010ffff\\]")
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DOTS: Final = (".", "..")


class ReferenceRefused(UserError):
    """A reference is not followed: its place is not allowed, or its form is unsafe."""

    def __init__(self, reference: str, problem: str) -> None:
        super().__init__(
            f"the reference {reference!r:.500} is not followed: {problem}; it is text of the log, "
            "which anybody may have written: if you trust the place, pass allow=[...] with the "
            "folder, or the beginning of the URL, below which it is"
        )
        self.reference = reference
        self.problem = problem


class Place(NamedTuple):
    """The parts of a path: on this machine, (); on a server or in a bucket, (scheme, host, port).

    A bucket is a host whose port is 0.
    """

    server: tuple[str, str, int] | tuple[()]
    parts: tuple[str, ...]

    def is_below(self, above: Place) -> bool:
        """Whether this is the other place or below it."""
        return self.server == above.server and self.parts[: len(above.parts)] == above.parts


def place_of(reference: str) -> Place:
    """The place of a file's URI or absolute path. Raises ReferenceRefused."""
    try:
        if os.path.isabs(reference):
            return Place((), _path_parts(reference))
        return _place_of_uri(reference)
    except ValueError as error:
        raise ReferenceRefused(reference, str(error)) from error


def allowed(reference: str, allow: Iterable[str | os.PathLike[str]]) -> Place:
    """The allowed place that a reference is at or below.

    Raises ReferenceRefused if there is none, and InvalidInput for a place that cannot be allowed.
    """
    if isinstance(allow, str | os.PathLike):
        raise InvalidInput(f"allow is a list of folders and URLs, got {allow!r:.200}")
    prefixes = [os.fspath(prefix) for prefix in allow]
    places = [_allowed_place(prefix) for prefix in prefixes]
    found = place_of(reference)
    above = next((place for place in places if found.is_below(place)), None)
    if above is None:
        raise ReferenceRefused(reference, "it is below no place that allow=[...] names")
    if _query_of(reference) and reference not in prefixes:
        raise ReferenceRefused(reference, "it has a query, so only the whole URL can be allowed")
    return above


def _allowed_place(prefix: str) -> Place:
    try:
        if os.path.isabs(prefix):
            return Place((), _path_parts(os.path.join(prefix, "")))
        return _place_of_uri(prefix)
    except ValueError as error:
        raise InvalidInput(
            f"allow cannot name {prefix!r:.200}: {error}; give an absolute folder, or the "
            "beginning of a file, http, https, s3, gs or az URL"
        ) from error


def _query_of(reference: str) -> str:
    return "" if os.path.isabs(reference) else urlsplit(reference).query


def _path_parts(path: str) -> tuple[str, ...]:
    """The parts of an absolute path, whose last may be empty: then it is a folder's."""
    if "\0" in path:
        raise ValueError("it holds a zero byte")
    return _checked(path.removeprefix("/").split("/"))


def _place_of_uri(uri: str) -> Place:
    if is_object_uri(uri):
        place = object_place(uri)  # Raises InvalidInput, which is a ValueError.
        return Place((place.scheme, place.bucket, 0), _checked(place.prefix.split("/")))
    if _STRANGE.search(uri) or _BAD_PERCENT.search(uri):
        raise ValueError("it holds characters that a URI cannot have")
    if _SCHEME.match(uri) is None:
        raise ValueError("it is neither a URI nor an absolute path")
    split = urlsplit(uri)
    if "#" in uri:
        raise ValueError("it has a fragment")
    if split.scheme == "file":
        if split.netloc.lower() not in ("", "localhost") or "?" in uri or split.path[:1] != "/":
            raise ValueError("it is not the URI of a file of this machine")
        return Place((), _decoded(split.path, os.fsdecode))
    if split.scheme not in WEB:
        raise ValueError(f"files of the scheme {split.scheme}: are not fetched")
    return Place(_server(split), _decoded(split.path or "/", _as_text))


def _server(split: SplitResult) -> tuple[str, str, int]:
    if "@" in split.netloc:
        raise ValueError("it has a user")
    port, host = split.port, split.hostname  # The port raises ValueError itself.
    if not host or "%" in host or split.netloc.endswith(":"):
        raise ValueError("its host is missing or unusual")
    return split.scheme, host.rstrip("."), WEB[split.scheme] if port is None else port


def _as_text(part: bytes) -> str:
    return part.decode()  # Raises UnicodeDecodeError, which is a ValueError.


def _decoded(path: str, as_text: Callable[[bytes], str]) -> tuple[str, ...]:
    parts = path.removeprefix("/").split("/")
    return _checked([_plain(as_text(unquote_to_bytes(part))) for part in parts])


def _plain(part: str) -> str:
    """A decoded part, if no server can take it for several, or for the folder above."""
    again = unquote(part)
    for form in (part, again):
        if not {"/", "\\", "\0"}.isdisjoint(form) or form.partition(";")[0] in _DOTS:
            raise ValueError("a part of its path is an encoded slash or '..'")
    return part


def _checked(parts: list[str]) -> tuple[str, ...]:
    """The parts without a last empty one. Raises ValueError for '..' and the like."""
    kept = parts[:-1] if parts and not parts[-1] else parts
    if "" in kept or not set(_DOTS).isdisjoint(kept):
        raise ValueError("a part of its path is empty, '.' or '..'")
    return tuple(kept)
