"""The parts of the capture, and which of them are on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from runlore.domain.errors import InvalidInput, InvalidType
from runlore.engine.caller_warning import warn_caller

VARIABLE: Final = "RUNLORE_CAPTURE"

Capture = bool | str | Iterable[str] | Mapping[str, bool] | None
"""What a caller may give as `capture`; see `parts_of`."""


class Part(StrEnum):
    """One part of the capture."""

    PROGRAM = "program"
    """The script, its arguments, the working folder, and Python."""
    GIT = "git"
    """The commit, the branch, and whether files were changed since."""
    DIFF = "diff"
    """The changes since the commit, as a file."""
    MACHINE = "machine"
    """The host, its platform, CPU, memory and GPUs."""
    PACKAGES = "packages"
    """The installed packages and their versions."""
    SYSTEM = "system"
    """Samples of the machine's load, every 10 s."""
    CONSOLE = "console"
    """What the process prints."""


Parts = frozenset[Part]

NOTHING: Final[Parts] = frozenset()
IN_INIT: Final[Parts] = frozenset(Part) - {Part.DIFF}
BY_DEFAULT: Final[Parts] = IN_INIT - {Part.CONSOLE}
_ALL_OFF: Final = ("none", "off", "0", "false", "no")


def parts_of(capture: Capture, default: Parts, environ: Mapping[str, str]) -> Parts:
    """The parts that are on, of those that the variable RUNLORE_CAPTURE allows.

    None stands for the default, True for the usual parts, False or "none" for no part. A dict
    changes the default, as `{"git": False, "diff": True}`. A name, or several names, are the parts
    that are on, and no other. Raises InvalidInput, which lists the parts, for unknown names.

    >>> sorted(parts_of(dict.fromkeys(["packages", "machine", "system"], False), BY_DEFAULT, {}))
    [<Part.GIT: 'git'>, <Part.PROGRAM: 'program'>]
    >>> parts_of("git", BY_DEFAULT, {"RUNLORE_CAPTURE": "none"})
    frozenset()
    """
    asked = _asked(capture, default)
    allowed = environ.get(VARIABLE, "").strip()
    return asked & _allowed(allowed) if asked and allowed else asked


def _asked(capture: Capture, default: Parts) -> Parts:
    match capture:
        case None:
            return default
        case bool():
            return default | BY_DEFAULT if capture else NOTHING
        case str():
            return NOTHING if capture == "none" else _parts(capture.split(","))
        case Mapping():
            changes = dict(zip(_named(capture), capture.values(), strict=True))
            wrong = [value for value in changes.values() if not isinstance(value, bool)]
            if wrong:
                raise InvalidType(
                    f"capture says {wrong[0]!r:.80} of a part; it takes True or False"
                )
            on = frozenset(part for part, is_on in changes.items() if is_on)
            return (default - frozenset(changes)) | on
        case Iterable():
            return _parts(capture)
    raise InvalidType(
        f"capture is {capture!r:.80}; it takes a bool, names of parts, or a dict of bools"
    )


def _parts(names: Iterable[object]) -> Parts:
    return frozenset(_named(names))


def _named(names: Iterable[object]) -> list[Part]:
    parts = []
    for name in names:
        text = name.strip() if isinstance(name, str) else ""
        if text not in [*Part]:
            raise InvalidInput(f"capture names the part {name!r:.80}; it takes {_known()}")
        parts.append(Part(text))
    return parts


def _allowed(variable: str) -> Parts:
    """What the variable allows. A name that is unknown might have been "none": nothing then."""
    if variable.lower() in _ALL_OFF:
        return NOTHING
    if variable.lower() in ("all", "1", "true", "yes", "on"):
        return frozenset(Part)
    try:
        return _parts(variable.split(","))
    except InvalidInput:
        warn_caller(
            f"{VARIABLE} is {variable!r:.80}, so nothing is captured; it takes 'none', 'all', or "
            f"{_known()}"
        )
        return NOTHING


def _known() -> str:
    return f"some of {', '.join(Part)}"
