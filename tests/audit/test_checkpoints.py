"""Checkpoints: what is signed, when nothing is, and what a kept one shows of a log."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Workspace
from runlore.audit import checkpoints
from runlore.audit.audited import AuditedLog, audited_folder
from runlore.audit.checkpoints import create_checkpoint, leaves_of, set_automatic
from runlore.audit.folder import BadCheckpoint, read_checkpoint
from runlore.audit.keys import BadKey, new_key, read_key
from runlore.audit.offline import Checkpoint
from runlore.audit.verify import verify, verify_checkpoints, verify_folder
from runlore.domain.errors import InvalidInput, UserError
from runlore.exceptions import PastIsReadOnly
from runlore.storage.errors import LogCorrupt, LogReadOnly
from runlore.storage.event_log import EventLog
from runlore.storage.log_file import LogFile
from runlore.storage.log_head import LogHead
from runlore.storage.memory_log import MemoryLog
from runlore.testing.logs import new_events
from tests.audit.conftest import start
from tests.tampering import rewrite, tampering

STRACE = shutil.which("strace")


def test_a_checkpoint_is_the_signed_size_and_root_of_the_log(
    audited: AuditedLog, key: Path
) -> None:
    made, [file] = create_checkpoint(audited, key=key)

    head = audited.log.head()
    assert (made.origin, made.size, made.root) == (audited.origin, head.size, head.frontier.root)
    assert made.signed_by([read_key(key).verifier])
    assert re.fullmatch(
        r"runlore/[0-9a-f-]{36}\n\d+\n[A-Za-z0-9+/]{43}=\n\n\u2014 runlore/[0-9a-f-]{36} \S{92}\n",
        made.note,
    )
    assert file.name == f"{head.size}.txt"
    assert file.read_text() == made.note


def test_a_checkpoint_is_exported_too(audited: AuditedLog, key: Path, tmp_path: Path) -> None:
    made, files = create_checkpoint(audited, key=key, export=tmp_path / "elsewhere")

    assert files[1] == tmp_path / "elsewhere" / f"{made.size}.txt"
    assert read_checkpoint(files[1]).note == made.note


def test_the_same_log_is_signed_once_by_a_key(audited: AuditedLog, key: Path) -> None:
    first, _ = create_checkpoint(audited, key=key)
    second, _ = create_checkpoint(audited, key=key)

    assert second.note == first.note
    assert len(audited.kept.checkpoints()) == 1


def test_after_a_rotation_old_and_new_signatures_hold(
    ws: Workspace, audited: AuditedLog, key: Path, tmp_path: Path
) -> None:
    create_checkpoint(audited, key=key)
    new_key(tmp_path / "new.key", audited.origin)
    both, _ = create_checkpoint(audited, key=tmp_path / "new.key")
    key.unlink()
    start(ws, "late").complete()
    create_checkpoint(audited, key=tmp_path / "new.key")

    found = verify(audited)

    assert found.holds
    assert len(both.signers) == 2
    assert [len(one.signed_by) for one in found.checkpoints] == [2, 1]
    assert len(audited.kept.trusted()) == 2


def test_a_key_of_another_log_signs_nothing(audited: AuditedLog, tmp_path: Path) -> None:
    new_key(tmp_path / "other.key", "runlore/other")

    with pytest.raises(InvalidInput, match="make a key for this workspace"):
        create_checkpoint(audited, key=tmp_path / "other.key")
    assert audited.kept.checkpoints() == []


def test_without_a_key_nothing_is_signed(
    audited: AuditedLog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    with pytest.raises(BadKey, match="make one with `runlore audit key new`"):
        create_checkpoint(audited)


@pytest.mark.parametrize("has_frontier", [True, False], ids=["frontier", "no frontier"])
def test_a_log_that_was_rewritten_since_the_last_checkpoint_is_not_signed(
    ws: Workspace, audited: AuditedLog, key: Path, has_frontier: bool
) -> None:
    create_checkpoint(audited, key=key)
    if not has_frontier:
        (audited.kept.path / "frontier.json").plain.unlink()
    ws.close()
    assert ws.path is not None
    with tampering(ws.path / "log.sqlite") as connection:
        rewrite(connection, lambda rows: rows[3].__setitem__(7, b"\x80"))

    with (
        audited_folder(ws.path) as tampered,
        pytest.raises(LogCorrupt, match="does not begin with the"),
    ):
        create_checkpoint(tampered, key=key)


def test_a_second_checkpoint_reads_only_what_came_after_the_first(
    ws: Workspace, audited: AuditedLog, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = create_checkpoint(audited, key=key)
    start(ws, "late").complete()
    read: list[int] = []

    def counting(log: EventLog, size: int, *, after: int = 0) -> Iterator[bytes]:
        read.append(size - after)
        return leaves_of(log, size, after=after)

    monkeypatch.setattr(checkpoints, "leaves_of", counting)
    second, _ = create_checkpoint(audited, key=key)

    assert read == [second.size - first.size]


def test_a_log_that_was_cut_off_is_not_signed(
    ws: Workspace, audited: AuditedLog, key: Path
) -> None:
    create_checkpoint(audited, key=key)
    ws.close()
    assert ws.path is not None
    with tampering(ws.path / "log.sqlite") as connection:
        rewrite(connection, lambda rows: rows.pop())

    with (
        audited_folder(ws.path) as tampered,
        pytest.raises(LogCorrupt, match="its end is missing"),
    ):
        create_checkpoint(tampered, key=key)


def test_a_false_frontier_beside_the_checkpoints_is_not_believed(
    ws: Workspace, audited: AuditedLog, key: Path
) -> None:
    first, _ = create_checkpoint(audited, key=key)
    audited.kept.keep_frontier(first.size, os.urandom(32 * first.size.bit_count()))
    start(ws, "late").complete()

    second, _ = create_checkpoint(audited, key=key)

    assert second.size > first.size
    assert verify(audited).holds


def test_another_process_that_signs_more_events_meanwhile_is_no_sign_of_a_loss(
    ws: Workspace, audited: AuditedLog, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced_head = audited.log.synced_head

    def overtaken() -> LogHead:
        head = synced_head()
        monkeypatch.undo()
        start(ws, "late").complete()
        create_checkpoint(audited, key=key)
        return head

    monkeypatch.setattr(audited.log, "synced_head", overtaken)
    made, _ = create_checkpoint(audited, key=key)

    assert [one.size > made.size for one in audited.kept.checkpoints()] == [False, True]
    assert verify(audited).holds


def test_a_workspace_in_memory_has_no_checkpoints() -> None:
    from runlore.entry.wiring import memory_session

    session = memory_session("offline")
    with pytest.raises(UserError, match="in memory leaves nothing"):
        AuditedLog.of(session)
    session.close()


# --- what a kept one shows ------------------------------------------------------------------


def test_a_rewrite_of_everything_is_shown_by_a_checkpoint_kept_elsewhere_only(
    ws: Workspace, audited: AuditedLog, key: Path, tmp_path: Path
) -> None:
    _, [inside, elsewhere] = create_checkpoint(audited, key=key, export=tmp_path / "elsewhere")
    ws.close()
    folder = inside.parents[2]
    with tampering(folder / "log.sqlite") as connection:
        rewrite(connection, lambda rows: rows[3].__setitem__(7, b"\x80"))
    inside.unlink()  # Who can rewrite the log can do that, too.

    assert verify_folder(folder).holds
    found = verify_folder(folder, checkpoints=[read_checkpoint(elsewhere)])
    assert not found.holds
    assert "are not those that were signed" in str(found.checkpoints[0].problem)
    assert [one.kind for one in found.log.findings] == ["changed"]


def test_a_checkpoint_that_was_forged_is_in_doubt_where_the_trust_comes_from_elsewhere(
    ws: Workspace, audited: AuditedLog, key: Path, tmp_path: Path
) -> None:
    new_key(tmp_path / "forger.key", audited.origin)
    create_checkpoint(audited, key=tmp_path / "forger.key")

    by_the_folder = verify(audited)
    by_the_auditor = verify(audited, trusted=[read_key(key).verifier])

    assert by_the_folder.holds  # The folder trusts whom its owner says.
    assert not by_the_auditor.holds
    assert "no trusted key has signed it" in str(by_the_auditor.checkpoints[0].problem)


def test_a_checkpoint_of_another_log_is_in_doubt(audited: AuditedLog, key: Path) -> None:
    made, _ = create_checkpoint(audited, key=key)
    other = Checkpoint(made.note.replace("runlore/", "elsewhere/", 1))

    found = verify(audited, checkpoints=[other])

    assert [one.problem is None for one in found.checkpoints] == [True, False]
    assert "it is of another log" in str(found.checkpoints[1].problem)


def test_checkpoints_are_checked_against_the_leaves_alone(
    ws: Workspace, audited: AuditedLog, key: Path
) -> None:
    create_checkpoint(audited, key=key)
    start(ws, "late").complete()
    create_checkpoint(audited, key=key)
    assert [one.problem for one in verify_checkpoints(audited)] == [None, None]

    ws.close()
    assert ws.path is not None
    with tampering(ws.path / "log.sqlite") as connection:
        rewrite(connection, lambda rows: rows.pop())
    with audited_folder(ws.path) as tampered:
        problems = [one.problem for one in verify_checkpoints(tampered)]
    assert problems[0] is None
    assert "are not those that were signed" in str(problems[1])


def test_a_file_that_holds_no_checkpoint_is_named(audited: AuditedLog, key: Path) -> None:
    _, [file] = create_checkpoint(audited, key=key)
    file.write_text("nothing")

    with pytest.raises(BadCheckpoint, match=str(file)):
        verify(audited)


# --- at a run's end -------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_a_runs_end_is_signed_where_it_is_set_so(
    ws: Workspace, audited: AuditedLog, key: Path, tmp_path: Path, end: str
) -> None:
    set_automatic(audited, key=key, export=tmp_path / "elsewhere")
    run = start(ws, "signed")
    run.tag("no", "end")
    assert audited.kept.checkpoints() == []

    getattr(run, end)()

    [made] = audited.kept.checkpoints()
    assert made.size == audited.log.head().size
    assert read_checkpoint(tmp_path / "elsewhere" / f"{made.size}.txt").note == made.note


def test_a_runs_end_is_no_longer_signed_when_that_is_off(
    ws: Workspace, audited: AuditedLog, key: Path
) -> None:
    set_automatic(audited, key=key)
    set_automatic(audited, key=None)

    start(ws, "unsigned").complete()

    assert audited.kept.checkpoints() == []


def test_a_checkpoint_that_cannot_be_made_warns_once_and_breaks_no_run(
    ws: Workspace, audited: AuditedLog, key: Path
) -> None:
    set_automatic(audited, key=key)
    key.unlink()

    run = start(ws, "first")
    with pytest.warns(RuntimeWarning, match="no checkpoint was made at the run's end: cannot read"):
        run.complete()
    start(ws, "second").complete()  # Warnings are errors in this suite.

    assert run.get_status() == "Completed"


def test_keys_that_somebody_spoilt_break_no_run(
    ws: Workspace, audited: AuditedLog, key: Path
) -> None:
    set_automatic(audited, key=key)
    audited.kept.path.make_folder()
    (audited.kept.path / "trusted-keys.txt").plain.write_bytes(b"\xff")

    run = start(ws, "ends")
    with pytest.warns(RuntimeWarning, match="cannot read the keys in"):
        run.complete()
    assert run.get_status() == "Completed"


@pytest.mark.parametrize("content", ['{"size": Infinity, "nodes": ""}', "[" * 100_000, "{}"])
def test_a_frontier_that_somebody_spoilt_only_shortens_nothing(
    ws: Workspace, audited: AuditedLog, key: Path, content: str
) -> None:
    create_checkpoint(audited, key=key)
    (audited.kept.path / "frontier.json").plain.write_text(content)
    start(ws, "more").complete()

    checkpoint, _ = create_checkpoint(audited, key=key)

    assert checkpoint.root == audited.log.head().frontier.root


# --- on disk --------------------------------------------------------------------------------

SIGN_WHAT_OTHERS_COMMITTED = """
import sys
from runlore import Workspace
from runlore.audit.audited import AuditedLog
from runlore.audit.checkpoints import create_checkpoint
from runlore.workspace import session_of
ws = Workspace.open(sys.argv[1])
audited = AuditedLog.of(session_of(ws))
audited.log.head()
print("signing", file=sys.stderr, flush=True)
create_checkpoint(audited, key=sys.argv[2])
"""


@pytest.mark.skipif(STRACE is None, reason="strace is not there to watch the kernel's calls")
def test_what_another_program_committed_without_a_sync_is_synced_before_it_is_signed(
    ws: Workspace, audited: AuditedLog, key: Path, tmp_path: Path
) -> None:
    assert ws.path is not None
    log = ws.path / "log.sqlite"
    trace = tmp_path / "trace"
    careless = sqlite3.connect(log)
    careless.execute("PRAGMA synchronous=OFF")
    careless.execute("UPDATE drained SET slot = slot + 1")
    careless.execute("ANALYZE")
    careless.commit()

    subprocess.run(
        [
            *(str(STRACE), "-f", "-y", "-e", "trace=fsync,fdatasync,openat", "-o", str(trace)),
            *(sys.executable, "-c", SIGN_WHAT_OTHERS_COMMITTED, str(ws.path), str(key)),
        ],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    careless.close()

    calls = trace.read_text()
    wal = calls.index("log.sqlite-wal>", calls.index("sync("))
    assert wal < calls.index("checkpoints/.")  # The file of the checkpoint is made afterwards.


@pytest.mark.skipif(STRACE is None, reason="strace is not there to let the kernel's calls fail")
def test_a_log_that_cannot_be_synced_is_not_signed(
    ws: Workspace, audited: AuditedLog, key: Path
) -> None:
    assert ws.path is not None
    log = ws.path / "log.sqlite"
    careless = sqlite3.connect(log)
    careless.execute("PRAGMA synchronous=OFF")
    careless.execute("UPDATE drained SET slot = slot + 1")
    careless.execute("ANALYZE")
    careless.commit()

    ended = subprocess.run(
        [
            *(str(STRACE), "-f", "-P", str(log), "-P", f"{log}-wal", "-o", os.devnull),
            *("-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"),
            *(sys.executable, "-c", SIGN_WHAT_OTHERS_COMMITTED, str(ws.path), str(key)),
        ],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    careless.close()

    assert "signing" in ended.stderr
    assert "disk I/O error" in ended.stderr.splitlines()[-1]
    assert audited.kept.checkpoints() == []


def test_a_log_that_may_only_be_read_is_not_signed(
    audited: AuditedLog, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audited.log.close()
    monkeypatch.setattr(LogFile, "why_read_only", lambda _: "its file is another user's")

    with pytest.raises(LogReadOnly, match="reading only, because its file is another user's"):
        create_checkpoint(audited, key=key)
    assert audited.kept.checkpoints() == []


def test_a_view_of_the_past_changes_no_keys_or_settings(ws: Workspace, tmp_path: Path) -> None:
    past = ws.as_of(ws.position)

    with pytest.raises(PastIsReadOnly):
        past.audit.new_key(tmp_path / "key")
    with pytest.raises(PastIsReadOnly):
        past.audit.checkpoint_run_ends(off=True)

    assert ws.path is not None
    assert not (ws.path / "audit").exists()
    assert not (tmp_path / "key").exists()


def test_a_new_key_is_on_disk_before_it_is_given_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys" / "own.key"
    synced: list[str] = []
    sync = os.fsync

    def noted(fd: int) -> None:
        synced.append(path.read_text())
        sync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    key = new_key(path, "runlore/lab")

    assert synced == [f"{key}\n"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_log_is_not_signed_and_one_event_is(audited: AuditedLog, key: Path) -> None:
    log = MemoryLog()
    small = AuditedLog(log, audited.kept, audited.origin)
    with pytest.raises(UserError, match="nothing to sign"):
        create_checkpoint(small, key=key)
    assert audited.kept.checkpoints() == []

    log.append(new_events("run/a", [1]))
    checkpoint, _ = create_checkpoint(small, key=key)
    assert checkpoint.size == 1
