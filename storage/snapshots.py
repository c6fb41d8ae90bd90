"""The source code of a run, kept file by file in the artifact store.

A snapshot is a manifest: a JSON list of `{executable, name, nbytes, sha256}`, sorted by name, and
itself an artifact. The same files give the same manifest, so an unchanged tree is the same snapshot
and costs no write.
"""

from __future__ import annotations

import heapq
import io
import json
import os
import re
import stat
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from runlore.domain.errors import InvalidInput, RunloreError, UserError
from runlore.storage.artifacts import ArtifactStore
from runlore.storage.atomic_files import replacing
from runlore.storage.held_path import AnyPath, HeldPath, hold
from runlore.storage.left_out import LeftOut
from runlore.storage.log_opener import LOG_NAME
from runlore.storage.safe_paths import UnsafePath, safe_name, walk_files
from runlore.storage.zip_entry import zip_entry

# Source: azureml-core 1.61, limits of a snapshot.
MAX_SNAPSHOT_NBYTES: Final = 300 * 2**20
MAX_SNAPSHOT_FILES: Final = 2_000

_NEVER_NAMES = frozenset({".git", "__pycache__", "site-packages"})
_NEVER_PREFIX = ".env"
_NEVER_HOLDING = ("pyvenv.cfg", "conda-meta", LOG_NAME)

# A notebook's folder may be the whole home directory: counting stops at this multiple.
_COUNTED_BEYOND = 10
_NAMED_BIGGEST = 5


class SnapshotTooLarge(UserError):
    """More files or bytes than a snapshot may have; nothing was copied.

    `biggest` holds (name, nbytes), biggest first. If `counted_all` is False, counting stopped
    early, and `files` and `nbytes` are lower bounds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        files: int,
        nbytes: int,
        counted_all: bool,
        max_files: int,
        max_nbytes: int,
        biggest: Sequence[tuple[str, int]],
        ignore_file: str,
    ) -> None:
        named = ", ".join(f"{name} ({_size(size)})" for name, size in biggest)
        super().__init__(
            f"a snapshot of {folder} would take {'' if counted_all else 'more than '}"
            f"{files:,} files with {_size(nbytes)}, at most {max_files:,} files with "
            f"{_size(max_nbytes)} are possible; the biggest are {named}; "
            f"list what the code does not need in {folder / ignore_file}"
        )
        self.folder = folder
        self.files = files
        self.nbytes = nbytes
        self.counted_all = counted_all
        self.max_files = max_files
        self.max_nbytes = max_nbytes
        self.biggest = tuple(biggest)


class SnapshotUnreadable(UserError, OSError):
    """A file or folder of the snapshot cannot be read."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(
            f"cannot read {error.filename} for the snapshot of {folder}: {error.strerror}; "
            f"make it readable, or list it in {folder / '.amlignore'}"
        )
        self.folder = folder
        self.errno = error.errno


class NotASnapshot(RunloreError, ValueError):
    """An artifact that was read as a manifest is not a manifest."""

    def __init__(self, manifest_sha256: str, problem: str) -> None:
        super().__init__(
            f"artifact {manifest_sha256} is not the manifest of a snapshot: {problem}; "
            "use the manifest's digest that take_snapshot returned"
        )
        self.manifest_sha256 = manifest_sha256
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stored snapshot; the id is made from the manifest's digest."""

    snapshot_id: str
    manifest_sha256: str
    files: int
    nbytes: int


class SnapshotFile(BaseModel):
    """One line of a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}\z")
    nbytes: int = Field(ge=0)
    executable: bool


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    path: Path
    nbytes: int
    executable: bool


def take_snapshot(
    folder: Path,
    store: ArtifactStore,
    *,
    max_nbytes: int = MAX_SNAPSHOT_NBYTES,
    max_files: int = MAX_SNAPSHOT_FILES,
    left_out: LeftOut | None = None,
) -> Snapshot:
    """Store the files below `folder` that are not ignored, and the list of them.

    The ignore file is `.amlignore` if it exists, else `.gitignore` (then those of sub-folders count
    as well, as in git). Never stored: `.git`, `__pycache__`, virtual environments, `.env*`, runlore
    workspaces and the store itself. A file that disappears in the meantime is left out. Links that
    lead out of the folder or nowhere, links to folders, pipes and the like are counted in
    `left_out`, unless they are ignored. Cost: O(files) stats, and a read of every file.

    Raises SnapshotTooLarge, SnapshotUnreadable, FileNotWritten, and UnsafePath for a file whose
    name cannot be kept.
    """
    folder = Path(os.path.realpath(folder))
    with _unreadable_explained(folder):
        _check_folder(folder)
        rules = _Rules(folder, store.folder)
        left_out = LeftOut() if left_out is None else left_out
        found = _find(folder, rules, left_out, max_files=max_files, max_nbytes=max_nbytes)
        lines = list(_store_files(found, store))
    manifest = store.put(io.BytesIO(_canonical(lines)))
    return Snapshot(
        snapshot_id=snapshot_id_of(manifest.sha256),
        manifest_sha256=manifest.sha256,
        files=len(lines),
        nbytes=sum(line.nbytes for line in lines),
    )


def snapshot_id_of(manifest_sha256: str) -> str:
    """The id of the snapshot with this manifest: its first 16 bytes in the form of a UUID."""
    return str(uuid.UUID(hex=manifest_sha256[:32]))


def read_manifest(manifest_sha256: str, store: ArtifactStore) -> list[SnapshotFile]:
    """The files of a snapshot, sorted by name, every name checked.

    Raises ArtifactMissing, ArtifactCorrupt, NotASnapshot or UnsafePath.
    """
    text = b"".join(store.verified_chunks(manifest_sha256))
    try:
        lines = _manifest_type().validate_json(text)
    except ValidationError as error:
        raise NotASnapshot(manifest_sha256, str(error.errors()[0]["msg"])) from error
    names = [safe_name(line.name) for line in lines]
    if names != sorted(set(names)):
        raise NotASnapshot(manifest_sha256, "its names are not sorted and unique")
    return lines


def copy_snapshot(
    manifest_sha256: str, source: ArtifactStore, target: ArtifactStore
) -> list[SnapshotFile]:
    """Copy a snapshot to another store, unless it is the same one; return its files.

    Raises as `read_manifest`.
    """
    lines = read_manifest(manifest_sha256, source)
    if not source.is_same_as(target):
        for sha256 in (*[line.sha256 for line in lines], manifest_sha256):
            with source.open(sha256) as content:
                target.put(content)
    return lines


def restore_snapshot(manifest_sha256: str, store: ArtifactStore, zip_path: Path) -> Path:
    """Write the snapshot as a zip file, whole or not at all, and return its path.

    The same snapshot gives the same bytes everywhere: sorted, times of 1980, and not compressed,
    because the output of deflate differs between versions of zlib.
    """
    lines = read_manifest(manifest_sha256, store)
    with replacing(zip_path) as file, zipfile.ZipFile(file, "w") as archive:
        for line in lines:
            entry = zip_entry(line.name, executable=line.executable, nbytes=line.nbytes)
            with archive.open(entry, "w") as member:
                for chunk in store.verified_chunks(line.sha256):
                    member.write(chunk)
    return zip_path


def restore_tree(manifest_sha256: str, store: ArtifactStore, folder: AnyPath) -> None:
    """Write the snapshot's files below a folder, which is created, with their execute permissions.

    Links below the folder are not followed. Raises ArtifactMissing, ArtifactCorrupt,
    FileNotWritten, NotASnapshot or UnsafePath, and UnsafeEntry for a link in the way.
    """
    if isinstance(folder, HeldPath):
        top = folder.make_folder(parents=True)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        top = hold(folder)
    for line in read_manifest(manifest_sha256, store):
        store.copy_to(line.sha256, top / line.name, executable=line.executable)


class _Rules:
    """The rules for which files below a folder belong to its snapshot."""

    def __init__(self, folder: Path, store: HeldPath | None) -> None:
        self._folder = folder
        self._store = None if store is None or not store.exists() else _inode(store.stat())
        self._read: dict[str, list[_IgnorePattern]] = {}
        given = [name for name in (".amlignore", ".gitignore") if (folder / name).is_file()]
        self._nested = given[:1] != [".amlignore"]
        self.ignore_file = given[0] if given else ".amlignore"

    def wanted(self, name: str, is_folder: bool) -> bool:
        """Called from the top down: for a file only if its folders are wanted."""
        return not (self._never(name, is_folder) or self._ignored(name, is_folder))

    def wanted_with_parents(self, name: str) -> bool:
        ends = [at for at, character in enumerate(name) if character == "/"]
        return all(self.wanted(name[:end], True) for end in ends) and self.wanted(name, False)

    def _never(self, name: str, is_folder: bool) -> bool:
        own_name = name.rpartition("/")[2].lower()
        if own_name in _NEVER_NAMES or own_name.startswith(_NEVER_PREFIX):
            return True
        path = os.path.join(self._folder, name)
        return is_folder and (
            (self._store is not None and _inode(os.lstat(path)) == self._store)
            or any(os.path.lexists(os.path.join(path, held)) for held in _NEVER_HOLDING)
        )

    def _ignored(self, name: str, is_folder: bool) -> bool:
        """As in git: the deepest ignore file with a matching pattern decides."""
        parent = name
        while parent:
            parent = parent.rpartition("/")[0]
            own_name = name[len(parent) + 1 :] if parent else name
            for pattern in self._patterns(parent):
                if pattern.matches(own_name, is_folder):
                    return pattern.ignores
        return False

    def _patterns(self, parent: str) -> list[_IgnorePattern]:
        """The patterns of the ignore file in this sub-folder, reversed: the last match counts."""
        if parent and not self._nested:
            return []
        if parent not in self._read:
            name = ".gitignore" if parent else self.ignore_file
            self._read[parent] = _read_patterns(self._folder / parent / name)
        return self._read[parent]


class _IgnorePattern:
    """One line of an ignore file, matched against a file or folder itself, never its parents.

    Git works like this, from the top down, whereas pathspec alone checks whether a file or anything
    above it matches; the two differ for `*/` followed by `!src`.
    """

    def __init__(self, line: str) -> None:
        self.ignores = not line.startswith("!")
        body = line.removeprefix("!")
        self._folders_only = body.endswith("/")
        body = body.removesuffix("/")
        if body.startswith(("!", "#")) and not self.ignores:
            body = "\\" + body
        self._whole_subtree = body == "*" or body.endswith("**")
        self._pattern = GitIgnoreSpec.from_lines([body]).patterns[0]

    def matches(self, name: str, is_folder: bool) -> bool:
        if self._folders_only and not is_folder:
            return False
        result = self._pattern.match_file(name)
        if result is None:
            return False
        return self._whole_subtree or result.match.end() == len(name)


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _read_patterns(path: Path) -> list[_IgnorePattern]:
    if not path.is_file():
        return []
    # File names that are not UTF-8 come from the system with surrogates, so patterns must as well.
    lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").split("\n")
    patterns = []
    for line in reversed(lines):
        line = line if line.endswith("\\ ") else line.rstrip()
        if line.removeprefix("!").strip("/") and not line.startswith("#"):
            # Git skips a line that is not a pattern, and so do we.
            with suppress(ValueError, re.error):
                patterns.append(_IgnorePattern(line))
    return patterns


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InvalidInput(
            f"cannot take a snapshot of {folder}: it is not a folder; pass the folder of the code"
        )
    if (folder / LOG_NAME).exists():
        raise InvalidInput(
            f"{folder} is itself a runlore workspace, and a snapshot never holds one; "
            "keep code and workspace in different folders"
        )


@contextmanager
def _unreadable_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise SnapshotUnreadable(folder, error) from error


def _find(
    folder: Path, rules: _Rules, left_out: LeftOut, *, max_files: int, max_nbytes: int
) -> list[_Found]:
    """Find the files by stat alone, so that a folder that is too large is refused unread."""
    found: list[_Found] = []
    counted_all = True
    for name, path in walk_files(folder, wanted=rules.wanted, left_out=left_out):
        # A link must not bring in a file that would be left out under its own name (.env).
        linked = path != folder / name
        if linked and not rules.wanted_with_parents(path.relative_to(folder).as_posix()):
            continue
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found.append(_Found(name, path, status.st_size, bool(status.st_mode & stat.S_IXUSR)))
        if len(found) > _COUNTED_BEYOND * max_files:
            counted_all = False
            break
    nbytes = sum(file.nbytes for file in found)
    if len(found) > max_files or nbytes > max_nbytes:
        biggest = heapq.nlargest(_NAMED_BIGGEST, found, key=lambda file: file.nbytes)
        raise SnapshotTooLarge(
            folder,
            files=len(found),
            nbytes=nbytes,
            counted_all=counted_all,
            max_files=max_files,
            max_nbytes=max_nbytes,
            biggest=[(file.name, file.nbytes) for file in biggest],
            ignore_file=rules.ignore_file,
        )
    for file in found:
        _check_name(file.name)
    return found


def _check_name(name: str) -> None:
    try:
        safe_name(name)
    except UnsafePath as error:
        advice = "rename the file, or ignore it in .amlignore"
        raise UnsafePath(name, error.problem, advice) from None


def _store_files(found: list[_Found], store: ArtifactStore) -> Iterator[SnapshotFile]:
    for file in found:
        try:
            stored = store.put_path_unless_held(file.path)
        except FileNotFoundError:
            continue
        yield SnapshotFile(
            name=file.name,
            sha256=stored.sha256,
            nbytes=stored.nbytes,
            executable=file.executable,
        )


def _canonical(lines: list[SnapshotFile]) -> bytes:
    document = [line.model_dump() for line in lines]
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


@cache
def _manifest_type() -> TypeAdapter[list[SnapshotFile]]:
    return TypeAdapter(list[SnapshotFile])


def _size(nbytes: int) -> str:
    return f"{nbytes / 2**20:,.1f} MB" if nbytes >= 2**20 else f"{nbytes:,} bytes"
