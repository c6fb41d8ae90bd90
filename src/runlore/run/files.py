"""A run's files: outputs, logs, snapshots. The log names them; the artifact store holds them."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from runlore.domain.errors import ChangeRefusedError, InvalidInput, InvalidType, UserError
from runlore.engine.caller_warning import warn_caller
from runlore.engine.runs.sources import snapshot_of
from runlore.exceptions import SnapshotException
from runlore.run.part import RunPart
from runlore.storage.atomic_files import replacing
from runlore.storage.safe_paths import safe_destination, walk_files


class RunFiles(RunPart):
    """The part of `Run` that keeps files and gives them back."""

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
        from runlore.engine.runs.files import keep_files

        if isinstance(path_or_stream, str | os.PathLike):
            keep_files(self._handle, {name: Path(path_or_stream)})
        elif callable(getattr(path_or_stream, "read", None)):
            keep_files(self._handle, {name: path_or_stream})
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
        from runlore.engine.runs.files import keep_files

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
        keep_files(self._handle, files)

    def upload_folder(
        self, name: str, path: str | os.PathLike[str], datastore_name: str | None = None
    ) -> None:
        """Keeps all files of a folder, with their tree, below `name`, in one commit."""
        from runlore.engine.runs.files import keep_files

        if not isinstance(name, str):
            raise InvalidType(f"name must be a str, got {type(name).__name__} {name!r:.80}")
        folder = Path(path)
        if not folder.is_dir():
            raise UserError(f"upload_folder of {name!r}: {os.fspath(path)!r} is not a folder")
        base = name.rstrip("/")
        files = {f"{base}/{below}": file for below, file in walk_files(folder)}
        keep_files(self._handle, files)

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
        from runlore.engine.runs.files import artifact_of

        artifact = artifact_of(self._handle, name)
        target = Path(output_file_path) if output_file_path is not None else Path.cwd()
        if target.is_dir():
            target = safe_destination(target, name.rpartition("/")[2])
        self._handle.artifacts.copy_to(artifact.sha256, target)

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
        from runlore.engine.runs.files import artifact_of

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
            artifact = artifact_of(self._handle, name)
            self._handle.artifacts.copy_to(artifact.sha256, target)

    def get_file_names(self) -> list[str]:
        """The names of all kept files, in the order in which they were kept."""
        return list(self._handle.fetch().artifacts)

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> list[str]:
        """Writes the run's log files below a folder and returns their paths.

        Of a submitted run that executes, as far as they are written.
        """
        from runlore.engine.runs.logs import log_files, open_log, read_log

        folder = Path(destination) if destination is not None else Path(tempfile.mkdtemp())
        if folder.exists() and not folder.is_dir():
            raise UserError(f"get_all_logs: {folder} is a file; give a folder")
        paths = []
        run = self._handle
        logs, artifacts = log_files(run), run.state.artifacts
        for name, source in logs.items():
            target = safe_destination(folder, name)
            if name in artifacts:
                run.artifacts.copy_to(artifacts[name].sha256, target)
            else:
                opened = open_log(run, source) or io.BytesIO(read_log(run, name))
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

        run = self._handle
        run.session.writable()
        taken = snapshot_of(Path(file_or_folder_path), run.artifacts)
        try:
            run.change(
                KeepSnapshot(taken.snapshot_id, taken.manifest_sha256, taken.files, taken.nbytes)
            )
        except ChangeRefusedError as error:
            raise SnapshotException(str(error), error) from error
        run.change(AddProperties({"ContentSnapshotId": taken.snapshot_id}))
        return taken.snapshot_id

    def get_snapshot_id(self) -> str | None:
        """The id of the run's snapshot; None if it has none."""
        return self._handle.fetch().snapshot_id

    def restore_snapshot(
        self, snapshot_id: str | None = None, path: str | os.PathLike[str] | None = None
    ) -> str:
        """Writes the snapshot to `<path or temporary folder>/<snapshot id>.zip`; its full path."""
        from runlore.storage.snapshots import restore_snapshot

        state = self._handle.fetch()
        if state.snapshot_id is None or state.snapshot_manifest is None:
            raise UserError(
                f"run {self._id} has no snapshot; start_logging(snapshot_directory=...) or "
                "take_snapshot() keep one"
            )
        if snapshot_id not in (None, state.snapshot_id):
            raise UserError(f"run {self._id} holds snapshot {state.snapshot_id}, not {snapshot_id}")
        folder = Path(path) if path is not None else Path(tempfile.mkdtemp())
        target = (folder / f"{state.snapshot_id}.zip").absolute()
        return str(restore_snapshot(state.snapshot_manifest, self._handle.artifacts, target))
