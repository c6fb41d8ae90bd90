"""`verify`: the log against itself, and against the checkpoints that were kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from runlore.audit.audited import AuditedLog, audited_folder
from runlore.audit.checkpoints import CheckedCheckpoint, check_signature, leaves_of
from runlore.audit.offline import Checkpoint, VerifierKey
from runlore.storage.errors import LogCorrupt
from runlore.storage.merkle import Frontier
from runlore.storage.verification import Progress, Verification, verify_log
from runlore.storage.verify_rows import TreeHead


@dataclass(frozen=True)
class WorkspaceVerification:
    """What the verification of a workspace found: of its log, and of each checkpoint."""

    origin: str
    log: Verification
    checkpoints: tuple[CheckedCheckpoint, ...]
    must_be_signed: bool

    @property
    def holds(self) -> bool:
        """Whether all holds: the log, all checkpoints that were looked at, and, where the keys
        that count were given, that there is one: who rewrote the log may have deleted them all.
        """
        return (
            self.log.holds
            and not any(one.problem for one in self.checkpoints)
            and not self.is_unsigned
        )

    @property
    def is_unsigned(self) -> bool:
        """Whether a key was to vouch for the log, and there is no checkpoint at all."""
        return self.must_be_signed and not self.checkpoints

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "holds": self.holds,
            "origin": self.origin,
            "events": self.log.size,
            "root": self.log.root.hex(),
            "findings": [asdict(finding) for finding in self.log.findings],
            "more_findings": self.log.more,
            "checkpoints": [one.as_dict() for one in self.checkpoints],
            "is_unsigned": self.is_unsigned,
        }


def verify_folder(
    folder: Path,
    *,
    checkpoints: Sequence[Checkpoint] = (),
    trusted: Sequence[VerifierKey] | None = None,
    progress: Progress | None = None,
) -> WorkspaceVerification:
    """Verifies the workspace in a folder, without changing anything in it.

    Beside the checkpoints that the workspace has, `checkpoints` are looked at that were kept
    elsewhere. `trusted` are the keys whose signatures count, by default those that the workspace
    calls trusted: whoever may write to the folder may have put them there. Raises an error of the
    log where it cannot be opened.
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
    """The same of an open log."""
    checked = _check_signatures(audited, checkpoints, trusted)
    found = verify_log(audited.log, kept=_heads(checked), progress=progress)
    judged = tuple(_judged(one, found.confirmed) for one in checked)
    return WorkspaceVerification(audited.origin, found, judged, trusted is not None)


def verify_checkpoints(
    audited: AuditedLog,
    *,
    checkpoints: Sequence[Checkpoint] = (),
    trusted: Sequence[VerifierKey] | None = None,
) -> list[CheckedCheckpoint]:
    """The checkpoints alone, against the leaves as they are stored: the events are not read."""
    checked = _check_signatures(audited, checkpoints, trusted)
    tree, confirmed = Frontier(), []
    for head in sorted(_heads(checked)):
        try:
            tree = tree.extended(leaves_of(audited.log, head.size, after=tree.size))
        except LogCorrupt:
            break  # The log has fewer.
        if tree.root == head.root:
            confirmed.append(head)
    return [_judged(one, confirmed) for one in checked]


def _check_signatures(
    audited: AuditedLog,
    checkpoints: Sequence[Checkpoint],
    trusted: Sequence[VerifierKey] | None,
) -> list[CheckedCheckpoint]:
    keys = audited.kept.trusted() if trusted is None else list(trusted)
    each = {one.note: one for one in (*audited.kept.checkpoints(), *checkpoints)}
    return [
        check_signature(one, audited.origin, keys)
        for one in sorted(each.values(), key=lambda one: one.size)
    ]


def _heads(checked: Sequence[CheckedCheckpoint]) -> set[TreeHead]:
    """Those that say something of the log: what nobody trusted has signed says nothing."""
    return {
        TreeHead(one.checkpoint.size, one.checkpoint.root) for one in checked if not one.problem
    }


def _judged(one: CheckedCheckpoint, confirmed: Sequence[TreeHead]) -> CheckedCheckpoint:
    if one.problem or TreeHead(one.checkpoint.size, one.checkpoint.root) in confirmed:
        return one
    return CheckedCheckpoint(
        one.checkpoint,
        one.signed_by,
        f"the log's first {one.checkpoint.size} events are not those that were signed",
    )


def why_unsigned(bundle: Path, trusted: Sequence[VerifierKey]) -> str | None:
    """Why no trusted key vouches for what a bundle's events lead to; None if one does.

    The bundle was verified by itself. Raises BundleRefused if it cannot be read.
    """
    from runlore.audit.bundles.file import open_bundle
    from runlore.audit.bundles.format import CHECKPOINTS

    with open_bundle(bundle) as opened:
        manifest = opened.manifest
        problem = (
            f"the bundle has no checkpoint of the {manifest.head.size} events that its log had; "
            "make one with `runlore audit checkpoint create` and export again"
        )
        for name in opened.names:
            if name.startswith(CHECKPOINTS):
                one = Checkpoint(opened.read(name).decode())
                if (one.size, one.root.hex()) == (manifest.head.size, manifest.head.root):
                    origin = f"runlore/{manifest.workspace.id}"
                    checked = check_signature(one, origin, list(trusted))
                    if checked.problem is None:
                        return None
                    problem = f"the bundle's checkpoint is in doubt: {checked.problem}"
        return problem
