"""Proof of a workspace whose payloads are sealed: of what is stored, erased or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from runlore import Workspace
from runlore.audit.audited import AuditedLog
from runlore.audit.checkpoints import create_checkpoint
from runlore.audit.keys import new_key, read_key
from runlore.audit.offline import verify_proof
from runlore.audit.prove import prove_event
from runlore.audit.verify import verify, verify_folder
from runlore.storage.errors import LogCorrupt
from runlore.storage.sqlite_schema import KEYS_SCHEMA
from runlore.workspace import session_of
from tests.audit.conftest import start
from tests.tampering import tampering


def test_a_log_with_an_erased_run_holds_and_its_events_are_proved(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab", erasable=True) as ws:
        run = start(ws, "sealed")
        run.tag("participant", "Ann")
        run.complete()
        audited = AuditedLog.of(session_of(ws))
        key = tmp_path / "lab.key"
        new_key(key, audited.origin)
        create_checkpoint(audited, key=key)
        assert verify(audited).holds
        before = prove_event(audited, "sealed@2")

        ws.erase_run("sealed", reason="consent was withdrawn")
        ws.close()

    assert verify_folder(tmp_path / "lab").holds
    with Workspace.open(tmp_path / "lab") as ws:
        after = prove_event(AuditedLog.of(session_of(ws)), "sealed@2")
    assert after == before
    lines = verify_proof(after, [read_key(key).verifier])
    assert "covered by the proof but not readable here" in lines[-2]


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the run `kept`, and the run `gone` that was erased."""
    folder = tmp_path_factory.mktemp("erased") / "lab"
    with Workspace.create("lab", path=folder, erasable=True) as ws:
        for run_id in ("kept", "gone"):
            start(ws, run_id).complete()
        ws.erase_run("gone", reason="consent was withdrawn")
    return folder


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE run_keys SET key = zeroblob(32)", "no event says it was erased"),
        ("UPDATE run_keys SET key = randomblob(32) WHERE run_id = 'kept'", "does not open"),
        ("UPDATE run_keys SET key = 'no bytes' WHERE run_id = 'kept'", "does not open"),
        ("DELETE FROM run_keys WHERE run_id = 'kept'", "the key of its run is missing"),
        ("DELETE FROM run_keys WHERE run_id = 'gone'", "the key of its run is missing"),
        ("UPDATE run_keys SET key = randomblob(32) WHERE run_id = 'gone'", "has a key again"),
        ("DELETE FROM erasures", "tables may still show the run"),
        ("UPDATE erasures SET position = 1", "is recorded as erased at position 1, but no event"),
        ("UPDATE erasures SET run_id = 'kept'", "run kept is recorded as erased"),
        ("DROP TABLE run_keys", "run_keys differs from the one that runlore makes"),
        ("DROP TABLE erasures", "erasures differs from the one that runlore makes"),
    ],
)
def test_keys_that_somebody_changed_are_found_though_no_leaf_covers_them(
    erased: Path, tmp_path: Path, statement: str, problem: str
) -> None:
    folder = Path(shutil.copytree(erased, tmp_path / "copy"))
    with tampering(folder / "log.sqlite") as connection:
        connection.execute(statement)

    found = verify_folder(folder).log.findings

    assert any(problem in one.message for one in found)


def test_tables_of_keys_in_a_log_that_has_none_are_found(tmp_path: Path) -> None:
    with Workspace.create("lab", path=tmp_path / "lab") as ws:
        start(ws, "plain").complete()
    with tampering(tmp_path / "lab" / "log.sqlite") as connection:
        for statement in KEYS_SCHEMA:
            connection.execute(statement)

    [found] = verify_folder(tmp_path / "lab").log.findings

    assert "the key of its run is missing" in found.message


@pytest.mark.filterwarnings("ignore:.* is damaged")
def test_a_log_whose_keys_are_gone_altogether_refuses_to_be_read(
    erased: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(erased, tmp_path / "copy"))
    with tampering(folder / "log.sqlite") as connection:
        connection.execute("DROP TABLE run_keys")
        connection.execute("DROP TABLE erasures")

    with Workspace.open(folder) as ws, pytest.raises(LogCorrupt):
        ws.get_run("kept")


@pytest.mark.filterwarnings("ignore:.* is damaged")
@pytest.mark.parametrize("key", ["no bytes", b"too short", 7])
def test_a_run_whose_key_is_none_says_so(erased: Path, tmp_path: Path, key: object) -> None:
    folder = Path(shutil.copytree(erased, tmp_path / "copy"))
    with tampering(folder / "log.sqlite") as connection:
        connection.execute("UPDATE run_keys SET key = ? WHERE run_id = 'kept'", (key,))

    with (
        Workspace.open(folder) as ws,
        pytest.raises(LogCorrupt, match="run kept .* the key of its run is damaged"),
    ):
        ws.get_run("kept")
