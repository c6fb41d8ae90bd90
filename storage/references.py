"""Files by reference, fetched from the places that the caller allows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, TypeAlias
from urllib import request

from runlore.domain.errors import RunloreError
from runlore.storage.allowed_places import Place, allowed, place_of
from runlore.storage.atomic_files import replacing
from runlore.storage.held_path import AnyPath, hold
from runlore.storage.object_places import SCHEMES, object_place

if TYPE_CHECKING:
    from http.client import HTTPResponse

    _Source: TypeAlias = IO[bytes] | HTTPResponse

_CHUNK_NBYTES: Final = 2**20


class ReferenceNotFetched(RunloreError, OSError):
    """The file at a reference cannot be read, or is not the one that the log means."""

    def __init__(self, reference: str, problem: object) -> None:
        super().__init__(
            f"the file at {reference!r:.500} was not fetched: {problem}; nothing was written"
        )
        self.reference = reference
        self.problem = problem


def fetch(
    reference: str,
    allow: Iterable[str | os.PathLike[str]],
    destination: AnyPath,
    *,
    nbytes: int | None = None,
    sha256: str | None = None,
    timeout_s: float = 60.0,
) -> None:
    """Write the file at a reference, if its place is allowed, whole or not at all.

    No link below the allowed place is followed, and no redirect. An object is read with this user's
    credentials for its store. `timeout_s` is how long a server may be silent. Raises
    ReferenceRefused, FileNotWritten; ReferenceNotFetched also if the size or the digest is another
    one.
    """
    above = allowed(reference, allow)
    with _opened(reference, above, timeout_s) as source, replacing(destination) as file:
        digest, count = hashlib.sha256(), 0
        for chunk in _chunks(reference, source):
            digest.update(chunk)
            count += len(chunk)
            if nbytes is not None and count > nbytes:
                break  # It may have no end.
            file.write(chunk)
        if nbytes not in (None, count):
            raise ReferenceNotFetched(reference, f"it has not {nbytes:,} bytes, as the log says")
        if sha256 not in (None, digest.hexdigest()):
            problem = f"its SHA-256 is {digest.hexdigest()}, the log says {sha256}"
            raise ReferenceNotFetched(reference, problem)


@contextmanager
def _opened(reference: str, above: Place, timeout_s: float) -> Iterator[_Source]:
    found = place_of(reference)
    try:
        source = _source(reference, found, above, timeout_s)
    except (OSError, ValueError, RunloreError) as error:  # http.client raises the first two.
        raise ReferenceNotFetched(reference, error) from error
    with source:
        yield source


def _source(reference: str, found: Place, above: Place, timeout_s: float) -> _Source:
    if not found.server:
        return _from_disk(found, above)
    if found.server[0] in SCHEMES:
        return _from_store(reference)
    return _from_web(reference, timeout_s)


def _from_store(uri: str) -> IO[bytes]:
    try:  # Imported here: it loads the library.
        from runlore.storage.artifact_objects import open_object
    except ImportError:
        raise ReferenceNotFetched(
            uri, "the library for object stores is missing: run `pip install 'runlore[cloud]'`"
        ) from None
    return open_object(object_place(uri))


def _from_disk(found: Place, above: Place) -> IO[bytes]:
    # If the file itself is allowed, the folder is the one that it is in.
    top = above.parts[: len(found.parts) - 1]
    path = hold("/" + "/".join(top))
    for part in found.parts[len(top) :]:
        path = path / part
    return path.open_file()


def _from_web(url: str, timeout_s: float) -> HTTPResponse:
    opener = request.OpenerDirector()  # Without the handlers of redirects, files and FTP.
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPErrorProcessor(),
        request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    response: HTTPResponse = opener.open(url, timeout=timeout_s)
    return response


def _chunks(reference: str, source: _Source) -> Iterator[bytes]:
    while True:
        try:
            chunk = source.read(_CHUNK_NBYTES)
        except Exception as error:  # http.client has errors that are not OSErrors.
            raise ReferenceNotFetched(reference, error) from error
        if not chunk:
            return
        yield chunk
