"""A run's files: the log names them, and the artifact store holds them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from runlore.domain.errors import UserError
from runlore.domain.events import ArtifactPruned
from runlore.domain.file_names import clashes
from runlore.domain.ids import run_stream
from runlore.domain.run_commands import (
    AddArtifacts,
)
from runlore.domain.run_state import Artifact
from runlore.engine.caller_warning import warn_caller
from runlore.engine.runs.handle import RunHandle
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.artifacts import ArtifactStore, StoredArtifact
from runlore.storage.errors import told
from runlore.storage.held_folder import UnsafeEntry
from runlore.storage.held_path import AnyPath, HeldPath, open_to_read
from runlore.storage.left_out import LeftOut
from runlore.storage.object_errors import StoreUnavailable
from runlore.storage.patience import is_over
from runlore.storage.plain_files import plain_files
from runlore.storage.safe_paths import UnsafePath, safe_name, walk_files

_SHOWN_NAMES = 5

P = TypeVar("P", Path, HeldPath)


class FilePruned(UserError):
    """The content of a file was given up to save space; its name, digest and size are known."""

    def __init__(self, name: str, run_id: str, sha256: str | None, pruning: str) -> None:
        super().__init__(
            f"the content of {name!r} of run {run_id} was given up to save space {pruning}; if you "
            f"have the file elsewhere, its SHA-256 is {sha256}: upload it under the same name "
            "and it is kept again"
        )
        self.name = name
        self.run_id = run_id
        self.sha256 = sha256


def keep_files(run: RunHandle, files: Mapping[str, Path | BinaryIO]) -> None:
    """Keep files and binary streams under their names, in one commit.

    Raises UserError for a path that is not a file, UnsafePath for an unsafe name.
    """
    run.session.writable()
    for name, source in files.items():
        safe_name(name)
        if isinstance(source, Path) and not source.is_file():
            raise UserError(f"cannot keep {name!r}: there is no file {os.fspath(source)!r}")
    artifacts = run.artifacts
    stored = {name: _put(source, artifacts) for name, source in files.items()}
    run.change(AddArtifacts({name: _artifact(found) for name, found in stored.items()}))
    for name, found in stored.items():
        _check_still_held(found, files[name], artifacts)


def keep_tree(run: RunHandle, name: str, folder: Path, *, follow_links: bool) -> None:
    """Keep all files of a folder, with their tree, below a name, in one commit.

    Warns about links that are not followed, and other entries that are not files.
    """
    left_out = LeftOut()
    found = dict(walk_files(folder, follow_links=follow_links, left_out=left_out))
    keep_files(run, {f"{name}/{below}": file for below, file in found.items()})
    if left_out.count:
        warn_caller(
            f"upload_folder of {name!r} left out {left_out.count:,} entries of "
            f"{os.fspath(folder)!r}: {left_out}"
        )


def keep_folders(
    run: RunHandle, folders: Mapping[str, AnyPath], *, owner: int | None = None
) -> list[str]:
    """Keep the files of folders, below the folders' names; return the problems.

    Files never change: a file that is already kept with other content is a problem. No link leads
    out of a folder, and all that is left out of one is one problem: links, pipes and the like and,
    with `owner`, other users' files, which may be hard links.
    """
    state = run.refresh()
    kept = state.artifacts if state else {}
    found: dict[str, Artifact] = {}
    sources: dict[str, tuple[StoredArtifact, AnyPath]] = {}
    problems: list[str] = []
    artifacts = run.artifacts
    for folder_name, folder in folders.items():
        left_out = LeftOut()
        for name, path in _files_in(folder_name, folder, problems, left_out):
            if is_over():
                problems.append(f"the process ended before {name!r} and what follows was kept")
                break
            stored = _put_or_report(name, path, artifacts, problems, left_out, owner)
            if stored is None:
                continue
            artifact = _artifact(stored)
            if kept.get(name, artifact)._replace(pruned=False) == artifact:
                found[name] = artifact
                sources[name] = stored, path
            else:
                problems.append(
                    f"{name!r} is already kept with other content, and files never change"
                )
        _tell(left_out, folder_name, problems)
    for name, other in clashes(found.keys() - kept.keys(), kept).items():
        del found[name]
        problems.append(f"{name!r} is not kept: with {other!r} it would be a file and a folder")
    run.change(AddArtifacts(found))
    for stored, path in sources.values():
        _check_still_held(stored, path, artifacts)
    return problems


def keep_watched(run: RunHandle) -> None:
    """Keep the files in the run's watched folders; warn about those that cannot be kept."""
    problems = keep_folders(run, run.watched) if run.watched else ()
    if problems:
        more = f" ({len(problems) - 1} more were not kept either)" if problems[1:] else ""
        warn_caller(f"not all files of run {run.id} were kept: {problems[0]}{more}")


def artifact_of(run: RunHandle, name: str) -> Artifact:
    """The run's file of a name. Raises UserError, which lists files that the run has."""
    artifacts = run.fetch().artifacts
    if name not in artifacts:
        shown = list(artifacts)[:_SHOWN_NAMES]
        more = " and more, see get_file_names()" if len(artifacts) > len(shown) else ""
        raise UserError(
            f"run {run.id} has no file {name!r}; it has: {', '.join(shown) or 'none'}{more}"
        )
    return artifacts[name]


def content_of(run: RunHandle, name: str) -> str:
    """The digest of a file's stored content. Raises UserError if its content is not stored."""
    artifact = artifact_of(run, name)
    if artifact.pruned:
        raise FilePruned(name, run.id, artifact.sha256, _pruning_of(run, name))
    if artifact.sha256 is None or artifact.uri is not None:
        raise UserError(
            f"{name!r} of run {run.id} is a reference to {artifact.uri!r:.200}, which is not "
            "stored here; if you trust that place, fetch_reference() fetches it from there"
        )
    return artifact.sha256


def _pruning_of(run: RunHandle, name: str) -> str:
    """By whom, when and why a file was pruned, as far as the log says."""
    facts = [
        fact
        for fact in run.session.journal.facts(run_stream(run.id))
        if fact.topic == ArtifactPruned.topic and fact.data and fact.data["name"] == name
    ]
    if not facts:
        return "at an unknown time"
    last = facts[-1]
    who = run.session.journal.name_of(last.writer_id, last.actor)
    return f"by {who} on {last.time:%Y-%m-%d %H:%M:%S} UTC: {last.reason or 'no reason is known'}"


def is_stored(artifact: Artifact) -> bool:
    """Whether a file's content is in the artifact store."""
    return artifact.uri is None and not artifact.pruned


def open_file(run: RunHandle, name: str) -> BinaryIO:
    """A kept file, for reading."""
    return run.artifacts.open(content_of(run, name))


def free_name(run: RunHandle, stem: str, suffix: str) -> str:
    """A name that no kept file has: the stem, or the stem with a number."""
    kept = run.fetch().artifacts
    name, number = stem + suffix, 1
    while name in kept:
        number += 1
        name = f"{stem}_{number}{suffix}"
    return name


def files_in(name: str, folder: P, problems: list[str]) -> Iterator[tuple[str, P]]:
    """The files below a folder, named below `name`; what is left out goes to `problems`.

    See `keep_folders`.
    """
    left_out = LeftOut()
    for below, path in _files_in(name, folder, problems, left_out):
        yield below, cast(P, path)
    _tell(left_out, name, problems)


def _files_in(
    name: str, folder: AnyPath, problems: list[str], left_out: LeftOut
) -> Iterator[tuple[str, AnyPath]]:
    found: Iterable[tuple[str, AnyPath]] = ()
    try:
        if isinstance(folder, HeldPath):
            found = plain_files(folder, left_out)
        elif folder.is_dir():
            found = walk_files(folder, left_out=left_out)
        for below, path in found:
            yield f"{name}/{below}", path
    except PermissionError as error:
        problems.append(f"the folder {error.filename} may not be read")
    except FileNotFoundError:
        pass  # The folder is gone by now: a run that ends removes its own.
    except UnsafeEntry as error:
        problems.append(str(error))


def _tell(left_out: LeftOut, folder: str, problems: list[str]) -> None:
    if left_out.count:
        problems.append(f"{left_out.count:,} entries of {folder!r} were left out: {left_out}")


def _put(source: Path | BinaryIO, artifacts: ArtifactStore) -> StoredArtifact:
    with told(str(source) if isinstance(source, Path) else "a stream"):
        return artifacts.put_path(source) if isinstance(source, Path) else artifacts.put(source)


def _artifact(stored: StoredArtifact) -> Artifact:
    return Artifact(stored.sha256, stored.nbytes)


def _check_still_held(
    stored: StoredArtifact, source: AnyPath | BinaryIO, artifacts: ArtifactStore
) -> None:
    """Store a file again whose bytes were pruned between our look and our commit.

    Raises ArtifactMissing if its stream is gone by now: upload the file again.
    """
    if not stored.was_held:
        return
    try:
        if artifacts.has(stored.sha256):
            return
    except StoreUnavailable:
        return  # It had the bytes a moment ago.
    if isinstance(source, Path | HeldPath):
        artifacts.put_path(source)
    else:
        raise ArtifactMissing(stored.sha256, artifacts.location)


def _put_or_report(
    name: str,
    path: AnyPath,
    artifacts: ArtifactStore,
    problems: list[str],
    left_out: LeftOut,
    owner: int | None,
) -> StoredArtifact | None:
    try:
        safe_name(name)
        file = open_to_read(path)
    except (UnsafePath, UnsafeEntry) as error:
        problems.append(str(error))
        return None
    except PermissionError as error:
        problems.append(f"{error.filename} may not be read")
        return None
    except FileNotFoundError:
        return None  # It was removed after the folder was read.
    with file:
        if owner is not None and not _may_be_of(owner, os.fstat(file.fileno()).st_uid):
            left_out.add(name, "a file of another user")
            return None
        return artifacts.put_unless_held(file)


def _may_be_of(owner: int, uid: int) -> bool:
    """Whether a file of `uid` may be kept of a run whose folder is the owner's.

    In this user's own folders, all may: nobody else could have put a hard link there. A container
    in a script writes as root.
    """
    this_user = os.geteuid()
    return this_user == owner or uid == owner or (uid == 0 and this_user != 0)
