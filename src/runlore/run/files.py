"""A run's files: outputs, logs, snapshots. The log names them; the artifact store holds them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from runlore.domain.errors import InvalidType, UserError
from runlore.engine.caller_warning import warn_caller
from runlore.run.part import RunPart
from runlore.storage.interruptions import deferrable


class RunFiles(RunPart):
    """The part of `Run` that keeps files and returns them."""

    @deferrable
    def upload_file(
        self,
        name: str,
        path_or_stream: str | os.PathLike[str] | BinaryIO,
        datastore_name: str | None = None,
        *,
        copy: bool = True,
    ) -> None:
        """Keep a file or a binary stream under `name` (`outputs/model.pkl`).

        The same content again is a no-op; other content under a taken name is refused, because
        files never change. Without `copy`, the file stays where it is: the log keeps its path, its
        size and its SHA-256, for which it is read once; see docs/files.md. Raises UnsafePath for a
        name that could leave its folder (absolute, `..`, backslashes), UserErrorException for a
        value that is neither a path nor a stream, or a stream without `copy`.
        """
        from runlore.engine.runs.files import keep_files
        from runlore.engine.runs.references import refer_to_file

        if not copy:
            if not isinstance(path_or_stream, str | os.PathLike):
                raise UserError(
                    f"upload_file of {name!r} with copy=False takes a path: a stream is nowhere "
                    "to be found again"
                )
            refer_to_file(self._handle, name, Path(path_or_stream))
        elif isinstance(path_or_stream, str | os.PathLike):
            keep_files(self._handle, {name: Path(path_or_stream)})
        elif callable(getattr(path_or_stream, "read", None)):
            keep_files(self._handle, {name: path_or_stream})
        else:
            raise UserError(
                f"UnsupportedType: upload_file of {name!r} takes a path or a binary stream, got "
                f"{type(path_or_stream).__name__}"
            )

    @deferrable
    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str | os.PathLike[str]],
        return_artifacts: bool = False,
        timeout_seconds: float | None = None,
        datastore_name: str | None = None,
    ) -> None:
        """Keep several files in one commit, all or none; repeated names are skipped, with a
        warning.
        """
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
                warn_caller(f"upload_files: {name!r} is given twice; the second file is skipped")
            else:
                files[name] = Path(path)
        keep_files(self._handle, files)

    @deferrable
    def upload_folder(
        self,
        name: str,
        path: str | os.PathLike[str],
        datastore_name: str | None = None,
        *,
        follow_links: bool = True,
    ) -> None:
        """Keep all files of a folder, with their tree, below `name`, in one commit.

        A link to a file counts as that file, wherever it is, as in a snapshot of the Hugging Face
        cache; without `follow_links`, only if it is below the folder: choose that for a folder of
        somebody else's. All that is left out is counted in one warning: these links, broken ones,
        links to folders, pipes and the like.
        """
        from runlore.engine.runs.files import keep_tree

        if not isinstance(name, str):
            raise InvalidType(f"name must be a str, got {type(name).__name__} {name!r:.80}")
        folder = Path(path)
        if not folder.is_dir():
            raise UserError(f"upload_folder of {name!r}: {os.fspath(path)!r} is not a folder")
        keep_tree(self._handle, name.rstrip("/"), folder, follow_links=follow_links)

    def download_file(
        self,
        name: str,
        output_file_path: str | os.PathLike[str] | None = None,
        _validate_checksum: bool = True,
    ) -> None:
        """Write a kept file to a path; by default to its base name in the working folder.

        In an existing folder, the file gets its base name. The content is checked against its
        digest. Raises UserErrorException if the run has no file of this name.
        """
        from runlore.engine.runs.downloads import download_file

        target = Path.cwd() if output_file_path is None else Path(output_file_path)
        download_file(self._handle, name, target)

    def download_files(
        self,
        prefix: str | None = None,
        output_directory: str | os.PathLike[str] | None = None,
        output_paths: str | Sequence[str] | None = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: float | None = None,
    ) -> None:
        """Write all kept files whose names start with `prefix` below a folder.

        No name leads out of the folder. Without `append_prefix` the prefix is cut from the
        paths. `output_paths` gives each file its own path instead, in the order of the names.
        """
        from runlore.engine.runs.downloads import download_files

        download_files(
            self._handle,
            Path.cwd() if output_directory is None else Path(output_directory),
            prefix or "",
            output_paths=[output_paths] if isinstance(output_paths, str) else output_paths,
            append_prefix=append_prefix,
        )

    def add_reference(
        self, name: str, uri: str, size: int | None = None, sha256: str | None = None
    ) -> None:
        """Name a file that stays where it is, at `uri`; nothing is copied or looked at.

        An absolute path becomes a `file:` URI. `size`, in bytes, and `sha256` say which content is
        meant. Raises ChangeRefusedError for a taken name, UnsafePath for an unsafe one,
        InvalidInput for a URI with a password.
        """
        from runlore.engine.runs.references import add_reference

        add_reference(self._handle, name, uri, size=size, sha256=sha256)

    @deferrable
    def log_artifact(self, uri: str, name: str | None = None) -> None:
        """Name a file that stays where it is, at `uri`, with its size and digest where readable.

        `name` is by default the last part of the URI. A `file:` URI is read for its digest, and an
        object of a store (`s3:`, `gs:`, `az:`) of at most 256 MiB as well; of a larger one only the
        size is asked for, and of other URIs nothing. What cannot be read is named without size and
        digest. Raises UserErrorException for a path: `upload_file` keeps it, with `copy=False` by
        reference; ChangeRefusedError for a taken name, InvalidInput for a URI with a password.
        """
        from runlore.engine.runs.references import log_artifact

        log_artifact(self._handle, uri, name)

    def fetch_reference(
        self,
        name: str,
        output_file_path: str | os.PathLike[str] | None = None,
        *,
        allow: Iterable[str | os.PathLike[str]],
    ) -> None:
        """Write the file that a reference names to a path, as `download_file` does.

        The reference is text, perhaps of a stranger: it is followed only if it is below one of the
        absolute folders or `file`, `http`, `https`, `s3`, `gs` or `az` URLs in `allow`. Objects are
        read with this user's credentials. Links below an allowed folder and redirects are not
        followed. Size and digest are checked if the log has them.

        Raises ReferenceRefused, which shows the reference, for a place that is not allowed;
        ReferenceNotFetched if the file cannot be read or differs.
        """
        from runlore.engine.runs.references import fetch_reference

        target = Path.cwd() if output_file_path is None else Path(output_file_path)
        fetch_reference(self._handle, name, target, allow)

    def get_file_names(self) -> list[str]:
        """The names of all kept files, in the order in which they were kept."""
        return list(self._handle.fetch().artifacts)

    def get_all_logs(self, destination: str | os.PathLike[str] | None = None) -> list[str]:
        """Write the run's log files below a folder and return their paths.

        While a submitted run executes, they contain the output so far.
        """
        import tempfile

        from runlore.engine.runs.downloads import download_logs

        folder = Path(tempfile.mkdtemp()) if destination is None else Path(destination)
        return download_logs(self._handle, folder)

    def take_snapshot(self, file_or_folder_path: str | os.PathLike[str]) -> str:
        """Keep a source folder as the run's snapshot and return its id; once per run.

        The id is also the property `ContentSnapshotId`. Raises SnapshotException if the run
        already has a snapshot, or if the folder cannot be kept.
        """
        from runlore.engine.runs.snapshots import keep_snapshot

        return keep_snapshot(self._handle, Path(file_or_folder_path))

    def get_snapshot_id(self) -> str | None:
        """The id of the run's snapshot; None if it has none."""
        return self._handle.fetch().snapshot_id

    def restore_snapshot(
        self, snapshot_id: str | None = None, path: str | os.PathLike[str] | None = None
    ) -> str:
        """Write the snapshot to `<path or temporary folder>/<snapshot id>.zip`; return the path."""
        from runlore.engine.runs.snapshots import restore_snapshot

        folder = None if path is None else Path(path)
        return str(restore_snapshot(self._handle, snapshot_id, folder))
