"""One request to a web server, with a deadline for all of it.

Redirects are not followed: they could lead anywhere, and a POST would become a GET. Proxies are
those of the environment. No message holds anything of the URL, which may be a secret.
"""

from __future__ import annotations

import base64
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from runlore.domain.visible_text import visible

_PRINTABLE: Final = re.compile(r"[!-~]+")


class NoAnswer(Exception):
    """No answer came, or only a part of one. The message continues a sentence."""


def parsed(url: str) -> SplitResult:
    """The parts of an http or https URL. Raises ValueError, which says why it is not one."""
    problem = "it is not an http:// or https:// URL"
    try:
        address = urlsplit(url)
        if address.scheme in ("http", "https") and address.hostname and address.port != 0:
            if _PRINTABLE.fullmatch(url):
                return address
            problem = "it has characters that a URL cannot have: encode them as %20 and the like"
    except ValueError as error:
        problem = "its port is not a number" if "port" in str(error).lower() else problem
    raise ValueError(problem)


class Answer:
    """A server's answer, whose body is read only on demand."""

    def __init__(self, response: HTTPResponse, deadline: _Deadline) -> None:
        self._response = response
        self._deadline = deadline
        self.status = response.status

    def header(self, name: str) -> str | None:
        """A header's value; None if the answer lacks it."""
        return self._response.headers.get(name)

    def body(self, max_nbytes: int) -> bytes:
        """The whole body. Raises NoAnswer if it is longer, breaks off or does not come in time."""
        try:
            read = self._response.read(max_nbytes + 1)
        except (OSError, HTTPException, ValueError) as error:
            raise self._deadline.problem(error) from None
        if self._deadline.has_passed:  # A body that is cut off looks like one that has ended.
            raise self._deadline.problem(TimeoutError())
        if len(read) > max_nbytes:
            raise NoAnswer(f"its answer is longer than {max_nbytes} bytes")
        if self._response.length:  # The bytes that were announced, and have not come.
            raise NoAnswer("its answer breaks off")
        return read


@contextmanager
def answer_to(
    method: str,
    address: SplitResult,
    timeout_s: float,
    *,
    body: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Answer]:
    """The answer to one request, which ends after `timeout_s`, however slowly the server sends.

    `address` is an http or https URL with a host. Raises NoAnswer.
    """
    connection, target, credentials = _connected(address, timeout_s)
    sent = {"Connection": "close", **(headers or {}), **credentials}
    deadline = _Deadline(connection, timeout_s)
    try:
        with (
            closing(connection),
            closing(_response(connection, deadline, method, target, body, sent)) as response,
        ):
            yield Answer(response, deadline)
    finally:
        deadline.cancel()


def _response(
    connection: HTTPConnection,
    deadline: _Deadline,
    method: str,
    target: str,
    body: str | bytes | None,
    headers: dict[str, str],
) -> HTTPResponse:
    try:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
    except Exception as error:
        raise deadline.problem(error) from None
    if deadline.has_passed:  # Headers that are cut off look like all of them.
        response.close()
        raise deadline.problem(TimeoutError())
    return response


class _Deadline:
    """Ends a request that another thread waits for, when its time is over."""

    def __init__(self, connection: HTTPConnection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._is_late = threading.Event()
        self._timer = threading.Timer(timeout_s, self._cut_off)
        self._timer.daemon = True
        self._timer.start()

    @property
    def has_passed(self) -> bool:
        return self._is_late.is_set()

    def cancel(self) -> None:
        self._timer.cancel()

    def problem(self, error: Exception) -> NoAnswer:
        """The error in words that hold nothing of the URL."""
        if self.has_passed or isinstance(error, TimeoutError):
            return NoAnswer(f"no answer within {self._timeout_s:g} s")
        return NoAnswer(_problem_of(error))

    def _cut_off(self) -> None:
        self._is_late.set()
        sock = self._connection.sock
        if sock is not None:
            with suppress(OSError):  # Not that of SSLSocket, which the other thread is using.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _connected(
    address: SplitResult, timeout_s: float
) -> tuple[HTTPConnection, str, dict[str, str]]:
    """A connection for the URL that connects when it is used; what to ask for, and how."""
    host, is_secure = str(address.hostname), address.scheme == "https"
    path = address._replace(scheme="", netloc="", fragment="").geturl() or "/"
    path = path if path.startswith("/") else f"/{path}"
    headers = _credentials("Authorization", address)
    proxy = _proxy_for(address)
    if proxy is None:
        kind = HTTPSConnection if is_secure else HTTPConnection
        return kind(host, address.port, timeout=timeout_s), path, headers
    by_proxy = _credentials("Proxy-Authorization", proxy)
    if is_secure:
        tunnel = HTTPSConnection(str(proxy.hostname), proxy.port or 80, timeout=timeout_s)
        tunnel.set_tunnel(host, address.port, by_proxy)
        return tunnel, path, headers
    plain = HTTPConnection(str(proxy.hostname), proxy.port or 80, timeout=timeout_s)
    server = address.netloc.rpartition("@")[2]
    return plain, f"http://{server}{path}", headers | by_proxy


def _proxy_for(address: SplitResult) -> SplitResult | None:
    proxy = getproxies().get(address.scheme)
    if not proxy or proxy_bypass(address.netloc.rpartition("@")[2]):
        return None
    found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return found if found.hostname else None


def _credentials(header: str, address: SplitResult) -> dict[str, str]:
    if address.username is None:
        return {}
    pair = f"{unquote(address.username)}:{unquote(address.password or '')}"
    return {header: f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _problem_of(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {visible(error.verify_message)}"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, HTTPException):
        return f"its answer is not HTTP ({type(error).__name__})"
    return type(error).__name__
