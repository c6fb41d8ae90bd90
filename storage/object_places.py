"""Addresses of object stores: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput

SCHEMES: Final = ("s3", "gs", "az")
_ADDRESS: Final = re.compile(r"(s3|gs|az)://(.*)", re.DOTALL)
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_PART: Final = re.compile(r"[A-Za-z0-9._=,+@ -]{1,255}")


class ObjectPlace(NamedTuple):
    """A prefix in a bucket of an object store; the prefix may be empty."""

    scheme: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    def below(self, name: str) -> ObjectPlace:
        """A part of this place."""
        return self._replace(prefix=f"{self.prefix}/{name}".lstrip("/"))

    def is_below(self, above: ObjectPlace) -> bool:
        """Whether this is the other place, or a part of it."""
        parts, parts_above = self._parts(), above._parts()
        return parts[: len(parts_above)] == parts_above

    def _parts(self) -> list[str]:
        return [self.scheme, self.bucket, *filter(None, self.prefix.split("/"))]


def is_object_uri(text: object) -> bool:
    """Whether a text begins as the address of an object store does."""
    return isinstance(text, str) and _ADDRESS.match(text) is not None


def object_place(uri: str) -> ObjectPlace:
    """The place of an address.

    Raises InvalidInput for another form. Its message does not repeat what may be a password.
    """
    match = _ADDRESS.fullmatch(uri)
    if match is None:
        raise InvalidInput(
            f"{uri!r:.80} is not the address of an object store; give s3://bucket/prefix, "
            "gs://bucket/prefix or az://container/prefix"
        )
    scheme, rest = match[1], match[2]
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket or ":" in bucket or "?" in rest or "#" in rest:
        raise InvalidInput(
            f"the address of the {scheme} store has a user, password, port or query, which are "
            "not kept: leave them out; credentials come from the environment or the profile, "
            "see docs/files.md"
        )
    parts = prefix.strip("/").split("/") if prefix.strip("/") else []
    if _BUCKET.fullmatch(bucket) is None or not all(map(_is_plain, parts)):
        raise InvalidInput(
            f"{uri!r:.200} cannot be a place for files: the bucket and each part of the prefix "
            "are made of letters, digits and . _ - ; give s3://bucket/prefix"
        )
    return ObjectPlace(scheme, bucket, "/".join(parts))


def _is_plain(part: str) -> bool:
    return part not in (".", "..") and _PART.fullmatch(part) is not None
