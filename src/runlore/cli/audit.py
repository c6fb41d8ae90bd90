"""`runlore audit`: the group of all commands about what was recorded, and whether that holds."""

from __future__ import annotations

from runlore.cli.lazy import LazyGroup

audit = LazyGroup(
    "audit",
    help="Proves, replays, exports and reports what the log says.",
    places={
        "verify": "audit_verify:verify",
        "checkpoint": "audit_checkpoint:checkpoint",
        "key": "audit_key:key",
        "prove": "audit_prove:prove",
        "consistency": "audit_prove:consistency",
        "verify-proof": "audit_prove:verify_proof",
        "erase": "audit_erase:erase",
        "replay": "audit_replay:replay",
        "export": "audit_bundles:export",
        "import": "audit_bundles:import_",
        "report": "audit_bundles:report",
    },
)
