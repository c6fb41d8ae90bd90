"""The installed packages and their versions, read from the names of folders.

To read each package's metadata takes 1 ms a package, and the training waits while Python does it.
The names of the `.dist-info` folders say the same.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Final, NamedTuple

_METADATA: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*)-(?P<version>[^-]+)(-py[\d.]+)?\.(dist|egg)-info"
)


class Packages(NamedTuple):
    """The packages as lines `name==version`, in order, their number and SHA-256."""

    text: str
    number: int
    sha256: str


@cache
def installed_packages() -> Packages:
    """What this process could import when it was first asked."""
    return packages_in(tuple(sys.path))


def packages_in(folders: Iterable[str]) -> Packages:
    """The packages in folders, as Python searches them: the first one of a name counts."""
    found: dict[str, str] = {}
    for folder in dict.fromkeys(folders):
        with suppress(OSError):  # It does not exist, or is a zip file.
            for entry in sorted(os.listdir(folder or ".")):
                metadata = _METADATA.fullmatch(entry)
                if metadata is not None:
                    name = re.sub(r"[-_.]+", "-", metadata["name"]).lower()
                    found.setdefault(name, metadata["version"])
    text = "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))
    return Packages(text, len(found), hashlib.sha256(text.encode()).hexdigest())
