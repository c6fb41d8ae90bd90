"""Proofs that are taken away, and the file that verifies them where runlore is not."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore import Workspace
from runlore.audit import offline
from runlore.audit.audited import AuditedLog, audited_folder
from runlore.audit.checkpoints import create_checkpoint
from runlore.audit.keys import new_key, read_key
from runlore.audit.prove import EventNotFound, prove_consistency, prove_event
from runlore.domain.errors import InvalidInput
from runlore.storage.codec import encode_event
from runlore.storage.errors import LogCorrupt
from runlore.testing.logs import all_rows
from tests.audit.conftest import start
from tests.strategies import events
from tests.tampering import tampering


def test_every_event_is_proved_to_be_in_the_log(audited: AuditedLog, key: Path) -> None:
    create_checkpoint(audited, key=key)
    trusted = [read_key(key).verifier]

    for row in all_rows(audited.log):
        [first, *_, last] = offline.verify_proof(prove_event(audited, str(row.position)), trusted)
        assert first.startswith(f"This event is number {row.position} of the ")
        assert last.endswith(f"is signed by {audited.origin} (key {trusted[0].key_id.hex()}).")


def test_an_event_is_named_by_its_run_its_stream_or_its_id(
    ws: Workspace, audited: AuditedLog
) -> None:
    row = next(row for row in all_rows(audited.log) if row.stream == "run/early")
    assert row.event_id is not None
    named = ("early@1", "run/early@1", row.event_id.hex(), str(row.position))

    proofs = [prove_event(audited, name)["event"]["position"] for name in named]

    assert proofs == [row.position] * 4
    assert prove_event(audited, "workspace@1")["event"]["topic"] == "workspace.created"


@pytest.mark.parametrize(
    "event",
    ["0", "999", "early@99", "early@x", "nobody@1", "00" * 16, "zz", "", "9" * 30, "@", "٣"],
)
def test_an_event_that_is_not_there_is_not_found(audited: AuditedLog, event: str) -> None:
    with pytest.raises(EventNotFound, match="name one by its position"):
        prove_event(audited, event)


def test_without_a_checkpoint_nobody_vouches_for_the_root(audited: AuditedLog, key: Path) -> None:
    proof = prove_event(audited, "1")

    assert "NO KEY WAS GIVEN, so nobody vouches" in offline.verify_proof(proof, [])[-1]
    with pytest.raises(offline.NotProved, match="not signed by any of the given keys"):
        offline.verify_proof(proof, [read_key(key).verifier])


def test_the_log_is_proved_to_have_only_grown(
    ws: Workspace, audited: AuditedLog, key: Path
) -> None:
    first, _ = create_checkpoint(audited, key=key)
    start(ws, "late").complete()
    second, _ = create_checkpoint(audited, key=key)

    proof = prove_consistency(audited, second.size, first.size)

    [said, *_] = offline.verify_proof(proof, [read_key(key).verifier])
    assert f"begins with exactly the {first.size} events" in said
    assert f"since then {second.size - first.size} were added" in said


def test_sizes_without_a_checkpoint_are_named(audited: AuditedLog, key: Path) -> None:
    made, _ = create_checkpoint(audited, key=key)

    with pytest.raises(
        InvalidInput, match=f"there is no checkpoint of 1 events, only of: {made.size}"
    ):
        prove_consistency(audited, 1, made.size)


def test_a_log_that_was_tampered_with_proves_nothing(
    ws: Workspace, audited: AuditedLog, key: Path
) -> None:
    create_checkpoint(audited, key=key)
    ws.close()
    assert ws.path is not None
    with tampering(ws.path / "log.sqlite") as connection:
        connection.execute("UPDATE stored_events SET topic = 'x' WHERE notification_id = 3")

    with (
        audited_folder(ws.path) as tampered,
        pytest.raises(LogCorrupt, match="the log does not prove it"),
    ):
        prove_event(tampered, "3")


def changed(proof: dict[str, Any], *path: str, to: object) -> dict[str, Any]:
    """The proof with one field changed."""
    copy: dict[str, Any] = json.loads(json.dumps(proof))
    place = copy
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return copy


def test_a_proof_with_anything_changed_is_not_one(audited: AuditedLog, key: Path) -> None:
    create_checkpoint(audited, key=key)
    proof = prove_event(audited, "3")
    event = proof["event"]
    forged = [
        changed(proof, "event", "topic", to="run.completed"),
        changed(proof, "event", "stream", to="run/x"),
        changed(proof, "event", "version", to=event["version"] + 1),
        changed(proof, "event", "version", to=2**70),
        changed(proof, "event", "version", to=True),
        changed(proof, "event", "recorded_at", to=event["recorded_at"] + 1),
        changed(proof, "event", "state", to=base64.b64encode(b"\x80").decode()),
        changed(proof, "event", "state", to=None),
        changed(proof, "event", "metadata", to=None),
        changed(proof, "event", "event_id", to=None),
        changed(proof, "event", to=[]),
        changed(proof, "index", to=1),
        changed(proof, "path", to=proof["path"][:-1]),
        changed(proof, "path", to=[*proof["path"], proof["path"][0]]),
        changed(proof, "path", to=["AAAA", *proof["path"][1:]]),
        changed(proof, "path", to="no list"),
        changed(proof, "path", to=[1]),
        changed(proof, "path", to=proof["path"] * 100),
        changed(proof, "checkpoint", to=proof["checkpoint"].replace("runlore", "elsewhere")),
        changed(proof, "checkpoint", to=None),
        changed(proof, "runlore_proof", to="other"),
        changed(proof, "format", to=2),
        changed(proof, "format", to=True),
        changed(proof, "event", "stream", to="\ud800"),
        changed(proof, "checkpoint", to="\ud800" + proof["checkpoint"]),
        changed(proof, "said by nobody", to="loss 0.1"),
        changed(proof, "event", "data", to={"loss": 0.1}),
    ]

    for one in forged:
        with pytest.raises(offline.NotProved):
            offline.verify_proof(one, [read_key(key).verifier])
    with pytest.raises(offline.NotProved):
        offline.verify_proof([], [])


@pytest.mark.parametrize("nbytes", [0, 31, 33, 64])
def test_a_proof_with_a_node_that_is_no_digest_is_told_apart(
    ws: Workspace, audited: AuditedLog, key: Path, nbytes: int
) -> None:
    first, _ = create_checkpoint(audited, key=key)
    start(ws, "late").complete()
    second, _ = create_checkpoint(audited, key=key)
    node = base64.b64encode(bytes(nbytes)).decode()

    for proof in (prove_event(audited, "3"), prove_consistency(audited, second.size, first.size)):
        with pytest.raises(offline.NotProved, match="a node of the path does not have 32 bytes"):
            offline.verify_proof(changed(proof, "path", to=[*proof["path"][:-1], node]), [])


# --- the file alone -------------------------------------------------------------------------


def alone(tmp_path: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a copy of the file where neither runlore nor anything beside it can be imported."""
    folder = tmp_path / "auditor"
    folder.mkdir(exist_ok=True)
    shutil.copy(offline.__file__, folder / "offline.py")
    # -S: no site-packages, so no runlore and no msgpack; those that signatures need are linked.
    packages = folder / "packages"
    if not packages.exists():
        packages.mkdir()
        for package in ("cryptography", "cffi", "_cffi_backend", "typing_extensions"):
            for found in Path(sys.modules["cryptography"].__path__[0]).parent.glob(f"{package}*"):
                (packages / found.name).symlink_to(found)
    code = (
        f"import sys; sys.path.append({str(packages)!r}); sys.argv[0] = 'offline.py'; "
        "import runpy; "
        "\ntry: import runlore, msgpack\nexcept ImportError: pass\nelse: sys.exit('not alone')\n"
        f"runpy.run_path({str(folder / 'offline.py')!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def proof_file(audited: AuditedLog, key: Path, tmp_path: Path) -> Path:
    create_checkpoint(audited, key=key)
    file = tmp_path / "proof.json"
    file.write_text(json.dumps(prove_event(audited, "early@1")))
    return file


def test_the_file_alone_proves_in_words(
    audited: AuditedLog, proof_file: Path, key: Path, tmp_path: Path
) -> None:
    ran = alone(tmp_path, proof_file, "--key", read_key(key).verifier)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("PROVED.\nThis event is number ")
    assert "  what      run.created\n" in ran.stdout
    assert "'experiment_name': 'proof'" in ran.stdout or "'run_id': 'early'" in ran.stdout
    assert f"is signed by {audited.origin} (key " in ran.stdout


def test_the_file_alone_says_why_nothing_is_proved(
    audited: AuditedLog, proof_file: Path, key: Path, tmp_path: Path
) -> None:
    other = new_key(tmp_path / "other.key", audited.origin).verifier
    forged = changed(json.loads(proof_file.read_text()), "event", "topic", to="run.failed")
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    verifier = read_key(key).verifier

    untrusted = alone(tmp_path, proof_file, "--key", other)
    untrue = alone(tmp_path, tmp_path / "forged.json", "--key", verifier)
    unread = alone(tmp_path, tmp_path / "nowhere.json", "--key", verifier)
    unsaid = alone(tmp_path, proof_file)

    assert [ran.returncode for ran in (untrusted, untrue, unread, unsaid)] == [1, 1, 1, 2]
    assert "not signed by any of the given keys" in untrusted.stderr
    assert "do not lead to the checkpoint's root" in untrue.stderr
    assert "cannot read" in unread.stderr
    assert "one of the arguments --key --no-key is required" in unsaid.stderr
    assert "PROVED.\n" not in untrusted.stdout + untrue.stdout + unread.stdout


def test_a_proof_with_a_name_in_it_twice_is_not_one(
    proof_file: Path, key: Path, tmp_path: Path
) -> None:
    proof_file.write_text('{"event": {"topic": "run.failed"},' + proof_file.read_text()[1:])

    ran = alone(tmp_path, proof_file, "--key", read_key(key).verifier)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert "it has duplicate names" in ran.stderr


def test_what_a_checkpoint_claims_cannot_fool_a_terminal(audited: AuditedLog, key: Path) -> None:
    checkpoint, _ = create_checkpoint(audited, key=key)
    proof = prove_event(audited, "3")
    evil = f"{checkpoint.text}\n\u2014 no\x9b2Kbody AAAAAAAAAAA=\n"

    claimed = offline.verify_proof(changed(proof, "checkpoint", to=evil), [])[-1]

    assert "signed by no\\x9b2Kbody" in claimed


def test_what_could_fool_a_terminal_is_shown_as_text() -> None:
    assert offline._printable("run/\x1b[2K\u202eä") == "run/\\x1b[2K\\u202eä"


# --- msgpack --------------------------------------------------------------------------------

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=20,
)


@given(values)
def test_the_decoder_reads_what_msgpack_writes(value: object) -> None:
    assert offline.unpack(msgpack.packb(value)) == value


@given(st.floats(width=32, allow_nan=False), st.integers(16, 70_000))
def test_the_decoder_reads_every_width(number: float, length: int) -> None:
    assert offline.unpack(msgpack.packb(number, use_single_float=True)) == number
    for value in ("x" * length, b"x" * length, [0] * length):
        assert offline.unpack(msgpack.packb(value)) == value
    assert offline.unpack(msgpack.packb(dict.fromkeys(range(length)))) == dict.fromkeys(
        range(length)
    )


@given(events)
def test_the_decoder_reads_every_event(event: Any) -> None:
    state = encode_event(event)
    assert offline.unpack(state) == msgpack.unpackb(state, strict_map_key=False)


@given(st.binary(max_size=200))
def test_the_decoder_answers_any_bytes_with_a_value_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        offline.unpack(data)


def test_the_decoder_is_not_led_deep_or_far() -> None:
    for data in (
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc7\x01\x01\x01",
    ):
        with pytest.raises(ValueError):
            offline.unpack(data)
