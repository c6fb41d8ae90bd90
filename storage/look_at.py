"""The size and digest of a file that its user names by a URI, as far as it can be read.

Only for URIs that this process's own program gives, never for those of a log.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from runlore.domain.errors import RunloreError
from runlore.storage.object_places import is_object_uri, object_place

OBJECT_MAX_NBYTES: Final = 256 * 2**20
"""A larger object is not fetched for its digest."""

_CHUNK_NBYTES: Final = 2**20


class Seen(NamedTuple):
    """The size and the SHA-256 of a file; None where they are not known."""

    nbytes: int | None
    sha256: str | None


def look_at(uri: str) -> Seen:
    """The size and digest of the file at a URI. Never raises for a file that cannot be read."""
    with suppress(OSError, RunloreError, ValueError):
        if is_object_uri(uri):
            return _object(uri)
        if uri.startswith("file:"):
            path = Path(unquote(urlsplit(uri).path))
            if path.is_file():  # A pipe would be waited for.
                with path.open("rb") as file:
                    return _seen(file)
    return Seen(None, None)


def _object(uri: str) -> Seen:
    try:  # Imported here: it loads the library.
        from runlore.storage.artifact_objects import open_object
    except ImportError:
        return Seen(None, None)
    file = open_object(object_place(uri))
    with file:
        nbytes = file.seek(0, os.SEEK_END)
        if nbytes > OBJECT_MAX_NBYTES:
            return Seen(nbytes, None)
        file.seek(0)
        return _seen(file)


def _seen(file: IO[bytes]) -> Seen:
    digest, nbytes = hashlib.sha256(), 0
    while chunk := file.read(_CHUNK_NBYTES):
        digest.update(chunk)
        nbytes += len(chunk)
    return Seen(nbytes, digest.hexdigest())
