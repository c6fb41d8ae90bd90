"""The places of workspaces: folders on this machine, and URIs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from runlore.domain.errors import InvalidInput
from runlore.storage.open_log import exists, locate


def is_workspace(folder: Path) -> bool:
    """Whether the folder holds a workspace's log."""
    return exists(locate(folder))


def is_address(text: str) -> bool:
    """Whether the text is the path of a folder or a URI, rather than a workspace's name.

    >>> [is_address(text) for text in ("sqlite:///data/lab", "./lab", "~", "lab")]
    [True, True, True, False]
    """
    return os.sep in text or text.startswith("~") or text in (".", "..")


def make_folder(folder: Path) -> None:
    """Create the folder of a workspace, with a `.gitignore` of `*` if it is new or empty.

    A folder with contents may hold code, and so may the working folder: they get none. Raises
    LogReadOnly if the folder cannot be created, and TooManyOpenFiles.
    """
    try:
        fresh = not folder.exists() or not any(folder.iterdir())
        folder.mkdir(parents=True, exist_ok=True)
        if fresh and not folder.samefile(Path.cwd()):
            (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        from runlore.storage.errors import LogReadOnly, TooManyOpenFiles, from_os

        found = from_os(error, str(folder))
        if isinstance(found, TooManyOpenFiles):
            raise found from error
        raise LogReadOnly(
            f"cannot create the workspace's folder {folder}: {error.strerror}; choose another path"
        ) from error


def folder_of(path_or_uri: str | os.PathLike[str]) -> Path:
    """The absolute folder of a path or URI.

    Raises InvalidInput for the URI of a workspace without a folder on this machine.
    """
    location = locate(path_or_uri)
    if location.folder is None:
        raise InvalidInput(f"{location.uri} has no folder on this machine")
    return location.folder


def workspaces_in(folder: Path) -> Iterator[Path]:
    """The workspaces among a folder and its subfolders; the folder first, the others sorted."""
    if is_workspace(folder):
        yield folder
    if folder.is_dir():
        yield from sorted(child for child in folder.iterdir() if is_workspace(child))
