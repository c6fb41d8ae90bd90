"""A run's files: outputs, logs, snapshots. The log names them; the artifact store holds them."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from runlore.domain.errors import ChangeRefusedError, InvalidInput, InvalidType, UserError
from runlore.domain.ids import owner_of
from runlore.engine.caller_warning import warn_caller
from runlore.engine.run_handle import NONE_YET, RunBase
from runlore.exceptions import SnapshotException
from runlore.storage.artifact_backend import ArtifactMissing
from runlore.storage.atomic_files import replacing
from runlore.storage.run_folder import RunFolder
from runlore.storage.safe_paths import UnsafePath, safe_destination, safe_name, walk_files

if TYPE_CHECKING:
    from runlore.domain.run_state import Artifact
    from runlore.engine.session import RunStream, Session
    from runlore.storage.artifacts import ArtifactStore

LOG_FOLDERS: Final = ("logs/", "user_logs/", "system_logs/", "azureml-logs/")


class RunFiles(RunBase):
    """The part of `Run` that keeps files and gives them back."""

    # Folders that this object keeps when the run ends, absolute, by the name of their files.
    _watched: Mapping[str, Path] = NONE_YET

    def upload_file(
        self,
        name: str,
        path_or_stream: str | os.PathLike[str] | BinaryIO,
        datastore_name: str | None = None,
    ) -> None:
        """Keeps a file or a binary stream under `name` (`outputs/model.pkl`).

        The same content again is a no-op; other content under a taken name is refused, because
        files never change. Raises UnsafePath for a name that could leave its folder (absolute,
        `..`, backslashes), UserErrorException for what is neither a path nor a stream.
        """
        if isinstance(path_or_stream, str | os.PathLike):
            self._keep({name: Path(path_or_stream)})
        elif callable(getattr(path_or_stream, "read", None)):
            self._keep({name: path_or_stream})
        else:
            raise UserError(
                f"UnsupportedType: upload_file of {name!r} takes a path or a binary stream, got "
                f"{type(path_or_stream).__name__}"
            )

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str | os.PathLike[str]],
        return_artifacts: bool = False,
        timeout_seconds: float | None = None,
        datastore_name: str | None = None,
    ) -> None:
        """Keeps several files in one commit, all or none; a repeated name is skipped, warned."""
        if isinstance(names, str) or isinstance(paths, str):
            raise InvalidType("upload_files takes lists; for one file use upload_file()")
        if len(names) != len(paths):
            raise InvalidType(
                f"upload_files takes one path per name, got {len(names)} names and "
                f"{len(paths)} paths"
            )
        files: dict[str, Path] = {}
        for name, path in zip(names, paths, strict=True):
            if name in files:
                warn_caller(f"upload_files: {name!r} is named twice; skipped")
            else:
                files[name] = Path(path)
        self._keep(files)

    def upload_folder(
        self, name: str, path: str | os.PathLike[str], datastore_name: str | None = None
    ) -> None:
        """Keeps all files of a folder, with their tree, below `name`, in one commit."""
        if not isinstance(name, str):
            raise InvalidType(f"name must be a str, got {type(name).__name__} {name!r:.80}")
        folder = Path(path)
        if not folder.is_dir():
            raise UserError(f"upload_folder of {name!r}: {os.fspath(path)!r} is no folder")
        base = name.rstrip("/")
        self._keep({f"{base}/{below}": file for below, file in walk_files(folder)})

    def download_file(
        self,
        name: str,
        output_file_path: str | os.PathLike[str] | None = None,
        _validate_checksum: bool = True,
    ) -> None:
        """Writes a kept file to a path; by default to its base name in the working folder.

        A path that is a folder keeps the base name. The content is checked against its digest.
        Raises UserErrorException if the run holds no file of this name.
        """
        artifact = self._artifact(name)
        target = Path(output_file_path) if output_file_path is not None else Path.cwd()
        if target.is_dir():
            target = safe_destination(target, name.rpartition("/")[2])
        self._artifacts.copy_to(artifact.sha256, target)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: str | Sequence[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: float | None = None,
    ) -> None:
        """Writes all kept files whose names start with `prefix` below a folder.

        No name leads out of the folder. Without `append_prefix` the prefix is cut from the
        paths. `output_paths` gives each file its own path instead, in the order of the names.
        """
        names = [name for name in self.get_file_names() if name.startswith(prefix or "")]
        folder = Path(output_directory) if output_directory is not None else Path.cwd()
        if output_paths is None:
            cut = "" if append_prefix else prefix or ""
            targets = [
                safe_destination(folder, name.removeprefix(cut).lstrip("/") or name)
                for name in names
            ]
        else:
            given = [output_paths] if isinstance(output_paths, str) else output_paths
            targets = [folder / path for path in given]
        if len(targets) != len(names):
            raise InvalidInput(
                f"download_files: {len(names)} files match {prefix!r} but {len(targets)} "
                "output_paths were given; give one per file"
            )
        for name, target in zip(names, targets, strict=True):
            self._artifacts.copy_to(self._artifact(name).sha256, target)

    def get_file_names(self) -> list[str]:
        """The names of all kept files, in the order in which they were kept."""
        return list(self._newest().artifacts)

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> list[str]:
        """Writes the run's log files below a folder and returns their paths.

        Of a submitted run that executes, as far as they are written.
        """
        folder = Path(destination) if destination is not None else Path(tempfile.mkdtemp())
        if folder.exists() and not folder.is_dir():
            raise UserError(f"get_all_logs: {folder} is a file; give a folder")
        paths = []
        logs, artifacts = self._log_files(), self._held.artifacts
        for name, source in logs.items():
            target = safe_destination(folder, name)
            if name in artifacts:
                self._artifacts.copy_to(artifacts[name].sha256, target)
            else:
                opened = self._open_log(source) or io.BytesIO(self._log(name))
                with opened as log, replacing(target) as copy:
                    shutil.copyfileobj(log, copy)
            paths.append(str(target))
        return paths

    def take_snapshot(self, file_or_folder_path: str | os.PathLike[str]) -> str:
        """Keeps a source folder as the run's snapshot and returns its id; once per run.

        The id is also the property `ContentSnapshotId`. Raises SnapshotException if the run has
        a snapshot already, or if the folder cannot be kept.
        """
        from runlore.domain.run import AddProperties, KeepSnapshot
        from runlore.engine.sources import snapshot_of

        self._session.check_writable()
        taken = snapshot_of(Path(file_or_folder_path), self._artifacts)
        try:
            self._change(
                KeepSnapshot(taken.snapshot_id, taken.manifest_sha256, taken.files, taken.nbytes)
            )
        except ChangeRefusedError as error:
            raise SnapshotException(str(error), error) from error
        self._change(AddProperties({"ContentSnapshotId": taken.snapshot_id}))
        return taken.snapshot_id

    def get_snapshot_id(self) -> str | None:
        """The id of the run's snapshot; None if it has none."""
        return self._newest().snapshot_id

    def restore_snapshot(
        self, snapshot_id: str | None = None, path: str | os.PathLike[str] | None = None
    ) -> str:
        """Writes the snapshot to `<path or temporary folder>/<snapshot id>.zip`; its full path."""
        from runlore.storage.snapshots import restore_snapshot

        state = self._newest()
        if state.snapshot_id is None or state.snapshot_manifest is None:
            raise UserError(
                f"run {self._id} has no snapshot; start_logging(snapshot_directory=...) or "
                "take_snapshot() keep one"
            )
        if snapshot_id not in (None, state.snapshot_id):
            raise UserError(f"run {self._id} holds snapshot {state.snapshot_id}, not {snapshot_id}")
        folder = Path(path) if path is not None else Path(tempfile.mkdtemp())
        target = (folder / f"{state.snapshot_id}.zip").absolute()
        return str(restore_snapshot(state.snapshot_manifest, self._artifacts, target))

    @property
    def _artifacts(self) -> ArtifactStore:
        return self._session.artifacts_of(self._id)

    def _keep(self, files: Mapping[str, Path | BinaryIO]) -> None:
        from runlore.domain.run import AddArtifacts

        self._session.check_writable()
        for name, source in files.items():
            safe_name(name)
            if isinstance(source, Path) and not source.is_file():
                raise UserError(f"cannot keep {name!r}: there is no file {os.fspath(source)!r}")
        self._change(AddArtifacts(dict(_stored(files, self._artifacts))))

    def _collect(self) -> None:
        """Keeps what is in the watched folders; warns of the files that cannot be kept."""
        problems = self._keep_folders(self._watched) if self._watched else ()
        if problems:
            more = f" ({len(problems) - 1} more were not kept either)" if problems[1:] else ""
            warn_caller(f"run {self._id} was not given all of its files: {problems[0]}{more}")

    def _keep_folders(self, folders: Mapping[str, Path]) -> list[str]:
        return keep_folders(self._session, self._folded, folders)

    def _artifact(self, name: str) -> Artifact:
        artifacts = self._newest().artifacts
        if name not in artifacts:
            known = ", ".join(list(artifacts)[:5]) or "none"
            raise UserError(
                f"run {self._id} holds no file {name!r}; it holds: {known}"
                f"{' and more, see get_file_names()' if len(artifacts) > 5 else ''}"
            )
        return artifacts[name]

    def _open_file(self, name: str) -> BinaryIO:
        return self._artifacts.open(self._artifact(name).sha256)

    def _log_files(self) -> dict[str, Path]:
        """The log files by name: those that are kept, and those that are written just now."""
        self._newest()
        return {**self._live_logs(), **self._kept_logs()}

    def _kept_logs(self) -> dict[str, Path]:
        """The paths in the artifact store of the log files that are kept there."""
        names = [name for name in self._held.artifacts if name.startswith(LOG_FOLDERS)]
        artifacts = self._artifacts if names else None
        return {
            name: path
            for name in names
            if artifacts and (path := artifacts.path(self._held.artifacts[name].sha256))
        }

    def _log(self, name: str) -> bytes:
        """A log's content; empty if the script has taken it away."""
        # When a run ends its logs move into the store: then the second look finds them there.
        for _ in range(2):
            path = self._log_files().get(name)
            log = None if path is None else self._open_log(path)
            if log is not None:
                with log:
                    return log.read()
        return b""

    def _open_log(self, path: Path) -> BinaryIO | None:
        """A file of `_log_files`; None if it was removed in the meantime."""
        try:
            for name, kept in self._kept_logs().items():
                if kept == path:  # Perhaps sealed.
                    return self._open_file(name)
            return path.open("rb")
        except (FileNotFoundError, ArtifactMissing):
            return None

    def _live_logs(self) -> dict[str, Path]:
        state, workspace = self._held, self._session.executing
        if state.definition is None or workspace is None:
            return {}
        folder = RunFolder(workspace, self._id)
        names = ("user_logs", *state.definition["watched"])
        return {
            file: path
            for name in names
            for file, path in _files_in(name, folder.log_path(name), [])
        }

    def _free_name(self, stem: str, suffix: str) -> str:
        """A name that no kept file has: the stem, or the stem with a number."""
        held = self._newest().artifacts
        name, number = stem + suffix, 1
        while name in held:
            number += 1
            name = f"{stem}_{number}{suffix}"
        return name


def keep_folders(session: Session, run: RunStream, folders: Mapping[str, Path]) -> list[str]:
    """Keeps the files of folders for a run, below the names given; returns what was not kept.

    Files never change: one that is held with other content is a problem, not an error.
    """
    from runlore.domain.run import AddArtifacts

    state = session.journal.refresh(run)
    held = state.artifacts if state else {}
    found: dict[str, Artifact] = {}
    problems: list[str] = []
    artifacts = session.artifacts_of(owner_of(run.stream))
    for name, folder in folders.items():
        for file, path in _files_in(name, folder, problems):
            artifact = _kept(file, path, artifacts, problems)
            if artifact is None:
                continue
            if held.get(file, artifact) == artifact:
                found[file] = artifact
            else:
                problems.append(f"{file!r} is held with other content, and files never change")
    session.change_run(run, AddArtifacts(found))
    return problems


def _stored(
    sources: Mapping[str, Path | BinaryIO], artifacts: ArtifactStore
) -> Iterator[tuple[str, Artifact]]:
    from runlore.domain.run_state import Artifact

    for name, source in sources.items():
        stored = artifacts.put_path(source) if isinstance(source, Path) else artifacts.put(source)
        yield name, Artifact(stored.sha256, stored.nbytes)


def _files_in(name: str, folder: Path, problems: list[str]) -> Iterator[tuple[str, Path]]:
    try:
        for below, path in walk_files(folder) if folder.is_dir() else ():
            yield f"{name}/{below}", path
    except PermissionError as error:
        problems.append(f"the folder {error.filename} may not be read")
    except FileNotFoundError:
        pass  # The folder went away meanwhile: a run that ends takes its own along.


def _kept(name: str, path: Path, artifacts: ArtifactStore, problems: list[str]) -> Artifact | None:
    from runlore.domain.run_state import Artifact

    try:
        safe_name(name)
        stored = artifacts.put_path_unless_held(path)
    except UnsafePath as error:
        problems.append(str(error))
    except PermissionError as error:
        problems.append(f"{error.filename} may not be read")
    except FileNotFoundError:
        pass  # It went away since the folder was read.
    else:
        return Artifact(stored.sha256, stored.nbytes)
    return None
