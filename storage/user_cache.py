"""The folder of this user's cache: only this user can write there, so it need not be checked.

A workspace's folder may come from anybody, and whoever unpacks an archive owns its files. Tables
that are read without verifying them are therefore kept in the cache, by log: under a digest of the
workspace's id and of the log's file on this machine. A stranger's log may carry the id, and even
the leaves, of a log of ours beside other payloads; it is another file.

The folder is that of RUNLORE_CACHE_DIR, else `runlore` in XDG_CACHE_HOME or in `~/.cache`. If it is
not safe or not on a local disk, a folder of this user's in the temporary folder takes its place.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from runlore.storage.atomic_files import replacing
from runlore.storage.filesystem import UnsafeFileSystem, check_file_system
from runlore.storage.held_path import HeldPath

VARIABLE: Final = "RUNLORE_CACHE_DIR"

_LOGS: Final = "logs"
_ORIGIN: Final = "origin"
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class Cache(NamedTuple):
    """The folder that this process keeps tables in, or None if there is none.

    `problem` says why it is not the folder that the settings name.
    """

    folder: Path | None
    problem: str | None


class _Unusable(Exception):
    """A folder that cannot be the cache; the text says why and what to do."""


def find_cache() -> Cache:
    """The cache, made if it is missing; in a temporary folder if it cannot be where it should."""
    problem = None
    for locate in (_configured, _temporary):
        try:
            return Cache(_made_private(locate()), problem)
        except _Unusable as error:
            problem = problem or str(error)
    return Cache(None, problem)


def known_caches() -> list[Path]:
    """All folders in which processes of this user have kept something, as far as is known.

    Also those that would not be used now, for instance because others can write to them today.
    """
    found = []
    for locate in (_configured, _default, _temporary):
        try:
            folder = locate()
            _checked(folder / _LOGS)
        except (_Unusable, OSError):
            continue
        if folder not in found:
            found.append(folder)
    return found


def _configured() -> Path:
    given = os.environ.get(VARIABLE)
    if not given:
        return _default()
    if not os.path.isabs(given):
        raise _Unusable(f"{VARIABLE} is {given!r}: give the absolute path of a folder")
    return Path(given)


def _default() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # A relative one is to be ignored, says the specification.
        return Path(given, "runlore")
    home = os.path.expanduser("~")  # "~" itself if neither HOME nor the system knows it.
    if not os.path.isabs(home) or os.environ.get("HOME") == "":
        raise _Unusable(f"there is no home folder; set HOME, or {VARIABLE} to a folder")
    return Path(home, ".cache", "runlore")


def _temporary() -> Path:
    import tempfile

    try:
        return Path(tempfile.gettempdir(), f"runlore-{os.geteuid()}")
    except OSError as error:
        raise _Unusable(str(error)) from error


def _made_private(folder: Path) -> Path:
    try:
        for missing in (*reversed(folder.parents), folder):
            if not missing.exists():
                missing.mkdir(mode=0o700, exist_ok=True)
        found = _checked(folder)
        _check_above(folder)
        # Whoever could write to the folder before it was private may have put tables there.
        with suppress(FileNotFoundError):
            _checked(folder / _LOGS)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _Unusable(f"{folder} cannot be written; set {VARIABLE} to another folder")
        check_file_system(folder)
    except UnsafeFileSystem as error:
        raise _Unusable(
            f"{folder} is on a file system of type {error.kind}, where processes of several "
            f"machines could meet; set {VARIABLE} to a folder on a local disk"
        ) from error
    except OSError as error:
        raise _Unusable(
            f"{folder} cannot be made: {error.strerror}; set {VARIABLE} to another folder"
        ) from error
    return found


def _checked(folder: Path) -> Path:
    """The folder, if nobody else can write to it. Raises FileNotFoundError if it is missing."""
    found = os.lstat(folder)
    problem = None
    if stat.S_ISLNK(found.st_mode):
        problem = f"is a symbolic link; set {VARIABLE} to the folder that it leads to"
    elif not stat.S_ISDIR(found.st_mode):
        problem = f"is not a folder; remove it, or set {VARIABLE} to another folder"
    elif found.st_uid != os.geteuid():
        problem = f"belongs to user {found.st_uid}; set {VARIABLE} to a folder of your own"
    elif found.st_mode & _OTHERS_MAY_WRITE:
        mode = stat.S_IMODE(found.st_mode)
        problem = (
            f"has mode {mode:04o}, so others can write to it; remove it, for they may have done "
            f"so, or set {VARIABLE} to another folder"
        )
    if problem is not None:
        raise _Unusable(f"{folder} {problem}")
    return folder


def _check_above(folder: Path) -> None:
    """Raise _Unusable if others could put another folder of this user's in the folder's place.

    Such a folder could come from an archive that the user has unpacked.
    """
    for above in Path(os.path.realpath(folder)).parents:
        found = os.stat(above)
        private_group = found.st_gid == found.st_uid and not found.st_mode & stat.S_IWOTH
        others_may_write = found.st_mode & _OTHERS_MAY_WRITE and not private_group
        if found.st_uid not in (0, os.geteuid()) or (
            others_may_write and not found.st_mode & stat.S_ISVTX
        ):
            raise _Unusable(
                f"{folder} lies in {above}, where others can put another folder in its place; set "
                f"{VARIABLE} to a folder below your home folder"
            )


# --- by log ---------------------------------------------------------------------------------


class Origin(NamedTuple):
    """The workspace that tables were made from, as its log said when they were last used."""

    workspace_id: str
    name: str
    folder: str


def key_of_log(log_file: HeldPath, workspace_id: str) -> str:
    """The name of a log's folder in the cache: a digest of the file's identity and of the id.

    Never of the id alone, which a stranger's log can carry as well. Raises OSError.
    """
    found = log_file.check_file(writes=False)
    identity = f"{found.st_dev} {found.st_ino} {_born_at_ns(log_file)} {workspace_id}"
    return hashlib.sha256(identity.encode(errors="surrogatepass")).hexdigest()


class FolderOfLog(NamedTuple):
    """What the cache keeps of one log; `origin` is None if it is damaged."""

    path: Path
    origin: Origin | None


def folder_of_log(cache: Path, log_file: HeldPath, origin: Origin) -> Path:
    """The folder in the cache for what is made from a log, made if it is missing. Raises OSError.

    Another file at the same path, such as a restored copy, has another folder.
    """
    folder = cache / _LOGS / key_of_log(log_file, origin.workspace_id)
    if _origin_in(folder) != origin:
        for made in (folder.parent, folder):
            made.mkdir(mode=0o700, exist_ok=True)
        with replacing(folder / _ORIGIN) as file:
            file.write(json.dumps(origin._asdict()).encode())
    return folder


def folders_of_logs(cache: Path) -> Iterator[FolderOfLog]:
    """What the cache holds, by log, in no order."""
    try:
        found = [path for path in (cache / _LOGS).iterdir() if path.is_dir()]
    except FileNotFoundError:
        return
    for path in found:
        yield FolderOfLog(path, _origin_in(path))


def forget_log(folder: Path) -> None:
    """Remove a log's folder, if nothing is left in it but its origin."""
    with suppress(OSError):
        if os.listdir(folder) == [_ORIGIN]:
            (folder / _ORIGIN).unlink()
        folder.rmdir()


def _origin_in(folder: Path) -> Origin | None:
    try:
        origin = Origin(**json.loads((folder / _ORIGIN).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return origin if all(isinstance(text, str) for text in origin) else None


_AT_SYMLINK_NOFOLLOW: Final = 0x100
_STATX_BTIME: Final = 0x800


def _born_at_ns(path: HeldPath) -> int:
    """When the file was made; 0 where the system does not tell.

    File systems give the inode of a removed file to the next one. Python knows the time of birth
    on Linux from 3.15 on only, and `open` is no way to ask: closing the file would drop SQLite's
    locks on it.
    """
    if not sys.platform.startswith("linux"):
        found: Any = path.stat()
        return int(getattr(found, "st_birthtime", 0) * 1e9)
    buffer = ctypes.create_string_buffer(256)
    try:
        statx: Callable[..., int] = ctypes.CDLL(None).statx
    except (OSError, AttributeError):  # An old C library.
        return 0
    with path.parent.descriptor() as above:
        name = os.fsencode(path.name)
        if statx(above, name, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, buffer) != 0:
            return 0
    if not int.from_bytes(buffer.raw[0:4], sys.byteorder) & _STATX_BTIME:
        return 0
    seconds = int.from_bytes(buffer.raw[80:88], sys.byteorder, signed=True)
    return seconds * 10**9 + int.from_bytes(buffer.raw[88:92], sys.byteorder)
