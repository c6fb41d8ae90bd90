"""Addresses of pages, as saved views hold them: paths of this Studio, without its base path.

A view may come from anybody: a log is imported and copied. So what a name stands for is looked at
again before a browser is sent there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from runlore.domain.errors import InvalidInput

PATHS: Final[Mapping[str, str]] = {
    "/": "experiments",
    "/runs": "runs",
    "/e/{name:path}": "runs",
    "/compare": "compare",
    "/run/{run_id}": "run",
    "/run/{run_id}/{tab}": "run",
    "/sql": "sql",
    "/targets": "targets",
    "/new": "new",
    "/views": "views",
}
"""The paths of pages, each with its module; all else that is shown stands in the query."""

ADDRESS_MAX_CHARS: Final = 16_000

_PAGES: Final = frozenset(path.split("/")[1] for path in PATHS)
_PAGES_OF_ONE: Final = frozenset(path.split("/")[1] for path in PATHS if "{" in path)
_PLAIN: Final = re.compile(r"/[^\s\\\x00-\x1f\x7f]*")
_PASSING: Final = ("token", "v")
"""The parameters that no view has: who looks, and the view by which a page was found."""


def page_address(text: str) -> str:
    """The address of a page as a view holds it. Raises InvalidInput for that of anything else."""
    if not _leads_to_page(text):
        raise InvalidInput(
            f"{text!r:.80} is not the address of a page; it begins with / and the name of one, "
            "such as /runs?f=status%20%3D%20Failed"
        )
    parts = urlsplit(text)
    kept = [pair for pair in _pairs(parts.query) if pair[0] not in _PASSING]
    return f"{parts.path}?{urlencode(kept)}" if kept else parts.path


def address_in(definition: Mapping[str, Any]) -> str | None:
    """The address that a saved view leads to; None if it was not saved by a page."""
    url = definition.get("url")
    return url if isinstance(url, str) and _leads_to_page(url) else None


def with_view(url: str, name: str) -> str:
    """The address of a page that also says by which view it was found."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'v': name})}"


def _leads_to_page(text: str) -> bool:
    """Whether browsers understand it as the address of a page, and no other host's."""
    if len(text) > ADDRESS_MAX_CHARS or not _PLAIN.fullmatch(text) or "#" in text:
        return False
    path = text.partition("?")[0]
    first, *rest = path[1:].split("/")
    return (
        first in _PAGES
        and "//" not in path
        and bool(rest) == (first in _PAGES_OF_ONE)
        and not any(part in (".", "..") for part in rest)
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)
