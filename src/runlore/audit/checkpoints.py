"""Checkpoints: signed statements of the size and root of a log, made only after a sync to disk."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runlore.audit.folder import AuditFolder, write_checkpoint
from runlore.audit.keys import BadKey, SigningKey, default_path, read_key
from runlore.audit.offline import Checkpoint, NotProved, VerifierKey
from runlore.audit.own_settings import check_settings, folder_of, keep_settings, settings_of
from runlore.domain.errors import InvalidInput, UserError
from runlore.storage.errors import LogCorrupt
from runlore.storage.log_query import LogQuery
from runlore.storage.merkle import Frontier
from runlore.storage.user_settings import CheckpointSettings

if TYPE_CHECKING:
    from runlore.audit.audited import AuditedLog
    from runlore.storage.event_log import EventLog

_CHUNK: Final = 16_384


def leaves_of(log: EventLog, size: int, *, after: int = 0) -> Iterator[bytes]:
    """The stored leaves of the log's events after number `after`, up to number `size`."""
    while after < size:
        leaves = log.read_leaves(LogQuery(after_position=after, limit=min(_CHUNK, size - after)))
        if not leaves:
            raise LogCorrupt(
                f"the log ends after {after} events, but {size} were expected; "
                "look at it with `runlore audit verify`"
            )
        yield from leaves
        after += len(leaves)


def unsigned_text(origin: str, size: int, root: bytes) -> str:
    """The text of a checkpoint, without its signatures."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def create_checkpoint(
    audited: AuditedLog,
    *,
    key: str | Path | None = None,
    export: str | Path | None = None,
) -> tuple[Checkpoint, list[Path]]:
    """Sign the log as it is on disk now; return the checkpoint and the files it was written to.

    These are in the workspace's folder and in the folder `export`. Key and folder default to those
    of this user's `set_automatic`, then to the key at `default_path`. The log must begin with the
    events that the last checkpoint covers; otherwise LogCorrupt is raised and nothing is signed.
    Raises BadKey, UserError, FileNotWritten.
    """
    kept = audited.kept
    if key is None:
        check_settings(kept, audited.workspace_id)
    settings = settings_of(kept, audited.workspace_id)
    signing = _key(Path(key or settings.key or default_path(audited.origin)), audited.origin)
    # Read before the head: another process may make a larger one in the meantime.
    last = kept.last()
    head = audited.log.synced_head()
    if head.size == 0:
        raise UserError("the log holds no event yet, so there is nothing to sign")
    if last is not None:
        _check_grown(audited.log, last, _frontier_of(last, kept), head.frontier)
    text = unsigned_text(signing.verifier.name, head.size, head.frontier.root)
    checkpoint = _signed(text, signing, kept.checkpoint(head.size))
    kept.trust(signing.verifier)
    written = [kept.keep(checkpoint)]
    kept.keep_frontier(head.size, head.frontier.to_bytes())
    export_folder = export or settings.export
    if export_folder is not None:
        written.append(write_checkpoint(Path(export_folder), checkpoint))
    return checkpoint, written


def _key(path: Path, origin: str) -> SigningKey:
    key = read_key(path.expanduser())
    if key.verifier.name != origin:
        # A key signs for one log only: otherwise one log could be taken for another.
        raise InvalidInput(
            f"the key in {path} is for {key.verifier.name!r}, this log is {origin!r}; make a "
            "key for this workspace with `runlore audit key new`"
        )
    return key


def _signed(text: str, key: SigningKey, earlier: Checkpoint | None) -> Checkpoint:
    """The text, signed by the key, with the signatures that an earlier checkpoint of it has."""
    lines = ""
    if earlier is not None and earlier.text == text:
        if earlier.signed_by([key.verifier]):
            return earlier
        lines = earlier.note[len(text) + 1 :]
    return Checkpoint(f"{text}\n{lines}{key.signature_of(text)}")


def _check_grown(
    log: EventLog, last: Checkpoint, known: Frontier | None, frontier: Frontier
) -> None:
    """Raise LogCorrupt unless the tree begins with the tree of the last checkpoint."""
    if last.size > frontier.size:
        raise LogCorrupt(
            f"the log holds {frontier.size} events, but there is a checkpoint of {last.size}: its "
            "end is missing; nothing was signed, look at it with `runlore audit verify`"
        )
    start = Frontier().extended(leaves_of(log, last.size)) if known is None else known
    grown = start.extended(leaves_of(log, frontier.size, after=last.size))
    if start.root != last.root or grown != frontier:
        raise LogCorrupt(
            f"the log does not begin with the {last.size} events of the last checkpoint, or its "
            "head does not match its events; nothing was signed, look at it with "
            "`runlore audit verify`"
        )


def _frontier_of(checkpoint: Checkpoint, kept: AuditFolder) -> Frontier | None:
    """The frontier stored with the checkpoint, or None if it does not belong to it."""
    found = kept.frontier()
    if found is None or found[0] != checkpoint.size:
        return None
    try:
        frontier = Frontier.from_bytes(*found)
    except ValueError:
        return None
    return frontier if frontier.root == checkpoint.root else None


@dataclass(frozen=True)
class CheckedCheckpoint:
    """A checkpoint, the trusted keys that signed it, and what is wrong with it, or None.

    `signed_by` names the keys for people.
    """

    checkpoint: Checkpoint
    signed_by: tuple[str, ...]
    problem: str | None = None
    keys: tuple[VerifierKey, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "size": self.checkpoint.size,
            "root": self.checkpoint.root.hex(),
            "signed_by": list(self.signed_by),
            "problem": self.problem,
        }


def check_signature(
    checkpoint: Checkpoint, origin: str, trusted: list[VerifierKey]
) -> CheckedCheckpoint:
    """Check that a checkpoint is of this log and signed by a trusted key; the log is not read."""
    if checkpoint.origin != origin:
        return CheckedCheckpoint(
            checkpoint, (), f"it is of another log: {checkpoint.origin}, not {origin}"
        )
    try:
        signed = checkpoint.signed_by(trusted)
    except NotProved as error:
        return CheckedCheckpoint(checkpoint, (), str(error))
    if not signed:
        claimed = ", ".join(checkpoint.signers) or "nobody"
        return CheckedCheckpoint(
            checkpoint,
            (),
            f"no trusted key has signed it (it claims to be signed by {claimed})",
        )
    names = tuple(f"{key.name} ({key.key_id.hex()})" for key in signed)
    return CheckedCheckpoint(checkpoint, names, keys=tuple(signed))


def own_keys(audited: AuditedLog) -> list[VerifierKey]:
    """The public parts of the keys with which this user signs for a log."""
    configured = settings_of(audited.kept, audited.workspace_id).key
    own = []
    for path in (configured, default_path(audited.origin)):
        try:
            if path is not None:
                own.append(_key(Path(path), audited.origin).verifier)
        except (BadKey, InvalidInput, RuntimeError):  # Of the last kind: there is no home.
            continue
    return own


def set_automatic(
    audited: AuditedLog,
    *,
    key: str | Path | None,
    export: str | Path | None = None,
) -> CheckpointSettings:
    """Make a checkpoint whenever this user's process records a run's end, from now on.

    With `key=None`, stop doing so. It is kept in the user's own settings, for this folder of the
    workspace. The process must be able to read the key. Raises SettingsUnusable, BadKey.
    """
    settings = CheckpointSettings()
    if key is not None:
        _key(Path(key), audited.origin)
        settings = CheckpointSettings(
            str(Path(key).expanduser().absolute()),
            None if export is None else str(Path(export).expanduser().absolute()),
            at_run_end=True,
            folder=folder_of(audited.kept),
        )
    keep_settings(audited.kept, audited.workspace_id, settings)
    return settings
