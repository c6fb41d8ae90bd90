"""`ws.audit`: everything that can be audited about an open workspace."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runlore.audit.audited import AuditedLog
from runlore.audit.folder import read_checkpoint
from runlore.audit.keys import default_path, new_key, read_trusted

if TYPE_CHECKING:
    from runlore.audit.bundles.checks import BundleReport
    from runlore.audit.checkpoints import CheckedCheckpoint
    from runlore.audit.offline import Checkpoint, VerifierKey
    from runlore.audit.replay import Replayed
    from runlore.audit.verify import WorkspaceVerification
    from runlore.engine.moments import Moment
    from runlore.engine.session import Session
    from runlore.storage.user_settings import CheckpointSettings
    from runlore.storage.verification import Progress

StrPath = str | PathLike[str]


class Audit:
    """What the log of a workspace proves. Get it as `ws.audit`; see docs/audit.md.

    A checkpoint is named by its file, a key by the file that holds it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def verify(
        self,
        *,
        checkpoints: Sequence[StrPath] = (),
        trusted: StrPath | None = None,
        progress: Progress | None = None,
    ) -> WorkspaceVerification:
        """Verify every event, the head, the indexes and all checkpoints; nothing is changed.

        `checkpoints` are files that were kept elsewhere; they are checked in addition to those of
        the workspace. `trusted` is a file of public keys, one per line; by default the keys that
        the workspace names count, which says little of a workspace that somebody else made: see
        `is_self_signed`. Raises BadCheckpoint, BadKey; UserError for a workspace in
        memory.
        """
        from runlore.audit.verify import verify

        given = _read_checkpoints(checkpoints)
        keys = _read_trusted(trusted)
        return verify(self._log(), checkpoints=given, trusted=keys, progress=progress)

    def verify_checkpoints(
        self, *, checkpoints: Sequence[StrPath] = (), trusted: StrPath | None = None
    ) -> list[CheckedCheckpoint]:
        """Verify only the checkpoints, which is faster: events are not read."""
        from runlore.audit.verify import verify_checkpoints

        given = _read_checkpoints(checkpoints)
        return verify_checkpoints(self._log(), checkpoints=given, trusted=_read_trusted(trusted))

    def new_key(self, path: StrPath | None = None) -> tuple[VerifierKey, Path]:
        """Make a key for this workspace's checkpoints; return its public part and its file.

        The file is new, and only you can read it; by default it is in `~/.config/runlore/keys`.
        The workspace trusts the key from now on. Raises AlreadyExists if the file exists.
        """
        self._session.writable()
        audited = self._log()
        file = default_path(audited.origin) if path is None else Path(path)
        verifier = new_key(file, audited.origin).verifier
        audited.kept.trust(verifier)
        return verifier, file

    def trusted_keys(self) -> list[VerifierKey]:
        """The public keys that the workspace trusts, the oldest first."""
        return self._log().kept.trusted()

    def checkpoint(
        self, *, key: StrPath | None = None, export: StrPath | None = None
    ) -> tuple[Checkpoint, list[Path]]:
        """Sign the log as it is on disk now; return the checkpoint and the files it is in.

        It is kept in the workspace and also written to the folder `export`: best where others
        keep it. `key` is a key's file, by default the one of `checkpoint_run_ends` or `new_key`.
        Raises LogCorrupt if the log does not begin with what the last checkpoint covers: then
        nothing was signed; BadKey, FileNotWritten.
        """
        from runlore.audit.checkpoints import create_checkpoint

        return create_checkpoint(self._log(), key=_path(key), export=_path(export))

    def checkpoints(self) -> list[Checkpoint]:
        """The kept checkpoints, ordered by size; they are not verified."""
        return self._log().kept.checkpoints()

    def checkpoint_run_ends(
        self, *, key: StrPath | None = None, export: StrPath | None = None, off: bool = False
    ) -> CheckpointSettings:
        """Make a checkpoint whenever a process of yours ends a run; `off=True` stops it.

        It is kept in your own settings, for this folder. The process must be able to read the key.
        If it cannot, the run ends all the same, with a warning.
        """
        from runlore.audit.checkpoints import set_automatic

        self._session.writable()
        audited = self._log()
        chosen = None if off else _path(key) or default_path(audited.origin)
        return set_automatic(audited, key=chosen, export=_path(export))

    def prove(self, event: str | int) -> dict[str, Any]:
        """The proof that an event is in the log, ready for JSON; `offline.py` verifies it.

        `event` is a position, `RUN_ID@VERSION`, `STREAM@VERSION` or an event's id. The proof leads
        to the newest checkpoint that covers the event. Raises EventNotFound. O(events).
        """
        from runlore.audit.prove import prove_event

        return prove_event(self._log(), str(event))

    def prove_growth(self, size: int, later_size: int) -> dict[str, Any]:
        """The proof that the log only grew between two checkpoints, named by their sizes.

        Raises InvalidInput if there is no checkpoint of a size. O(events).
        """
        from runlore.audit.prove import prove_consistency

        return prove_consistency(self._log(), size, later_size)

    def replay(
        self,
        *,
        to: Moment | None = None,
        generations: bool = False,
        max_mismatches: int = 1_000,
    ) -> Replayed:
        """Rebuild the tables that queries read, and compare each row with the tables in use.

        With `to`, as of that moment. With `generations`, the copies that new processes start from
        are compared as well. At most `max_mismatches` are listed. Takes about the time of a first
        catch-up.
        """
        from runlore.audit.replay import replay

        return replay(self._open(), to=to, generations=generations, max_mismatches=max_mismatches)

    def replay_bundle(self, path: StrPath, *, max_mismatches: int = 1_000) -> Replayed:
        """Compare what is shown with a bundle that was exported from this workspace.

        Raises BundleRefused if anything is wrong with the bundle, InvalidInput if another
        workspace exported it.
        """
        from runlore.audit.replay import replay_bundle

        return replay_bundle(self._open(), path, max_mismatches=max_mismatches)

    @staticmethod
    def verify_bundle(path: StrPath, *, trusted: StrPath | None = None) -> BundleReport:
        """Verify an exported bundle by itself; it may come from any workspace.

        With `trusted`, a file of public keys, one of them must have signed the head that the
        bundle's events lead to.
        """
        from runlore.audit.bundles.checks import verify_bundle

        return verify_bundle(path, trusted=_read_trusted(trusted))

    def export_jsonl(
        self,
        path: StrPath,
        *,
        run: str | None = None,
        descendants: bool = True,
        experiment: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> dict[str, Any]:
        """Write events, decoded, as one JSON object per line; the selection is `ws.export`'s.

        Returns the number of events. Raises as `ws.export` does.
        """
        from runlore.audit.bundles.open_formats import export_jsonl
        from runlore.audit.bundles.selection import Selection

        selection = Selection(
            run=run, descendants=descendants, experiment=experiment, since=since, until=until
        )
        return export_jsonl(self._open(), path, selection)

    def export_parquet(
        self,
        folder: StrPath,
        *,
        run: str | None = None,
        descendants: bool = True,
        experiment: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> dict[str, Any]:
        """Write the views of the runs as Parquet files; the selection is `ws.export`'s.

        Returns the number of rows of each file. Files of these names are replaced. Raises as
        `ws.export` does.
        """
        from runlore.audit.bundles.open_formats import export_parquet
        from runlore.audit.bundles.selection import Selection

        selection = Selection(
            run=run, descendants=descendants, experiment=experiment, since=since, until=until
        )
        return export_parquet(self._open(), folder, selection)

    def report(
        self, path: StrPath, *, run: str | None = None, experiment: str | None = None
    ) -> int:
        """Write all that the log says of a run, or of an experiment's runs, as an HTML page.

        Returns the number of runs. `ws.as_of(moment).audit.report(...)` writes what the log said
        then. Raises RunNotFound, ExperimentNotFound; InvalidInput unless exactly one of `run` and
        `experiment` is given.
        """
        from runlore.audit.report import report

        return report(self._open(), path, run=run, experiment=experiment)

    def _open(self) -> Session:
        self._session.check_open()
        return self._session

    def _log(self) -> AuditedLog:
        session = self._open()
        session.before_read()
        return AuditedLog.of(session)


def _path(path: StrPath | None) -> Path | None:
    return None if path is None else Path(path)


def _read_checkpoints(paths: Sequence[StrPath]) -> list[Checkpoint]:
    return [read_checkpoint(Path(path)) for path in paths]


def _read_trusted(path: StrPath | None) -> list[VerifierKey] | None:
    return None if path is None else read_trusted(Path(path))
