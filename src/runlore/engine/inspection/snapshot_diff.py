"""The files of a run's snapshot, and how they differ from those of another run's."""

from __future__ import annotations

import difflib
from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput, UserError
from runlore.engine.runs.handle import RunHandle
from runlore.storage.snapshots import SnapshotFile, read_manifest

_TEXT_MAX_NBYTES: Final = 200_000
_COMPARED_MAX: Final = 100
_LINES_MAX: Final = 2_000


class FileChange(NamedTuple):
    """A file that only one of two snapshots has, or that differs.

    `kind` is `added`, `removed` or `changed`. `lines` are those of a unified diff; None if one of
    the files is no text, is longer than 200 kB, or 100 files before it were compared.
    """

    name: str
    kind: str
    old: SnapshotFile | None
    new: SnapshotFile | None
    lines: list[str] | None


def snapshot_files(run: RunHandle) -> list[SnapshotFile]:
    """The files of the snapshot by name; empty without a snapshot. Raises ArtifactMissing."""
    manifest = run.fetch().snapshot_manifest
    return [] if manifest is None else read_manifest(manifest, run.artifacts)


def snapshot_text(run: RunHandle, name: str, nbytes: int) -> bytes:
    """The beginning of a file of the snapshot. Raises InvalidInput if it has no such file."""
    for line in snapshot_files(run):
        if line.name == name:
            return _beginning(run, line, nbytes)
    raise InvalidInput(f"the snapshot of run {run.id} has no file {name!r:.200}")


def snapshot_diff(old: RunHandle, new: RunHandle) -> list[FileChange]:
    """What differs in the snapshot of a run from that of an older one, by the names of the files.

    Raises UserError if one of them has no snapshot.
    """
    for run in (old, new):
        if run.fetch().snapshot_manifest is None:
            raise UserError(f"run {run.id} has no snapshot; take_snapshot() keeps one")
    before = {line.name: line for line in snapshot_files(old)}
    after = {line.name: line for line in snapshot_files(new)}
    changes: list[FileChange] = []
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if one is not None and other is not None and one.sha256 == other.sha256:
            continue
        kind = "added" if one is None else "removed" if other is None else "changed"
        is_shown = len(changes) < _COMPARED_MAX
        lines = _lines(_text(old, one), _text(new, other)) if is_shown else None
        changes.append(FileChange(name, kind, one, other, lines))
    return changes


def _lines(old: str | None, new: str | None) -> list[str] | None:
    if old is None or new is None:
        return None
    found = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=3)
    lines = list(found)[2:]  # The names of the files are known.
    return [*lines[:_LINES_MAX], "…"] if len(lines) > _LINES_MAX else lines


def _text(run: RunHandle, line: SnapshotFile | None) -> str | None:
    """The file's text, empty without a file; None if it is none, or too long."""
    if line is None:
        return ""
    if line.nbytes > _TEXT_MAX_NBYTES:
        return None
    content = _beginning(run, line, _TEXT_MAX_NBYTES)
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None


def _beginning(run: RunHandle, line: SnapshotFile, nbytes: int) -> bytes:
    with run.artifacts.open(line.sha256) as file:
        return file.read(nbytes)
