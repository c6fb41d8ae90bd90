"""A machine that stops at any moment: files end anywhere, and what was not synced is gone.

Each state opens; what was acknowledged as being on disk is there; and the log verifies. A sample of
the states is tried, and all of them with `make cuts`.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from runlore import Experiment, Workspace
from runlore.domain.errors import NotFound
from runlore.domain.events import WriterOpened
from runlore.storage import database
from runlore.storage.journal import Journal
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.spool_folder import Recovery
from runlore.storage.spool_format import HEADER_NBYTES, SLOT
from runlore.storage.value_buffer import ValueBuffer
from runlore.storage.value_codec import Series
from runlore.storage.verification import verify_log
from runlore.testing.logs import all_rows, new_event
from tests.chaos.snapshots import Snapshots
from tests.held import below
from tests.logged_values import records_in
from tests.processes import in_child

ALL: Final = bool(os.environ.get("RUNLORE_ALL_CUTS"))
_PAGE: Final = 1024  # Instead of 8 KiB, so that there are fewer places to cut at.
_WAL_HEADER, _FRAME_HEADER = 32, 24


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, if there is one: thousands of files are made and synced."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared, ignore_cleanup_errors=True) as name:
        yield Path(name)


def journal_of(log: MemoryLog) -> Journal:
    opened = WriterOpened(
        actor="ann", host="node1", boot_id="b", pid=7, process="train.py", client_version="0"
    )
    return Journal(log, lambda: opened)


def cuts(interesting: Sequence[int], end: int, n: int) -> list[int]:
    """All places up to the end, or some, those around the interesting ones among them."""
    if ALL:
        return list(range(end + 1))
    near = [place + by for place in interesting for by in (-1, 0, 1) if 0 <= place + by <= end]
    some = random.Random(1)
    return sorted({0, end, *some.sample(near, n), *some.sample(range(end), n)})


@pytest.mark.processes
@pytest.mark.parametrize("checkpointed", [False, True])
@pytest.mark.parametrize("tail", ["missing", "zeros"])
def test_a_log_has_all_commits_before_a_cut_of_its_wal(
    fast: Path, checkpointed: bool, tail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PAGE_SIZE", f"PRAGMA page_size={_PAGE}")
    made = fast / "made"

    def write() -> list[int]:
        made.mkdir()
        log = open_sqlite(made / "log.sqlite")
        if checkpointed:
            log.append([new_event("run/a", 1)])
            assert log.database.truncate_wal(1.0)
        sizes = [(made / "log.sqlite-wal").stat().st_size]
        for number in range(2, 5):
            log.append([new_event("run/a", number - (not checkpointed), "x" * 900)])
            sizes.append((made / "log.sqlite-wal").stat().st_size)
        return sizes  # And the process ends without closing the log.

    sizes = in_child(write)
    file, wal = (made / "log.sqlite").read_bytes(), (made / "log.sqlite-wal").read_bytes()
    frames = range(_WAL_HEADER, len(wal), _FRAME_HEADER + _PAGE)
    for place in cuts(frames, len(wal), 12):
        cut = fast / "cut"
        cut.mkdir()
        (cut / "log.sqlite").write_bytes(file)
        left = wal[:place] + (bytes(len(wal) - place) if tail == "zeros" else b"")
        (cut / "log.sqlite-wal").write_bytes(left)
        (cut / "log.sqlite-shm").write_bytes(b"rubbish")
        with closing(open_sqlite(cut / "log.sqlite")) as log:
            expected = checkpointed + sum(left[:size] == wal[:size] for size in sizes[1:])
            assert len(all_rows(log)) == log.head().position == expected, place
            assert verify_log(log).holds, place
            log.append([new_event("run/b", 1)])
        shutil.rmtree(cut)


@pytest.mark.processes
@pytest.mark.parametrize("tail", ["missing", "zeros"])
def test_a_spool_has_all_values_before_a_cut(fast: Path, tail: str) -> None:
    values = [("loss", 0.5), ("loss", 0.25), ("note", "some text that takes several slots" * 9)]

    def write() -> tuple[str, bytes, list[int]]:
        buffer = ValueBuffer(journal_of(MemoryLog()), below(fast / "made"))
        run, ends = buffer.of_run("r", fresh=True), []
        for name, value in values:
            run.log(Series(name), value, None)
            [spool] = (fast / "made").glob("*-0.spool2")
            used = len(spool.read_bytes().rstrip(b"\0")) - HEADER_NBYTES
            ends.append(HEADER_NBYTES + -(-used // SLOT) * SLOT)
        return spool.name, spool.read_bytes(), ends  # And it ends without writing them to the log.

    name, content, ends = in_child(write)
    cut = fast / "cut"
    for place in cuts(range(0, ends[-1], SLOT), ends[-1], 12):
        cut.mkdir()
        rest = bytes(len(content) - place) if tail == "zeros" else b""
        (cut / name).write_bytes(content[:place] + rest)
        os.utime(cut / name, (0, 0))  # Not one that is just being made.
        log = MemoryLog()
        Recovery(below(cut), journal_of(log), from_copies=True).run()
        found = [(record.series.name, record.value) for record in records_in(log, "r")]
        assert found == values[: len(found)], place
        assert len(found) >= sum(place >= end for end in ends), place
        shutil.rmtree(cut)


# --- a workspace ------------------------------------------------------------------------------


def use(folder: Path, states: Snapshots) -> None:
    """A training in short: what is acknowledged at each moment must be there after it."""
    (folder.parent / "model").write_bytes(b"weights")
    ws = Workspace.create("lab", path=folder)
    states.acknowledge("workspace")
    run = Experiment(ws, "e").start_logging(
        outputs=False, snapshot_directory=None, run_id="training"
    )
    states.acknowledge("run")
    run.tag("k", "v")
    states.acknowledge("tag")
    run.log("loss", 0.5)
    run.flush()
    states.acknowledge("value")
    run.upload_file("model", str(folder.parent / "model"))
    states.acknowledge("file")
    run.log_confusion_matrix("cm", {"schema_type": "confusion_matrix", "data": {}})
    run.log("loss", 0.25)
    run.complete()
    states.acknowledge("completed")
    ws.audit.new_key(folder.parent / "key")
    ws.audit.checkpoint(key=folder.parent / "key")
    states.acknowledge("checkpoint")
    ws.close()
    states.acknowledge("closed")


def check(folder: Path, acknowledged: Sequence[str]) -> None:
    """Open a state as the next process does, and look for what was acknowledged."""
    try:
        ws = Workspace.open(folder)
    except NotFound:
        assert "workspace" not in acknowledged
        ws = Workspace.create("lab", path=folder, exist_ok=True)
    with ws:
        assert ws.audit.verify().holds
        assert len(ws.audit.checkpoints()) == 1 or "checkpoint" not in acknowledged
        runs = {run.id: run for run in Experiment(ws, "e").get_runs()}
        assert ("training" in runs) or ("run" not in acknowledged)
        if "training" in runs:
            run = runs["training"]
            assert run.get_tags() == {"k": "v"} or "tag" not in acknowledged
            values = run.get_metrics().get("loss", [])
            values = values if isinstance(values, list) else [values]
            assert values == [0.5, 0.25][: len(values)]
            assert len(values) >= ("value" in acknowledged) + ("completed" in acknowledged)
            if "model" in run.get_file_names():
                run.download_file("model", str(folder.parent / "found"))
                assert (folder.parent / "found").read_bytes() == b"weights"
            else:
                assert "file" not in acknowledged
            assert run.get_status() == "Completed" or "completed" not in acknowledged
        Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None).complete()
        assert ws.audit.verify().holds


@pytest.mark.slow
@pytest.mark.processes
def test_a_workspace_opens_after_each_call_of_the_system(
    fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> list[tuple[Path, tuple[str, ...]]]:
        (fast / "lab").mkdir()
        states = Snapshots(fast / "lab", fast / "states", monkeypatch)
        use(fast / "lab", states)
        return states.states

    states = in_child(work)
    assert len(states) > 50
    chosen = states if ALL else random.Random(1).sample(states, 6)
    for state, acknowledged in chosen:
        for kind in ("killed", "power"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                check(state / kind, acknowledged)
