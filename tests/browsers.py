"""A real browser for tests: the first one that this machine has, or Debian's.

RUNLORE_BROWSER names another one.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from typing import Final

from tests.debian import program

_NAMES: Final = ("chromium-headless-shell", "chromium", "google-chrome")
_PACKAGE: Final = "chromium-headless-shell"
ARGUMENTS: Final = (
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
    "--disable-lcd-text",
    *(("--no-sandbox",) if os.geteuid() == 0 else ()),
)


@cache
def browser_path() -> str:
    """The path of a browser. Installs Debian's where that is possible, else fails with a way."""
    given = os.environ.get("RUNLORE_BROWSER")
    return given or program(_PACKAGE, _found, ", or name one with RUNLORE_BROWSER")


def _found() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)
