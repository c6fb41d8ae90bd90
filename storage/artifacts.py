"""Content-addressed, write-once files: bytes go in, their SHA-256 comes out and names them.

    root/<first two digits>/<sha256>    the artifacts, read-only
    root/tmp/                           artifacts on their way in; anything here may be lost

The log names artifacts by digest; their bytes never enter it. This module also holds
the rules by which a name becomes a path, so that none escapes from its folder.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from runlore.domain.errors import InvalidType, RunloreError, UserError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CHUNK_NBYTES: Final = 2**20
MAX_NAME_LENGTH: Final = 5_000
LEFTOVER_AGE_S: Final = 24 * 60 * 60

_DIGEST = re.compile(r"[0-9a-f]{64}")
_DRIVE = re.compile(r"[A-Za-z]:")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class ArtifactMissing(RunloreError, LookupError):
    """No file of this digest is in the store."""

    def __init__(self, sha256: str, root: Path) -> None:
        super().__init__(
            f"no artifact {sha256} below {root}; it was never stored there, or its file was "
            "deleted: bring the file back from a copy of the workspace"
        )
        self.sha256 = sha256
        self.root = root


class ArtifactCorrupt(RunloreError):
    """A stored file does not hold what its digest promises; `found` says what it holds."""

    def __init__(self, sha256: str, found: str) -> None:
        super().__init__(
            f"artifact {sha256} is corrupt: {found}; nothing was written. "
            "Delete its file and store the original again, or bring it back from a copy"
        )
        self.sha256 = sha256
        self.found = found


class ArtifactNotWritten(RunloreError, OSError):
    """The file system refused a write; no half file is left. `errno` is the system's."""

    def __init__(self, target: Path, error: OSError) -> None:
        problem = error.strerror or str(error)
        if error.errno in _FULL:
            advice = "free some space (or lift the file size limit or quota) and try again"
        elif error.errno in _FORBIDDEN:
            advice = "make the folder writable for this user, or choose another one"
        else:
            advice = "check the path and try again"
        super().__init__(f"cannot write {target}: {problem}; nothing of it was written; {advice}")
        self.target = target
        self.errno = error.errno


class UnsafePath(UserError, ValueError):
    """A name or digest that does not stay below the folder it is meant for."""

    def __init__(
        self,
        asked: object,
        problem: str,
        advice: str = "use a relative name such as 'outputs/model.pkl'",
    ) -> None:
        super().__init__(f"{asked!r:.200} cannot name a file here: {problem}; {advice}")
        self.asked = asked
        self.problem = problem


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """The address and the size of bytes that are on disk."""

    sha256: str
    nbytes: int


class ArtifactStore:
    """Files by their SHA-256 below one folder, safe with many threads and processes at once.

    What `put` returned is on disk and stays as it is: an artifact appears under its final
    name whole, by a rename, and is never rewritten. Making the object touches no disk.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tmp = root / "tmp"
        self._prepared = False

    def put(self, source: BinaryIO) -> StoredArtifact:
        """Stores what is left to read in `source`, in chunks of 1 MiB.

        Raises ArtifactNotWritten on a full disk or an unwritable folder, InvalidType for a
        text stream; errors of the source itself pass through. Nothing is kept then.
        """
        digest = hashlib.sha256()
        nbytes = 0

        def counted() -> Iterator[bytes]:
            nonlocal nbytes
            for chunk in _chunks(source):
                digest.update(chunk)
                nbytes += len(chunk)
                yield chunk

        with self._staged() as file:
            for piece in self._encoded(counted()):
                file.write(piece)
            stored = StoredArtifact(digest.hexdigest(), nbytes)
            if not self._holds(stored):
                self._publish(file, stored.sha256)
        self._sync_names(stored.sha256)
        return stored

    def put_path(self, path: Path) -> StoredArtifact:
        """Stores the file's bytes; see `put`."""
        with path.open("rb") as source:
            return self.put(source)

    def put_path_unless_held(self, path: Path) -> StoredArtifact:
        """As `put_path`, for a file that is probably stored already: reads first, then writes.

        A held file costs one read and no write, a new one is read twice.
        """
        with path.open("rb") as source:
            digest = hashlib.sha256()
            nbytes = 0
            for chunk in _chunks(source):
                digest.update(chunk)
                nbytes += len(chunk)
        stored = StoredArtifact(digest.hexdigest(), nbytes)
        if not self._holds(stored):
            return self.put_path(path)
        self._sync_names(stored.sha256)
        return stored

    def path(self, sha256: str) -> Path:
        """Where the artifact of this digest is or would be; UnsafePath for any other text."""
        if not isinstance(sha256, str) or not _DIGEST.fullmatch(sha256):
            raise UnsafePath(sha256, "not a SHA-256 digest", "use 64 lowercase hex digits")
        return self.root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the artifact is stored; its bytes are not read."""
        return _regular_nbytes(self.path(sha256)) is not None

    def open(self, sha256: str) -> BinaryIO:
        """The artifact's bytes, unverified; ArtifactMissing if there are none."""
        try:
            return self.open_at(self.path(sha256))
        except FileNotFoundError:
            raise ArtifactMissing(sha256, self.root) from None
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise ArtifactCorrupt(sha256, "its file is a symbolic link") from error

    def open_at(self, path: Path) -> BinaryIO:
        """The bytes of the artifact whose file this is, unverified. Raises OSError."""
        # A workspace may come from a stranger: a link in it must not show our files.
        return self._decoded(
            os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        )

    def verified_chunks(self, sha256: str) -> Iterator[bytes]:
        """The artifact's bytes in chunks; raises ArtifactCorrupt at the end if they differ.

        Whoever consumes it must not show what it got before the iteration has ended.
        """
        digest = hashlib.sha256()
        with self.open(sha256) as source:
            for chunk in _chunks(source):
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != sha256:
            raise ArtifactCorrupt(sha256, f"its bytes hash to {digest.hexdigest()}")

    def copy_to(self, sha256: str, destination: Path) -> None:
        """Writes the verified bytes to `destination`, whole or not at all; makes its parents.

        A file there is replaced (a symbolic link too, never what it leads to). The copy is
        not fsynced. Raises ArtifactMissing, ArtifactCorrupt or ArtifactNotWritten.
        """
        with replacing(destination) as file:
            for chunk in self.verified_chunks(sha256):
                file.write(chunk)

    def _encoded(self, chunks: Iterable[bytes]) -> Iterable[bytes]:
        """What is written for the chunks of an artifact."""
        return chunks

    def _decoded(self, file: BinaryIO) -> BinaryIO:
        """An artifact as it was given, from its opened file."""
        return file

    @contextmanager
    def _staged(self) -> Iterator[_Sink]:
        """A new file in root/tmp, which is gone at the end unless it was renamed."""
        with explained(self.root):
            self._prepare()
            fd, name = tempfile.mkstemp(dir=self._tmp)
        with _removed_afterwards(Path(name)), _Sink(fd, Path(name), self.root) as file:
            yield file

    def _prepare(self) -> None:
        if self._prepared:
            return
        self._tmp.mkdir(parents=True, exist_ok=True)
        _sync_folder(self.root.parent)
        _sync_folder(self.root)
        self._sweep_leftovers()
        self._prepared = True

    def _sweep_leftovers(self) -> None:
        """Removes what killed processes left; a file that is written to is younger than a day."""
        oldest = time.time() - LEFTOVER_AGE_S
        with os.scandir(self._tmp) as entries:
            for entry in entries:
                # Another process may sweep at the same time; another user's files stay.
                with suppress(FileNotFoundError, PermissionError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.path)

    def _publish(self, file: _Sink, sha256: str) -> None:
        final = self.path(sha256)
        with explained(self.root):
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
            final.parent.mkdir(exist_ok=True)
            os.replace(file.path, final)

    def _sync_names(self, sha256: str) -> None:
        """Also done for a held artifact: its writer may not have come to it yet (0.1 ms)."""
        with explained(self.root):
            _sync_folder(self.path(sha256).parent)
            _sync_folder(self.root)

    def _holds(self, artifact: StoredArtifact) -> bool:
        """By size, too: a file cut short from outside is healed by the next put of its bytes."""
        return _regular_nbytes(self.path(artifact.sha256)) == artifact.nbytes


@contextmanager
def replacing(destination: Path) -> Iterator[BinaryIO]:
    """A file that takes the destination's place at the end of the block, if nothing was raised.

    Makes the parents; failing writes raise ArtifactNotWritten, and no half file is left.
    """
    with explained(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        # Not mkstemp: the copy gets the permissions that the user's umask gives.
        temp = destination.parent / f".runlore-{os.urandom(8).hex()}.part"
        fd = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with _removed_afterwards(temp), _Sink(fd, temp, destination) as file:
        yield file
        with explained(destination):
            os.replace(temp, destination)


def safe_name(name: str) -> str:
    """The name, if it is a plain relative path with '/' between its parts; else UnsafePath.

    Nothing is normalised: what is accepted is kept to the letter.

        >>> safe_name("outputs/model.pkl")
        'outputs/model.pkl'
    """
    if not isinstance(name, str):
        raise InvalidType(f"an artifact's name must be a str, got {type(name).__name__}")
    problem = _problem(name)
    if problem:
        raise UnsafePath(name, problem)
    return str(name)


def safe_destination(folder: Path, name: str) -> Path:
    """Where a download called `name` goes below `folder`, with symbolic links resolved.

    Raises UnsafePath if links that exist on disk would lead it out of the folder.
    """
    root = Path(os.path.realpath(folder))
    resolved = Path(os.path.realpath(root / safe_name(name)))
    if not resolved.is_relative_to(root):
        raise UnsafePath(
            name,
            f"a symbolic link leads it out of {root} to {resolved}",
            "remove the link or download to another folder",
        )
    return resolved


def _everything(_name: str, _is_folder: bool) -> bool:
    return True


def walk_files(
    folder: Path, *, wanted: Callable[[str, bool], bool] = _everything
) -> Iterator[tuple[str, Path]]:
    """(name, path) of the regular files below `folder`, sorted by name, '/' between the parts.

    A link to a file inside is that file, with its resolved path; other links, sockets,
    pipes and devices are left out, and no linked folder is entered. `wanted(name,
    is_folder)` prunes: a refused folder is not read. Names are as on disk: see `safe_name`.
    """
    root = Path(os.path.realpath(folder))
    todo = _entries(folder, "")
    while todo:
        name, entry = todo.pop()
        if entry.is_dir(follow_symlinks=False):
            if wanted(name, True):
                # A folder that went away meanwhile holds no files.
                with suppress(FileNotFoundError):
                    todo += _entries(Path(entry.path), name + "/")
        elif (path := _file_inside(entry, root)) and wanted(name, False):
            yield name, path


def _entries(folder: Path, prefix: str) -> list[tuple[str, os.DirEntry[str]]]:
    """Last first. A folder sorts with its slash, which makes the whole names come sorted."""

    def key(entry: os.DirEntry[str]) -> str:
        return entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name

    with os.scandir(folder) as entries:
        return [(prefix + entry.name, entry) for entry in sorted(entries, key=key, reverse=True)]


def _file_inside(entry: os.DirEntry[str], root: Path) -> Path | None:
    if entry.is_file(follow_symlinks=False):
        return Path(entry.path)
    if not entry.is_symlink():
        return None
    target = Path(os.path.realpath(entry.path))
    return target if target.is_relative_to(root) and target.is_file() else None


def _problem(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME_LENGTH:
        return f"it has {len(name):,} characters, at most {MAX_NAME_LENGTH:,} are possible"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "it holds control characters"
    if any(unicodedata.category(character) == "Cs" for character in name):
        return "it is not UTF-8 text"
    if "\\" in name:
        return "it holds a backslash (parts are separated by '/')"
    if name.startswith("/"):
        return "it is absolute"
    if _DRIVE.match(name):
        return "it starts with a drive letter"
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        return "a part of it is empty, '.' or '..'"
    return None


class _Sink(io.FileIO):
    """An unbuffered file whose writes are whole, and whose failing writes explain themselves."""

    def __init__(self, fd: int, path: Path, target: Path) -> None:
        super().__init__(fd, "w+b")
        self.path = path
        self._target = target

    def write(self, data: ReadableBuffer, /) -> int:
        rest = memoryview(data).cast("B")
        nbytes = len(rest)
        with explained(self._target):
            while rest:
                rest = rest[super().write(rest) :]
        return nbytes


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """What the system refuses inside the block is raised as ArtifactNotWritten."""
    try:
        yield
    except OSError as error:
        raise ArtifactNotWritten(target, error) from error


@contextmanager
def _removed_afterwards(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        # Mostly renamed by now. If even this fails, the first error is the one to see.
        with suppress(OSError):
            path.unlink()


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_NBYTES):
        if isinstance(chunk, str):
            raise InvalidType("an artifact is made of bytes, got text; open the file with 'rb'")
        yield chunk


def _regular_nbytes(path: Path) -> int | None:
    """The size of a regular file that is no link, else None."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
