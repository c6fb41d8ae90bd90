"""Who looks: the roles and tokens of the people who use a Studio."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from runlore.domain.errors import InvalidInput, UserError

_SECRET_NBYTES: Final = 24
_SECRET: Final = re.compile(r"[A-Za-z0-9._~-]{16,500}")  # It can stand in URLs and cookies.


class NotTheOwner(UserError):
    """Only the user who serves may have what he likes executed."""

    def __init__(self) -> None:
        super().__init__(
            "a token submits again what is in the workspace, and no folder of the machine that "
            "serves; submit it there with `runlore run submit-script`, or give `repeats`"
        )


class Role(StrEnum):
    """The rights of a viewer. An editor may also change runs."""

    VIEWER = "viewer"
    EDITOR = "editor"


@dataclass(frozen=True)
class Viewer:
    """Somebody who looks. Changes are recorded with the name `actor`, or else with the server's.

    The owner is the user who serves, at this machine: not anybody with a token.
    """

    role: Role
    actor: str | None = None
    is_owner: bool = False


@dataclass(frozen=True)
class Token:
    """A secret that lets a viewer in; only its digest is kept."""

    digest: bytes = field(repr=False)
    viewer: Viewer


def token_of(text: str, role: Role) -> Token:
    """The token that a text names: `SECRET`, or `NAME:SECRET` to record changes as NAME's.

    Raises InvalidInput, which does not show the secret.
    """
    secret = secret_in(text)
    if not _SECRET.fullmatch(secret):
        raise InvalidInput(
            "a token is at least 16 letters, digits and characters of -._~, perhaps after a name "
            "and a colon; leave it out to get one, or make one with `openssl rand -hex 24`"
        )
    return Token(_digest(secret), Viewer(role, text.rpartition(":")[0].strip() or None))


def secret_in(text: str) -> str:
    """The secret of such a text."""
    return text.rpartition(":")[2].strip()


def new_secret() -> str:
    """A secret that cannot be guessed, and can stand in a URL."""
    return secrets.token_urlsafe(_SECRET_NBYTES)


def viewer_of(secret: str, tokens: Iterable[Token]) -> Viewer | None:
    """Who has this secret. It takes as long for a wrong one as for a right one."""
    given, found = _digest(secret), None
    for token in tokens:
        if hmac.compare_digest(given, token.digest):
            found = token.viewer
    return found


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
