"""`verify`: compare the log with itself, and with the checkpoints that were made of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from runlore.audit.audited import AuditedLog, audited_folder
from runlore.audit.checkpoints import CheckedCheckpoint, check_signature, leaves_of, own_keys
from runlore.audit.offline import Checkpoint, VerifierKey
from runlore.storage.errors import LogCorrupt
from runlore.storage.merkle import Frontier
from runlore.storage.verification import Progress, Verification, verify_log
from runlore.storage.verify_rows import TreeHead


@dataclass(frozen=True)
class WorkspaceVerification:
    """What the verification of a workspace found in its log and about each checkpoint.

    `own` are keys of the user who verifies.
    """

    origin: str
    log: Verification
    checkpoints: tuple[CheckedCheckpoint, ...]
    must_be_signed: bool
    own: tuple[VerifierKey, ...] = ()

    @property
    def holds(self) -> bool:
        """True if the log and every checkpoint verify. If trusted keys were given, at least one
        checkpoint must exist: anyone who rewrote the log could have deleted them all.
        """
        return (
            self.log.holds
            and not any(checked.problem for checked in self.checkpoints)
            and not self.is_unsigned
        )

    @property
    def is_unsigned(self) -> bool:
        """Whether trusted keys were given, but there is no checkpoint."""
        return self.must_be_signed and not self.checkpoints

    @property
    def is_self_signed(self) -> bool:
        """Whether keys that only the workspace itself names have signed its checkpoints.

        Anyone who made or changed the workspace can have made these keys, and named them.
        """
        return not self.must_be_signed and bool(self.strangers)

    @property
    def strangers(self) -> tuple[str, ...]:
        """The keys that have signed, without those of this user, by name and hash."""
        signed = {str(key): key for checked in self.checkpoints for key in checked.keys}
        found = [key for key in signed.values() if key not in self.own]
        return tuple(f"{key.name} ({key.key_id.hex()})" for key in found)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "holds": self.holds,
            "origin": self.origin,
            "events": self.log.size,
            "root": self.log.root.hex(),
            "findings": [asdict(finding) for finding in self.log.findings],
            "more_findings": self.log.more,
            "checkpoints": [checked.as_dict() for checked in self.checkpoints],
            "is_unsigned": self.is_unsigned,
            "is_self_signed": self.is_self_signed,
        }


def verify_folder(
    folder: str | os.PathLike[str],
    *,
    checkpoints: Sequence[Checkpoint] = (),
    trusted: Sequence[VerifierKey] | None = None,
    progress: Progress | None = None,
) -> WorkspaceVerification:
    """Verify the workspace in a folder, or at a URI, without opening it: nothing in it changes.

    `checkpoints` were kept elsewhere; they are checked in addition to those of the workspace.
    `trusted` are the keys whose signatures count, by default those that the workspace names:
    anyone who can write to the folder can add a key there. Raises an error of the log if it
    cannot be opened.
    """
    with audited_folder(folder) as audited:
        return verify(audited, checkpoints=checkpoints, trusted=trusted, progress=progress)


def verify(
    audited: AuditedLog,
    *,
    checkpoints: Sequence[Checkpoint] = (),
    trusted: Sequence[VerifierKey] | None = None,
    progress: Progress | None = None,
) -> WorkspaceVerification:
    """Verify an open log; the arguments are those of `verify_folder`."""
    checked = _check_signatures(audited, checkpoints, trusted)
    found = verify_log(audited.log, kept=_heads(checked), progress=progress)
    judged = tuple(_judged(each, found.confirmed) for each in checked)
    own = tuple(own_keys(audited)) if judged and trusted is None else ()
    return WorkspaceVerification(audited.origin, found, judged, trusted is not None, own)


def verify_checkpoints(
    audited: AuditedLog,
    *,
    checkpoints: Sequence[Checkpoint] = (),
    trusted: Sequence[VerifierKey] | None = None,
) -> list[CheckedCheckpoint]:
    """Verify only the checkpoints, against the stored leaves: events are not read."""
    checked = _check_signatures(audited, checkpoints, trusted)
    tree, confirmed = Frontier(), []
    for head in sorted(_heads(checked)):
        try:
            tree = tree.extended(leaves_of(audited.log, head.size, after=tree.size))
        except LogCorrupt:
            break  # The log has fewer events.
        if tree.root == head.root:
            confirmed.append(head)
    return [_judged(each, confirmed) for each in checked]


def _check_signatures(
    audited: AuditedLog,
    checkpoints: Sequence[Checkpoint],
    trusted: Sequence[VerifierKey] | None,
) -> list[CheckedCheckpoint]:
    keys = audited.kept.trusted() if trusted is None else list(trusted)
    by_note = {each.note: each for each in (*audited.kept.checkpoints(), *checkpoints)}
    return [
        check_signature(checkpoint, audited.origin, keys)
        for checkpoint in sorted(by_note.values(), key=lambda checkpoint: checkpoint.size)
    ]


def _heads(checked: Sequence[CheckedCheckpoint]) -> set[TreeHead]:
    """The heads that a trusted key has signed; other checkpoints say nothing about the log."""
    return {_head_of(each) for each in checked if not each.problem}


def _head_of(checked: CheckedCheckpoint) -> TreeHead:
    return TreeHead(checked.checkpoint.size, checked.checkpoint.root)


def _judged(checked: CheckedCheckpoint, confirmed: Sequence[TreeHead]) -> CheckedCheckpoint:
    if checked.problem or _head_of(checked) in confirmed:
        return checked
    return CheckedCheckpoint(
        checked.checkpoint,
        checked.signed_by,
        f"the log's first {checked.checkpoint.size} events are not those that were signed",
    )
