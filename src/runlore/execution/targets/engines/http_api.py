"""A cluster's HTTP API, whose documents are JSON: what each kind of engine that has one needs.

A server may answer anything: what is shown of an answer is one line, escaped. Redirects are not
followed, so a token goes to the address that the user has attached and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from runlore.domain.visible_text import visible
from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.engines.engine import EngineUnavailable
from runlore.storage.web_request import NoAnswer, answer_to, parsed
from runlore.version import VERSION

_ANSWER_MAX_NBYTES: Final = 1 << 22  # Ray quotes 20,000 characters of a failed job's log.
_SHOWN_MAX_CHARS: Final = 300
_TIMEOUT_S: Final = 10.0
_TOKEN_MAX_NBYTES: Final = 65_536
_PRINTABLE: Final = re.compile(r"[!-~]+")
_LABEL_MAX_CHARS: Final = 63
_LABEL_DIGITS: Final = 12


class Reply(NamedTuple):
    """A server's answer. A document that is not an object is there as "list", or as "text"."""

    status: int
    document: dict[str, Any]

    @property
    def is_object(self) -> bool:
        """Whether the document is a JSON object, with anything in it."""
        return bool(self.document.keys() - {"text", "list"})

    @property
    def last_line(self) -> str:
        """The last line that says something: that of a traceback names the error."""
        said = self.document.get("message") or self.document.get("text")
        found = lines(said if isinstance(said, str) else json.dumps(self.document))
        return shown(found[-1]) if found else ""


class HttpApi:
    """The API at an http or https URL, such as http://ray-head:8265.

    `token` is called before each request, and gives the bearer token to send, "" for none. Every
    request has a deadline. Raises ComputeTargetException for another address.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Callable[[], str] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        try:
            self.address = checked_address(address)
        except ValueError as error:  # The address may hold a password, so it is not shown.
            message = f"the address of the cluster cannot be used: {error}"
            raise ComputeTargetException(message) from None
        self._parts = parsed(self.address)
        self._token = token
        self._timeout_s = timeout_s

    def get(self, path: str, *names: str) -> dict[str, Any] | None:
        """The document at a path and the names below it, which are quoted; None for 404.

        Raises EngineUnavailable if no sensible answer comes, ComputeTargetException with the
        server's own words if it refuses.
        """
        reply = self._asked("GET", path, names)
        return None if reply.status == 404 else self._document("GET", path, reply)

    def post(self, path: str, content: object) -> dict[str, Any]:
        """The document with which the server answers a new one. Raises as `get` does."""
        return self._document("POST", path, self._asked("POST", path, (), content))

    def delete(self, path: str, *names: str, query: str = "") -> None:
        """Delete what is there; 404 is as good. Raises as `get` does."""
        reply = self._asked("DELETE", path, names, query=query)
        if reply.status != 404:
            self._document("DELETE", path, reply)

    def _asked(
        self, method: str, path: str, names: Sequence[str], content: object = None, query: str = ""
    ) -> Reply:
        where = "/".join(["", path.strip("/"), *map(_quoted, names)])
        try:
            return self.answer(method, f"{where}?{query}" if query else where, content)
        except NoAnswer as none:
            raise EngineUnavailable(f"{self.address} cannot be asked: {none}") from None

    def _document(self, method: str, path: str, reply: Reply) -> dict[str, Any]:
        if 200 <= reply.status < 300 and reply.is_object:
            return reply.document
        is_refusal = 400 <= reply.status < 500 and reply.status != 429
        kind = ComputeTargetException if is_refusal else EngineUnavailable
        raise kind(
            f"{self.address} answers {method} {path} with {reply.status}: "
            f"{reply.last_line or 'nothing'}"
        )

    def answer(
        self, method: str, path: str, content: object = None, timeout_s: float | None = None
    ) -> Reply:
        """The answer to one request, whatever it is. Raises NoAnswer."""
        where = self._parts._replace(path=self._parts.path + path)
        headers = {"Content-Type": "application/json", "User-Agent": f"runlore/{VERSION}"}
        token = "" if self._token is None else self._token()
        # What is not a token would break the header, and be shown by the error.
        if _PRINTABLE.fullmatch(token):
            headers["Authorization"] = f"Bearer {token}"
        body = None if content is None else json.dumps(content)
        with answer_to(
            method, where, timeout_s or self._timeout_s, body=body, headers=headers
        ) as answer:
            return Reply(answer.status, _document_of(answer.body(_ANSWER_MAX_NBYTES)))


def token_in(path: str | Path | None) -> Callable[[], str]:
    """A function that reads the token in a file at each call, as others renew it; "" for None.

    It raises ComputeTargetException if the file cannot be read.
    """

    def read() -> str:
        if path is None:
            return ""
        try:
            with Path(path).open("rb") as file:
                return file.read(_TOKEN_MAX_NBYTES).decode(errors="replace").strip()
        except OSError as error:
            raise ComputeTargetException(
                f"cannot read the token for the cluster from {path}: {error.strerror}"
            ) from error

    return read


def checked_address(
    address: object, *, of: str = "the cluster's API", token: str = "a file"
) -> str:
    """The address without a slash at its end. Raises ValueError, which says why not."""
    if not isinstance(address, str) or not address:
        raise ValueError(f"it takes the URL of {of}")
    parts = parsed(address)
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "it holds a user or a password, and the log keeps addresses for good: leave them out; "
            f"a token comes from {token}"
        )
    if parts.query or parts.fragment:
        raise ValueError("it has a part after '?' or '#', which the address of an API does not")
    return address.rstrip("/")


def dns_label(name: str) -> str:
    """A name of at most 63 lower-case letters, digits and hyphens, another one for each name.

    >>> dns_label("runlore-Explore_1-ab12cd34")
    'runlore-explore-1-ab12cd34-48de8a646716'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower())
    digest = sha256(name.encode()).hexdigest()[:_LABEL_DIGITS]
    return f"{plain[: _LABEL_MAX_CHARS - _LABEL_DIGITS - 1].strip('-')}-{digest}".lstrip("-")


def lines(text: object) -> list[str]:
    """The lines of a text that say something."""
    found = text.splitlines() if isinstance(text, str) else ()
    return [line.strip() for line in found if line.strip(" .\t")]


def shown(text: object) -> str:
    """A server's text as it can be shown to people."""
    return visible(str(text)[:_SHOWN_MAX_CHARS])


def _quoted(name: str) -> str:
    """A name as one part of a path; a log may hold any text as the handle of a job."""
    if name in ("", ".", ".."):
        raise ComputeTargetException(f"{name!r} is not the name of an object of the cluster")
    return quote(name, safe="")


def _document_of(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {"text": body.decode(errors="replace")}
    return found if isinstance(found, dict) else {"list": found}
