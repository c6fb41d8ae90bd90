"""Ids and names: their rules, and the names of the streams made from them."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput, InvalidType

WORKSPACE_STREAM: Final = "workspace"
RUNS: Final = "run/"
"""The prefix of the names of all runs' streams, those of their values included."""
COMPUTE_TARGETS: Final = "compute_target/"
"""The prefix of the names of all compute targets' streams."""

NAME_MAX_CHARS: Final = 500
"""The names of experiments and of saved views."""

# What ends a part of a stream's name, what an escape begins with, and what no name should show.
_ESCAPED = re.compile(r"[/%\x00-\x1f\x7f-\x9f]")
_ESCAPES = re.compile(r"(?:%[0-9A-F]{2})+")
# Source: azureml-core 1.61, _check_valid_workspace_name.
_WORKSPACE_NAME = re.compile(r"[a-zA-Z0-9][\w-]{2,32}")
_TARGET_NAME = re.compile(r"[a-zA-Z0-9][\w-]{0,63}", re.ASCII)
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w.-]{0,255}", re.ASCII)


class StreamKind(StrEnum):
    """What a stream's events are about."""

    WORKSPACE = "workspace"
    EXPERIMENT = "experiment"
    RUN = "run"
    VALUES = "values"
    WRITER = "writer"
    COMPUTE_TARGET = "compute_target"
    VIEW = "view"


class StreamName(NamedTuple):
    """A stream's name in its parts.

    `owner` is a run's or a writer's id, or the name of an experiment, view or compute target; empty
    for the workspace. `writer_id` says who logged a stream of values.
    """

    kind: StreamKind
    owner: str = ""
    writer_id: str = ""


def run_stream(run_id: str) -> str:
    """The stream of a run's lifecycle, tags, properties and artifacts."""
    return f"{RUNS}{run_id}"


def values_prefix(run_id: str) -> str:
    """The prefix of the names of all value streams of a run."""
    return f"{RUNS}{run_id}/values/"


def values_stream(run_id: str, writer_id: str) -> str:
    """The stream of the values that one writer logs into a run."""
    return f"{RUNS}{run_id}/values/{writer_id}"


def experiment_stream(name: str) -> str:
    """The stream of all experiments that ever had this name."""
    return f"experiment/{_as_part(name)}"


def view_stream(name: str) -> str:
    """The stream of a saved view's name."""
    return f"view/{_as_part(name)}"


def writer_stream(writer_id: str) -> str:
    """The stream in which a writer introduces itself, once."""
    return f"writer/{writer_id}"


def compute_target_stream(name: str) -> str:
    """The stream of a compute target's name."""
    return f"{COMPUTE_TARGETS}{name}"


def run_id_of(stream: str) -> str | None:
    """The id of the run that a stream belongs to, or None if it belongs to none."""
    if not stream.startswith(RUNS):
        return None
    return stream.split("/", 2)[1]


def owner_of(stream: str) -> str:
    """The id or name after the stream's kind; empty for the workspace's stream."""
    kind, _, rest = stream.partition("/")
    owner = rest.partition("/")[0]
    return _of_part(owner) if kind in _ESCAPING else owner


def parse_stream(stream: str) -> StreamName | None:
    """A stream's name in its parts, or None if no stream of a workspace has this name."""
    match stream.split("/"):
        case ["workspace"]:
            return StreamName(StreamKind.WORKSPACE)
        case ["experiment" | "view" as kind, part] if _as_part(_of_part(part)) == part:
            return StreamName(StreamKind(kind), _of_part(part))
        case ["run" | "writer" | "compute_target" as kind, owner]:
            return StreamName(StreamKind(kind), owner)
        case ["run", run_id, "values", writer_id]:
            return StreamName(StreamKind.VALUES, run_id, writer_id)
    return None


def stream_of(text: str) -> str:
    """The stream that a user means by its name or, for a run's, by the run's id."""
    return text if "/" in text or text == WORKSPACE_STREAM else run_stream(text)


def check_experiment_name(name: object) -> str:
    """The name if it has 1 to 500 characters of any kind, else InvalidInput."""
    return _check_any(name, "experiment name")


def check_view_name(name: object) -> str:
    """The name if it has 1 to 500 characters of any kind, else InvalidInput."""
    return _check_any(name, "name of a view")


def check_workspace_name(name: object) -> str:
    """The name if it is valid (letters, digits, `_`, `-`; 3 to 33), else InvalidInput."""
    return _check(
        name,
        _WORKSPACE_NAME,
        "workspace name",
        "3 to 33 letters, digits, '_' or '-', starting with a letter or digit",
    )


def check_target_name(name: object) -> str:
    """The name if it is valid (letters, digits, `_`, `-`; at most 64), else InvalidInput."""
    return _check(
        name,
        _TARGET_NAME,
        "compute target name",
        "1 to 64 letters, digits, '_' or '-', starting with a letter or digit",
    )


def check_run_id(run_id: object) -> str:
    """The id if it is valid (no separators: it names streams and folders), else InvalidInput."""
    return _check(
        run_id,
        _RUN_ID,
        "run id",
        "1 to 256 letters, digits, '_', '-' or '.', starting with a letter or digit",
    )


def _check(given: object, pattern: re.Pattern[str], what: str, rule: str) -> str:
    if not isinstance(given, str):
        raise InvalidType(f"{what} must be a str, got {type(given).__name__} {given!r:.80}")
    if not pattern.fullmatch(given):
        raise InvalidInput(f"{given!r:.80} is not a valid {what}; it takes {rule}")
    return str.__str__(given)


def _check_any(given: object, what: str) -> str:
    if not isinstance(given, str):
        raise InvalidType(f"{what} must be a str, got {type(given).__name__} {given!r:.80}")
    if not given.strip():
        raise InvalidInput(f"{given!r:.80} is not a valid {what}; it is blank")
    if len(given) > NAME_MAX_CHARS:
        raise InvalidInput(
            f"{what} {given[:40]!r}... has {len(given)} characters; the limit is {NAME_MAX_CHARS}"
        )
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{what} {given!r:.80} cannot be written as UTF-8 (character {error.start} is a lone "
            "surrogate)"
        ) from error
    return str.__str__(given)


_ESCAPING: Final = ("experiment", "view")
"""The kinds of streams that are named after something with any name."""


def _as_part(name: str) -> str:
    """A name as a part of a stream's name: percent-encoded where it has to be.

    >>> _as_part("grid 3"), _as_part("cv/fold 1"), _as_part("50%")
    ('grid 3', 'cv%2Ffold 1', '50%25')
    """
    return _ESCAPED.sub(lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), name)


def _of_part(part: str) -> str:
    """The name that a part of a stream's name stands for."""
    return _ESCAPES.sub(
        lambda found: bytes.fromhex(found[0].replace("%", "")).decode(errors="replace"), part
    )
