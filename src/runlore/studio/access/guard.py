"""The guard at the door of the Studio: who may ask, from which page, and what browsers may do.

It is the outermost layer of the application, so that nothing behind it sees a request that is
refused. It knows no workspace.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runlore.studio.access.peers import uid_of_peer
from runlore.studio.problems import problem
from runlore.studio.viewers import Role, Token, Viewer, viewer_of

VIEWER: Final = "runlore.viewer"
"""The key of the viewer in the scope of a request."""

_PARAMETER: Final = "token"
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_WRITING: Final = "application/json"
_QUESTION: Final = re.compile(r"/api/sql(/[^/]+)?")  # SQL is too long for addresses.
_SECRETS_MAX: Final = 3
_BODY_MAX_NBYTES: Final = 1_000_000
_URL_MAX_NBYTES: Final = 16_384
_TOO_LARGE: Final = f"a request may have {_BODY_MAX_NBYTES:,} bytes; send less at once"

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "font-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types studio default",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""What every answer says, unless it says something of its own."""


@dataclass(frozen=True)
class Policy:
    """Who may ask.

    `hosts` are the values of the header Host that lead here: a page of another site whose name was
    bound to this address is refused. The address itself, which no other site can have as its name,
    leads here as well. Without `tokens`, the user who serves may do everything, from this machine.
    `cookie` is the name under which browsers keep a token: they do not tell ports apart.
    """

    hosts: Collection[str]
    tokens: Sequence[Token] = ()
    base_path: str = ""
    cookie: str = "runlore_studio"
    uid: int = field(default_factory=os.getuid)


class Guard:
    """The application behind the guard."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the application answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # There are no web sockets.
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        # Routes are found whether or not a proxy has taken the base path away.
        behind = {**scope, "root_path": self._policy.base_path}
        await self._app(behind, _bounded(receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further; else its viewer is in the scope."""
        headers = _headers(scope)
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._leads_here(scope, hosts[0].lower()):
            return _said(
                scope, 421, "this name does not lead to the Studio; use the printed address"
            )
        if len(scope["raw_path"]) + len(scope["query_string"]) > _URL_MAX_NBYTES:
            return _said(
                scope, 414, "the address is too long; shorten the filter, or show fewer columns"
            )
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in asked if name == _PARAMETER), None)
        viewer = self._viewer(scope, headers, given)
        if viewer is None:
            return _said(
                scope,
                401,
                "a token is needed: open the address that `runlore studio` has printed, or send "
                "the header `Authorization: Bearer TOKEN`",
            )
        scope[VIEWER] = viewer
        if scope["method"] not in _SAFE:
            return self._may_not_write(scope, headers, viewer)
        return None if given is None else self._without_token(scope, given)

    def _leads_here(self, scope: Scope, host: str) -> bool:
        if host in self._policy.hosts:
            return True
        address, port = scope.get("server") or ("", None)
        return bool(address) and host == f"{bracketed(address)}:{port}"

    def _viewer(
        self, scope: Scope, headers: Mapping[str, list[str]], given: str | None
    ) -> Viewer | None:
        if not self._policy.tokens:
            return Viewer(Role.EDITOR, is_owner=True) if self._is_own_user(scope) else None
        secrets = [*([] if given is None else [given]), *_bearer(headers)]
        secrets += _cookies(headers, self._policy.cookie)
        found = [viewer_of(secret, self._policy.tokens) for secret in secrets[:_SECRETS_MAX]]
        return next((viewer for viewer in found if viewer is not None), None)

    def _is_own_user(self, scope: Scope) -> bool:
        peer, own = scope.get("client"), scope.get("server")
        if peer is None or own is None or not is_loopback(peer[0]):
            return False
        return uid_of_peer(tuple(peer), tuple(own)) in (self._policy.uid, 0)

    def _may_not_write(
        self, scope: Scope, headers: Mapping[str, list[str]], viewer: Viewer
    ) -> Response | None:
        """A browser says which page asks. Another site's can send forms and texts, but no JSON."""
        host = headers["host"][0]
        origins = [origin.lower() for origin in headers.get("origin", [])]
        if origins not in ([f"http://{host}".lower()], [f"https://{host}".lower()]):
            return _said(
                scope, 403, "only a page of this Studio may change something (header Origin)"
            )
        types = headers.get("content-type", [])
        if [one.partition(";")[0].strip().lower() for one in types] != [_WRITING]:
            return _said(scope, 415, f"a change is sent as {_WRITING}")
        if viewer.role is not Role.EDITOR and not self._is_question(scope):
            return _said(scope, 403, "this token may look, and change nothing; ask for an editor's")
        if any(int(nbytes) > _BODY_MAX_NBYTES for nbytes in headers.get("content-length", [])):
            return _said(scope, 413, _TOO_LARGE)
        return None

    def _is_question(self, scope: Scope) -> bool:
        """Whether a request changes nothing, though it is sent as changes are."""
        path = scope["path"].removeprefix(self._policy.base_path)
        return scope["method"] in ("POST", "DELETE") and _QUESTION.fullmatch(path) is not None

    def _without_token(self, scope: Scope, given: str) -> Response | None:
        """To the same page with the token as a cookie: an address is shown, sent and remembered."""
        if scope["method"] != "GET" or not self._policy.tokens:
            return None
        base = self._policy.base_path
        path = scope["raw_path"].decode("latin-1")
        if base and (path == base or path.startswith(f"{base}/")):
            path = path.removeprefix(base)  # A proxy may have taken it away already.
        # As it was written: an encoded question mark or percent sign must stay one.
        parts = scope["query_string"].decode("latin-1").split("&")
        query = "&".join(part for part in parts if part and not _is_token(part))
        target = f"{base}/{path.lstrip('/')}"
        response = RedirectResponse(f"{target}?{query}" if query else target, status_code=303)
        if viewer_of(given, self._policy.tokens) is not None:
            response.set_cookie(
                self._policy.cookie, given, httponly=True, samesite="strict", path=base or "/"
            )
        return response


def bracketed(address: str) -> str:
    """An address or name as it stands in URLs and in the header Host."""
    return f"[{address}]" if ":" in address else address


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _is_token(part: str) -> bool:
    return any(name == _PARAMETER for name, _ in parse_qsl(part, keep_blank_values=True))


def _said(scope: Scope, status: int, words: str) -> Response:
    """A refusal: for scripts as they expect errors, for people as a line of text."""
    if "/api/" in scope["path"]:
        return problem(status, HTTPStatus(status).phrase, words)
    return PlainTextResponse(f"{words}\n", status_code=status)


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _bearer(headers: Mapping[str, list[str]]) -> list[str]:
    pairs = [value.partition(" ") for value in headers.get("authorization", [])]
    return [secret.strip() for scheme, _, secret in pairs if scheme.lower() == "bearer"]


def _cookies(headers: Mapping[str, list[str]], name: str) -> list[str]:
    found: list[str] = []
    for value in headers.get("cookie", []):
        try:
            cookie = SimpleCookie(value).get(name)
        except CookieError:
            continue
        found += [] if cookie is None else [cookie.value]
    return found


def _bounded(receive: Receive) -> Receive:
    """A body that may not be too large; its length need not be told before."""
    left = _BODY_MAX_NBYTES

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, _TOO_LARGE)
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            held = {name.lower() for name, _ in message.get("headers", [])}
            message["headers"] = [
                *message.get("headers", []),
                *((name, value) for name, value in _ENCODED if name not in held),
            ]
        await send(message)

    return sent


_ENCODED: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
