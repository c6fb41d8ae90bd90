"""Who takes part in a run besides the process that created it, and how each of them left.

    <workspace>/writers/runs/<run id>/<writer id>.json

The process that created a run needs no file: the log names it. Any other one makes such a file
when it first logs a value into the run or attaches to it. A process that leaves a run writes there
how, unless it is alone: then it writes the run's end. The files say nothing about life: the lock of
each writer does (see `writers`), so a thousand open runs take one descriptor.

A file is one line of JSON: its format, `writer`, `joined_at` (µs since 1970 UTC, by the clock of
the process), `forked` and, after it left, `status`, `error` and `left_at`. Readers ignore other
keys. The folder of a run goes with the run's end.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.domain.ids import check_run_id
from runlore.domain.leaving import Outcome
from runlore.domain.status import TERMINAL, Status
from runlore.storage.atomic_files import explained, replacing
from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.held_path import HeldPath
from runlore.storage.segment import overwrite
from runlore.storage.writers import WRITERS

RUNS: Final = "runs"
_FORMAT: Final = 1
_NAME: Final = re.compile(r"([0-9a-f]{32})\.json")
_NBYTES_MAX: Final = 64 << 20
_ENDS: Final = frozenset(str(status) for status in TERMINAL)


class Part(NamedTuple):
    """A writer's part in a run: since when (µs since 1970 UTC), and its outcome if it left.

    A `forked` one is a child of a process that takes part: it never ends its parent's run.
    """

    writer_id: str
    joined_at: int
    forked: bool = False
    outcome: Outcome | None = None


def mark_part(workspace: HeldPath, run_id: str, part: Part) -> None:
    """Write the part of a writer that has none in this run yet. Raises OSError.

    A kill in the middle leaves a damaged file, which says nothing: the same kill ended the part.
    """
    path = _path(workspace, run_id, part.writer_id)
    try:
        path.parent.make_folder()
    except FileNotFoundError:
        path.parent.make_folder(parents=True)
    with path.open_file("wb") as file:
        file.write(line_of(part))


def keep_outcome(workspace: HeldPath, run_id: str, part: Part) -> None:
    """Write a part with its outcome, whole and on disk. Raises FileNotWritten."""
    with replacing(_path(workspace, run_id, part.writer_id)) as file:
        file.write(line_of(part))
        with explained(file.plain):
            os.fsync(file.fileno())


def parts_of(workspace: HeldPath, run_id: str) -> dict[str, Part]:
    """The parts in a run by writer id; damaged files are passed over."""
    folder = _folder(workspace, run_id)
    found = (_read(folder / name) for name in _names_in(folder))
    return {part.writer_id: part for part in found if part is not None}


def runs_with_parts(workspace: HeldPath, writer_id: str | None = None) -> list[str]:
    """The ids of the runs that have parts, or one of this writer; sorted."""
    folder = workspace / WRITERS / RUNS
    try:
        runs = sorted(filter(_is_run_id, folder.names()))
    except OSError:
        return []
    if writer_id is None:
        return runs
    return [run_id for run_id in runs if _path(workspace, run_id, writer_id).exists()]


def remove_part(workspace: HeldPath, run_id: str, writer_id: str, *, wipe: bool = False) -> None:
    """Remove a writer's part, and the run's folder with the last one.

    With `wipe` it is overwritten before: an outcome may quote what must be erasable.
    """
    _remove(_path(workspace, run_id, writer_id), wipe)
    with suppress(OSError):  # Others have parts.
        _folder(workspace, run_id).remove_folder()


def remove_parts(
    workspace: HeldPath, run_id: str, *, ended_at: int | None = None, wipe: bool = False
) -> None:
    """Remove all parts in a run that has ended; `wipe` as for `remove_part`.

    Those of later than `ended_at` (µs since 1970 UTC) stay: the run may have been resumed by now.
    """
    folder = _folder(workspace, run_id)
    for name in _names_in(folder):
        part = None if ended_at is None else _read(folder / name)
        if part is None or ended_at is None or part.joined_at <= ended_at:
            _remove(folder / name, wipe)
    with suppress(OSError):
        folder.remove_folder()


def _remove(path: HeldPath, wipe: bool) -> None:
    with suppress(OSError):
        if wipe:
            with suppress(UnsafeEntry), path.open_file("r+b") as file:
                overwrite(file.fileno())
        path.unlink()


def line_of(part: Part) -> bytes:
    """A part as it is written."""
    content: dict[str, Any] = {
        "format": _FORMAT,
        "writer": part.writer_id,
        "joined_at": part.joined_at,
        "forked": part.forked,
    }
    if part.outcome is not None:
        status, error, at = part.outcome
        content |= {"status": str(status), "error": error and dict(error), "left_at": at}
    return json.dumps(content).encode() + b"\n"


def _folder(workspace: HeldPath, run_id: str) -> HeldPath:
    return workspace / WRITERS / RUNS / check_run_id(run_id)


def _path(workspace: HeldPath, run_id: str, writer_id: str) -> HeldPath:
    name = f"{writer_id}.json"
    if _NAME.fullmatch(name) is None:  # A stranger's log may name anything.
        raise InvalidInput(f"{writer_id!r:.80} is not the id of a writer")
    return _folder(workspace, run_id) / name


def _is_run_id(name: str) -> bool:
    try:
        return check_run_id(name) == name
    except InvalidInput:
        return False


def _names_in(folder: HeldPath) -> Iterator[str]:
    try:
        names = folder.names()
    except OSError:
        return
    yield from filter(_NAME.fullmatch, names)


def _read(path: HeldPath) -> Part | None:
    try:
        return part_in(path.read_bytes(_NBYTES_MAX), path.name.removesuffix(".json"))
    except OSError:
        return None


def part_in(line: bytes, writer_id: str) -> Part | None:
    """The part of a writer that a line holds; None if it is damaged or another one's."""
    try:
        found = json.loads(line.partition(b"\n")[0])
        if found["writer"] != writer_id or type(found["joined_at"]) is not int:
            return None
        part = Part(writer_id, found["joined_at"], found["forked"] is True)
        if found.get("status") not in _ENDS:
            return part
        return part._replace(outcome=_outcome(found))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _outcome(found: dict[str, Any]) -> Outcome:
    error, left_at = found["error"], found["left_at"]
    if type(left_at) is not int:
        raise TypeError("left_at must be a number")
    if error is not None and not all(
        isinstance(text, str) for item in error.items() for text in item
    ):
        raise TypeError("error must be texts by name")
    return Outcome(Status(found["status"]), error, left_at)
