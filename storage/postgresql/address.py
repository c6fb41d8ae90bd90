"""The URI of a workspace in PostgreSQL: libpq's, and the schema that the workspace is in.

    postgresql://user@host:5432/database?schema=team&sslmode=verify-full

`schema` is ours and is cut off before libpq sees the URI; libpq knows all other settings. It never
holds a password: libpq takes one from PGPASSFILE, PGSERVICEFILE or PGPASSWORD, and
RUNLORE_POSTGRES_GET_PASSWORD names a function that returns one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from runlore.domain.errors import InvalidInput

_SCHEME: Final = "postgresql"
USUAL_SCHEMA: Final = "runlore"

_SCHEMA: Final = "schema"
_NAME_NBYTES: Final = 63  # PostgreSQL cuts off what is longer, so two names would be one.


@dataclass(frozen=True)
class Address:
    """A workspace's place: what libpq connects to, and the schema there. `uri` has both."""

    uri: str
    conninfo: str
    schema: str

    @property
    def quoted_schema(self) -> str:
        """The schema's name as SQL has it."""
        return '"' + self.schema.replace('"', '""') + '"'


def address_of(uri: str) -> Address:
    """The address that a URI means. Raises InvalidInput for one that is malformed.

    >>> address_of("postgres://db/lab").uri
    'postgresql://db/lab?schema=runlore'
    """
    parts = urlsplit(uri)
    if parts.fragment:
        shown = uri.partition("#")[0]
        raise InvalidInput(f"cannot open {shown!r:.200}: a URI of PostgreSQL has no part after #")
    options = parse_qsl(parts.query, keep_blank_values=True)
    schemas = [value for key, value in options if key == _SCHEMA]
    rest = [(key, value) for key, value in options if key != _SCHEMA]
    schema = schemas[-1] if schemas else USUAL_SCHEMA
    if len(schemas) > 1:
        raise InvalidInput(f"cannot open {uri!r:.200}: it names {len(schemas)} schemas; name one")
    _check_schema(schema)
    query = urlencode(rest, quote_via=quote)
    plain = urlunsplit((_SCHEME, parts.netloc, parts.path, query, ""))
    if not parts.netloc:  # urlunsplit leaves out the slashes of an empty host.
        plain = plain.replace(f"{_SCHEME}:", f"{_SCHEME}://", 1)
    own = urlencode({_SCHEMA: schema}, quote_via=quote)
    return Address(f"{plain}{'&' if query else '?'}{own}", plain, schema)


def _check_schema(schema: str) -> None:
    problem = None
    if not schema:
        problem = "it is empty"
    elif len(schema.encode(errors="replace")) > _NAME_NBYTES:
        problem = f"PostgreSQL's names have at most {_NAME_NBYTES} bytes"
    elif not re.fullmatch(r"[^\W\d][\w -]*", schema):
        problem = "a name has letters, digits, _ and -, and begins with a letter"
    elif schema.startswith("pg_") or schema in ("public", "information_schema"):
        problem = "it is not for one workspace alone"
    if problem is not None:
        raise InvalidInput(
            f"schema={schema!r:.80} cannot hold a workspace: {problem}; give each workspace a "
            "schema of its own, such as ?schema=team"
        )
