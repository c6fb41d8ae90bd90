"""Proof of a workspace whose payloads are sealed: of what is stored, erased or not."""

from __future__ import annotations

from pathlib import Path

from runlore import Workspace
from runlore.audit.audited import AuditedLog
from runlore.audit.checkpoints import create_checkpoint
from runlore.audit.keys import new_key, read_key
from runlore.audit.offline import verify_proof
from runlore.audit.prove import prove_event
from runlore.audit.verify import verify, verify_folder
from tests.audit.conftest import start


def test_a_log_with_an_erased_run_holds_and_its_events_are_proved(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab", erasable=True) as ws:
        run = start(ws, "sealed")
        run.tag("participant", "Ann")
        run.complete()
        audited = AuditedLog.of(ws)
        key = tmp_path / "lab.key"
        new_key(key, audited.origin)
        create_checkpoint(audited, key=key)
        assert verify(audited).holds
        before = prove_event(audited, "sealed@2")

        ws.erase_run("sealed", reason="consent was withdrawn")
        ws.close()

    assert verify_folder(tmp_path / "lab").holds
    with Workspace.open(tmp_path / "lab") as ws:
        after = prove_event(AuditedLog.of(ws), "sealed@2")
    assert after == before
    lines = verify_proof(after, [read_key(key).verifier])
    assert "covered by the proof but not readable here" in lines[-2]
