"""Alerts for a web server: a POST of JSON. The URL is a secret, so no message holds it."""

from __future__ import annotations

import base64
import re
import socket
import ssl
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from runlore.alerts.alert import Alert
from runlore.alerts.delivery import DeliveryFailed
from runlore.domain.errors import InvalidInput
from runlore.domain.visible_text import visible
from runlore.version import VERSION

_ANSWER_MAX_NBYTES: Final = 65_536
_PRINTABLE: Final = re.compile(r"[!-~]+")
_MAY_PASS: Final = frozenset((408, 425, 429))
"""The client errors after which the same request may succeed."""


class Webhook:
    """A web server that takes alerts: one has arrived when it answers with a status of 200 to 299.

    Redirects are not followed: they could lead anywhere, and a POST would become a GET. An attempt
    ends after `timeout_s`, however slowly the server sends. Proxies are those of the environment.
    Raises InvalidInput for what is not an http or https URL.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._address = _checked(url)
        self._timeout_s = timeout_s
        self.name = _shown(self._address)

    def deliver(self, alert: Alert) -> None:
        """Send the alert. Raises DeliveryFailed."""
        connection, target, headers = _connected(self._address, self._timeout_s)
        is_late = threading.Event()
        deadline = threading.Timer(self._timeout_s, _cut_off, [connection, is_late])
        deadline.daemon = True
        deadline.start()
        try:
            with closing(connection):
                connection.request("POST", target, alert.json(), {**_HEADERS, **headers})
                with connection.getresponse() as answer:
                    if is_late.is_set():  # Headers that are cut off look like all of them.
                        raise TimeoutError
                    status, asked_to_wait = answer.status, answer.headers.get("Retry-After")
                    if 200 <= status < 300:
                        with suppress(Exception):  # It has arrived, whatever else is said.
                            answer.read(_ANSWER_MAX_NBYTES)
                        return
        except Exception as error:
            if is_late.is_set() or isinstance(error, TimeoutError):
                raise DeliveryFailed(f"no answer within {self._timeout_s:g} s") from None
            raise DeliveryFailed(_problem_of(error)) from None
        finally:
            deadline.cancel()
        raise _refusal(status, asked_to_wait)


_HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": f"runlore/{VERSION}",
    "Connection": "close",
}


def _checked(url: str) -> SplitResult:
    problem = "it is not an http:// or https:// URL"
    try:
        address = urlsplit(url)
        if address.scheme in ("http", "https") and address.hostname and address.port != 0:
            if _PRINTABLE.fullmatch(url):
                return address
            problem = "it has characters that a URL cannot have: encode them as %20 and the like"
    except ValueError as error:
        problem = "its port is not a number" if "port" in str(error).lower() else problem
    raise InvalidInput(f"cannot use --webhook: {problem} (it is not shown, as it may be a secret)")


def _shown(address: SplitResult) -> str:
    """The server of a URL, without what may be secret."""
    host = f"[{address.hostname}]" if ":" in str(address.hostname) else address.hostname
    port = "" if address.port is None else f":{address.port}"
    return f"{address.scheme}://{host}{port}/..."


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


def _cut_off(connection: HTTPConnection, is_late: threading.Event) -> None:
    """End a request that another thread waits for."""
    is_late.set()
    sock = connection.sock
    if sock is not None:
        with suppress(OSError):  # Not that of SSLSocket, which the other thread is using.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _problem_of(error: Exception) -> str:
    """The error in words that hold nothing of the URL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {visible(error.verify_message)}"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, HTTPException):
        return f"its answer is not HTTP ({type(error).__name__})"
    return type(error).__name__


def _refusal(status: int, asked_to_wait: str | None) -> DeliveryFailed:
    if 300 <= status < 400:
        return DeliveryFailed(
            f"it answered {status}: redirects are not followed, so give the URL it leads to",
            is_final=True,
        )
    is_final = 400 <= status < 500 and status not in _MAY_PASS
    return DeliveryFailed(
        f"it answered {status}", is_final=is_final, wait_s=_seconds(asked_to_wait)
    )


def _seconds(asked_to_wait: str | None) -> float | None:
    """The seconds that a Retry-After asks for: a number of them, or a time."""
    if asked_to_wait is None:
        return None
    if re.fullmatch(r"\d{1,6}", asked_to_wait):
        return float(asked_to_wait)
    try:
        return max(0.0, (parsedate_to_datetime(asked_to_wait) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
