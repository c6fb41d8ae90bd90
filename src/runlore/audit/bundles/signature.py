"""The signature of a bundle: whether a trusted key vouches for the head of its log."""

from __future__ import annotations

from collections.abc import Sequence

from runlore.audit.audited import origin_of
from runlore.audit.bundles.file import BundleFile
from runlore.audit.bundles.format import CHECKPOINTS
from runlore.audit.checkpoints import check_signature
from runlore.audit.offline import Checkpoint, VerifierKey


def why_unsigned(bundle: BundleFile, trusted: Sequence[VerifierKey]) -> str | None:
    """The reason why no trusted key vouches for the bundle's head; None if one does.

    The bundle's entries must have been verified.
    """
    head, origin = bundle.manifest.head, origin_of(bundle.manifest.workspace.id)
    problem = (
        f"the bundle has no checkpoint of the {head.size} events that its log had; "
        "make one with `runlore audit checkpoint create` and export again"
    )
    for name in bundle.names:
        if name.startswith(CHECKPOINTS):
            checkpoint = Checkpoint(bundle.read(name).decode())
            if (checkpoint.size, checkpoint.root.hex()) == (head.size, head.root):
                checked = check_signature(checkpoint, origin, list(trusted))
                if checked.problem is None:
                    return None
                problem = f"the bundle's checkpoint is in doubt: {checked.problem}"
    return problem
