"""The places of workspaces: folders on this machine, and URIs; and searching them upwards."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from runlore.domain.errors import InvalidInput, WorkspaceNotFound
from runlore.engine.caller_warning import warn_caller
from runlore.storage.held_path import hold
from runlore.storage.log_opener import LOG_NAME
from runlore.storage.open_log import exists, locate
from runlore.storage.ownership import anybody_may_add, foreign, is_trusted
from runlore.storage.run_folder import RUNS, SOURCE
from runlore.storage.system_errors import Fault, fault_of

CEILINGS: Final = "RUNLORE_CEILING_DIRECTORIES"
"""The variable with the folders that no search goes up to, as GIT_CEILING_DIRECTORIES for git."""

_warned: Final[set[Path]] = set()


def is_workspace(folder: Path) -> bool:
    """Whether the folder holds a workspace's log."""
    return exists(locate(folder))


def is_address(text: str) -> bool:
    """Whether the text is the path of a folder or a URI, rather than a workspace's name.

    >>> [is_address(text) for text in ("sqlite:///data/lab", "./lab", "~", "lab")]
    [True, True, True, False]
    """
    return os.sep in text or text.startswith("~") or text in (".", "..")


def make_folder(folder: Path, *, private: bool = False) -> None:
    """Create the folder of a workspace, with a `.gitignore` of `*` if it is new or empty.

    A new one is as the umask says, or `private` to this user. A folder with contents may hold code,
    and so may the working folder: they get no `.gitignore`. Raises LogUnavailable: LogReadOnly if
    the folder may not be created.
    """
    try:
        fresh = not folder.exists() or not any(folder.iterdir())
        folder.mkdir(0o700 if private else 0o777, parents=True, exist_ok=True)
        if fresh and not folder.samefile(Path.cwd()):
            with suppress(FileExistsError), (hold(folder) / ".gitignore").open_file("xb") as file:
                file.write(b"*\n")
    except OSError as error:
        from runlore.storage.errors import LogReadOnly, from_os

        if fault_of(error) not in (None, Fault.FORBIDDEN):
            raise from_os(error, str(folder)) from error
        raise LogReadOnly(
            f"cannot create the workspace's folder {folder}: {error.strerror}; choose another path"
        ) from error


def holds_anything(folder: Path) -> bool:
    """Whether a folder holds more than what `make_folder` puts there."""
    try:
        return any(one.name != ".gitignore" for one in folder.iterdir())
    except FileNotFoundError:
        return False


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


# --- the run that this process executes ---------------------------------------------------------


class ThisRun(NamedTuple):
    """The run that this process executes, as its launcher says by variables."""

    uri: str
    run_id: str

    def holds(self, folder: Path) -> bool:
        """Whether the folder is in the run's copy of the source, which is removed at its end."""
        workspace = locate(self.uri).folder
        if workspace is None:
            return False
        source = os.path.realpath(workspace / RUNS / self.run_id / SOURCE)
        return Path(os.path.realpath(folder)).is_relative_to(source)


def this_run() -> ThisRun | None:
    """The run that this process executes, if any; see `entry/context.py`."""
    uri, run_id = os.environ.get("RUNLORE_WORKSPACE_URI"), os.environ.get("RUNLORE_RUN_ID")
    return ThisRun(uri, run_id) if uri and run_id else None


# --- searching ----------------------------------------------------------------------------------


class NotTrusted(WorkspaceNotFound):
    """A search found what somebody else may have planted; `found` is its path."""

    def __init__(self, found: Path, why: str, folder: Path) -> None:
        super().__init__(
            f"found {found}, but did not use it: {why}. If you trust whoever can write there, run "
            f"`runlore trust {folder}`; or name the workspace: -w FOLDER, Workspace.open(FOLDER), "
            "runlore.init(workspace=FOLDER) or RUNLORE_WORKSPACE_URI"
        )
        self.found = found


def search_start(folder: Path) -> Path:
    """The absolute folder where a search begins, in a form whose parents are the folders above."""
    absolute = folder.absolute()
    return Path(os.path.realpath(absolute)) if ".." in absolute.parts else absolute


def folders_above(start: Path) -> Iterator[Path]:
    """The folder and those above it, up to the root or below the first ceiling.

    The folder itself is searched even if it is a ceiling. It must be a `search_start`.
    """
    ceilings = _ceilings()
    yield start
    for above in start.parents:
        if ceilings and os.path.realpath(above) in ceilings:
            return
        yield above


def may_use(found: Path, parts: Iterable[Path], folder: Path, *, start: Path) -> bool:
    """Whether something that a search from `start` found in `folder` belongs to somebody believed.

    `parts` are the files and folders whose owners count. In a folder above where everybody can
    make files, somebody else's is passed over with a warning: nobody could work below /tmp else.
    Anywhere else it raises NotTrusted.
    """
    why = foreign(parts)
    if why is None or is_trusted(found):
        return True
    if folder != start and anybody_may_add(folder):
        pass_over(found, f"{why}, and everybody can write to {folder}")
        return False
    raise NotTrusted(found, why, folder)


def pass_over(found: Path, why: str) -> None:
    """Warn, once per process, that a search goes on without what it found."""
    if found not in _warned:
        _warned.add(found)
        warn_caller(f"passed over {found}: {why}")


def is_read_only(workspace: Path) -> bool:
    """Whether the workspace belongs to somebody else, root say, who lets this user only read it."""
    return (
        os.stat(workspace / LOG_NAME).st_uid != os.geteuid()
        and not os.access(workspace / LOG_NAME, os.W_OK)
    )  # fmt: skip


def check_workspace(workspace: Path, folder: Path) -> None:
    """Raise NotTrusted if a workspace that was found in `folder` belongs to somebody else."""
    may_use(workspace, parts_of_workspace(workspace), folder, start=folder)


def parts_of_workspace(workspace: Path) -> tuple[Path, ...]:
    """The parts of a workspace whose owners count."""
    return workspace, workspace / LOG_NAME


def _ceilings() -> frozenset[str]:
    given = os.environ.get(CEILINGS, "").split(os.pathsep)
    return frozenset(os.path.realpath(folder) for folder in given if os.path.isabs(folder))
