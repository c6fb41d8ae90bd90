"""`runlore audit`: the commands that verify, sign, prove, replay, export and report."""

from __future__ import annotations

from runlore.cli.lazy import LazyGroup

audit = LazyGroup(
    "audit",
    help="Proves, replays, exports and reports what the log says.",
    places={
        "verify": "audit.verify:verify",
        "checkpoint": "audit.checkpoint:checkpoint",
        "key": "audit.key:key",
        "prove": "audit.prove:prove",
        "consistency": "audit.prove:consistency",
        "verify-proof": "audit.prove:verify_proof",
        "erase": "audit.erase:erase",
        "replay": "audit.replay:replay",
        "export": "audit.bundles:export",
        "import": "audit.bundles:import_",
        "report": "audit.bundles:report",
    },
)
