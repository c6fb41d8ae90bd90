"""Alerts for a web server: a POST of JSON. The URL is a secret, so no message holds it."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import SplitResult

from runlore.alerts.alert import Alert
from runlore.alerts.delivery import DeliveryFailed
from runlore.domain.errors import InvalidInput
from runlore.storage.web_request import NoAnswer, answer_to, parsed
from runlore.version import VERSION

_ANSWER_MAX_NBYTES: Final = 65_536
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
        try:
            with answer_to(
                "POST", self._address, self._timeout_s, body=alert.json(), headers=_HEADERS
            ) as answer:
                if not 200 <= answer.status < 300:
                    raise _refusal(answer.status, answer.header("Retry-After"))
                with suppress(NoAnswer):  # It has arrived, whatever else is said.
                    answer.body(_ANSWER_MAX_NBYTES)
        except NoAnswer as none:
            raise DeliveryFailed(str(none)) from None


_HEADERS: Final = {"Content-Type": "application/json", "User-Agent": f"runlore/{VERSION}"}


def _checked(url: str) -> SplitResult:
    try:
        return parsed(url)
    except ValueError as problem:
        raise InvalidInput(
            f"cannot use --webhook: {problem} (it is not shown, as it may be a secret)"
        ) from None


def _shown(address: SplitResult) -> str:
    """The server of a URL, without what may be secret."""
    host = f"[{address.hostname}]" if ":" in str(address.hostname) else address.hostname
    port = "" if address.port is None else f":{address.port}"
    return f"{address.scheme}://{host}{port}/..."


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
