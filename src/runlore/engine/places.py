"""The folders and URIs of workspaces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from runlore.domain.errors import InvalidInput, InvalidType

LOG_NAME: Final = "log.sqlite"
"""A folder with this file in it is a workspace."""


def is_workspace(folder: Path) -> bool:
    """Whether the folder holds a workspace's log."""
    return (folder / LOG_NAME).is_file()


def make_folder(folder: Path) -> None:
    """Make the folder of a workspace, with a `.gitignore` of `*` if it is new or empty.

    A folder that holds something may hold code, and so may the working folder: they get none.
    Raises LogReadOnly if the folder cannot be made.
    """
    try:
        fresh = not folder.exists() or not any(folder.iterdir())
        folder.mkdir(parents=True, exist_ok=True)
        if fresh and not folder.samefile(Path.cwd()):
            (folder / ".gitignore").write_text("*\n")
    except OSError as error:
        from runlore.storage.errors import LogReadOnly

        raise LogReadOnly(
            f"cannot make the workspace's folder {folder}: {error.strerror}; choose another path"
        ) from error


def folder_of(path_or_uri: str | os.PathLike[str]) -> Path:
    """The folder that a path or a `sqlite:///` URI means.

    >>> folder_of("sqlite:///data/lab").as_posix()
    '/data/lab'
    """
    if not isinstance(path_or_uri, str | os.PathLike):
        raise InvalidType(f"a workspace's path must be a str or a path, got {path_or_uri!r:.80}")
    text = os.fspath(path_or_uri)
    if "\0" in text:
        raise InvalidInput(f"{text!r:.80} cannot be a path: it holds a null character")
    if "://" not in text:
        return Path(text).expanduser()
    uri = urlsplit(text)
    if uri.scheme != "sqlite" or uri.netloc:
        raise InvalidInput(
            f"cannot open {text!r}: this runlore knows folders and sqlite:///absolute/folder"
        )
    return Path(unquote(uri.path))


def uri_of(folder: Path) -> str:
    """The URI of a workspace's folder; the same for all paths that lead to it."""
    return "sqlite://" + quote(str(folder.resolve()))


def workspaces_in(folder: Path) -> Iterator[Path]:
    """The folder itself and its subfolders, those that are workspaces, sorted."""
    if is_workspace(folder):
        yield folder
    if folder.is_dir():
        yield from sorted(child for child in folder.iterdir() if is_workspace(child))
