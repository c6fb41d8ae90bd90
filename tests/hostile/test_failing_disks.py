"""Logging never ends a training, and a change says which fault of the disk keeps it from the log.

Each call that logs is the first one of its process after the fault has begun.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import RunloreError
from runlore.projections.driver import connect
from runlore.storage.errors import (
    DiskFailed,
    DiskFull,
    LogReadOnly,
    LogUnavailable,
    QuotaReached,
    TooManyOpenFiles,
    ValuesDropped,
)
from tests.disks import Disk
from tests.failing_disks import OPENS, FailingDisk, no_descriptors
from tests.processes import in_child

_DOCUMENT: Final = {
    "schema_type": "confusion_matrix",
    "data": {"class_labels": ["a"], "matrix": [[1]]},
}


class _Plot:
    def savefig(self, file: Any, **_: Any) -> None:
        file.write(b"\x89PNG\r\n\x1a\n" + b"0" * 100)


VALUES: Final[dict[str, tuple[Callable[[Run], None], Any]]] = {
    "log": (lambda run: run.log("v", 0.5), {"v": 0.5}),
    "log with a step": (lambda run: run.log("v", 0.5, step=7), {"v": 0.5}),
    "log an int": (lambda run: run.log("v", 3), {"v": 3}),
    "log text": (lambda run: run.log("v", "text"), {"v": "text"}),
    "log_metrics": (lambda run: run.log_metrics({"a": 0.5, "b": 0.25}), {"a": 0.5, "b": 0.25}),
    "log_row": (lambda run: run.log_row("v", a=0.5, b=0.25), {"v": {"a": 0.5, "b": 0.25}}),
    "log_row of kinds": (lambda run: run.log_row("v", a=1, b="x"), {"v": {"a": 1, "b": "x"}}),
    "log_table": (lambda run: run.log_table("v", {"a": [1, 2]}), {"v": {"a": [1, 2]}}),
    "log_list": (lambda run: run.log_list("v", [0.5, 0.25]), {"v": [0.5, 0.25]}),
    "log_batch": (lambda run: run.log_batch("v", [0.5, 0.25]), {"v": [0.5, 0.25]}),
}
"""Calls whose values are kept until they can be written, with all metrics of the run then."""

FILES: Final[dict[str, Callable[[Run], None]]] = {
    "log_image of a file": lambda run: run.log_image("v", path="picture.png"),
    "log_image of a plot": lambda run: run.log_image("v", plot=_Plot()),
    "log_confusion_matrix": lambda run: run.log_confusion_matrix("v", _DOCUMENT),
    "log_accuracy_table": lambda run: run.log_accuracy_table("v", _DOCUMENT),
    "log_residuals": lambda run: run.log_residuals("v", _DOCUMENT),
    "log_predictions": lambda run: run.log_predictions("v", _DOCUMENT),
}
"""Calls whose files cannot be kept, which are counted."""

CALLS: Final = {name: call for name, (call, _) in VALUES.items()} | FILES

FAULTS: Final[dict[int, tuple[type[LogUnavailable], str]]] = {
    errno.ENOSPC: (DiskFull, "the disk is full"),
    errno.EDQUOT: (QuotaReached, "ask for a larger quota"),
    errno.EIO: (DiskFailed, "the disk reports an error"),
    errno.EROFS: (LogReadOnly, "is mounted for reading only"),
    errno.EMFILE: (TooManyOpenFiles, "ulimit -n"),
    errno.ENFILE: (TooManyOpenFiles, "fs.file-max"),
    errno.EACCES: (LogReadOnly, "Permission denied"),
}


@contextmanager
def told() -> Iterator[list[str]]:
    """What is said in warnings within the block, but of settings, once in a process."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
    texts = [str(warning.message) for warning in caught]
    said += [text for text in texts if "your settings do not count" not in text]


def started(folder: Path) -> tuple[Workspace, Run]:
    (folder.parent / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 100)
    ws = Workspace.create("lab", path=folder)
    return ws, Experiment(ws, "e").start_logging(outputs=False, snapshot_directory=None)


def check_kept(ws: Workspace, run: Run, name: str, said: list[str]) -> None:
    """The fault has passed: what was logged is written, or was counted."""
    if name in FILES:
        assert len(set(said)) == 1
        with pytest.raises(ValuesDropped, match="1 logged value was dropped"):
            run.flush()
        assert run.get_metrics() == {}
    else:
        run.flush()
        assert run.get_metrics() == VALUES[name][1]
    CALLS[name](run)  # All is as it was.
    run.complete()
    ws.close()


@pytest.mark.on_disk
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
def test_logging_goes_on_when_a_call_of_the_system_fails(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk(monkeypatch)
    ws, run = started(tmp_path / "lab")
    monkeypatch.chdir(tmp_path)

    disk.begin(number)
    with told() as said:
        CALLS[name](run)

    disk.end()

    words = FAULTS[number][1], os.strerror(number)
    assert [each for each in said if not any(word in each for word in words)] == []
    check_kept(ws, run, name, said)


@pytest.mark.on_disk
@pytest.mark.filterwarnings("ignore:.*your settings do not count")  # Once in a process.
@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
def test_a_change_says_which_fault_it_met(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk(monkeypatch)
    ws, run = started(tmp_path / "lab")
    kind, advice = FAULTS[number]
    disk.begin(number)
    if number in (*OPENS, errno.EACCES):  # The log is open, and needs no more files.
        run.tag("quality", "good")
    else:
        with pytest.raises(kind, match=advice):
            run.tag("quality", "good")
        with pytest.raises(kind, match=advice):
            run.complete()
    with pytest.raises((LogUnavailable, OSError), match=advice):
        Workspace.create("other", path=tmp_path / "other")
    with pytest.raises((LogUnavailable, OSError), match=advice):
        run.upload_file("file", str(tmp_path / "picture.png"))
    disk.end()

    run.tag("quality", "good")
    run.complete()
    assert run.get_tags() == {"quality": "good"}
    ws.close()


@pytest.mark.on_disk
@pytest.mark.parametrize("name", CALLS)
def test_logging_goes_on_without_a_free_descriptor(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ws, run = started(tmp_path / "lab")
    monkeypatch.chdir(tmp_path)
    with told() as said, no_descriptors():
        CALLS[name](run)
        run.tag("epoch", "1")
    assert len(said) <= 1
    check_kept(ws, run, name, said)


@pytest.mark.processes
@pytest.mark.on_disk
def test_a_training_without_descriptors_logs_and_ends(tmp_path: Path) -> None:
    def train() -> tuple[list[str], Any]:
        ws, run = started(tmp_path / "lab")
        with told() as said, no_descriptors():
            for step in range(200_000):  # More than a segment holds.
                run.log("loss", step / 2)
            run.complete()
        assert run.get_status() == "Completed"
        found = ws.sql("SELECT count(*), sum(value) FROM metric_points").fetchall()
        ws.close()
        return said, found

    said, found = in_child(train)
    assert found == [(200_000, sum(range(200_000)) / 2)]
    assert len(set(said)) == 1


@pytest.mark.on_disk
def test_a_run_without_a_free_descriptor_is_shown_by_a_command(tmp_path: Path) -> None:
    ws, run = started(tmp_path / "lab")
    with told(), no_descriptors():
        way = run.get_portal_url()
    assert way == f"runlore run show -r {run.id} -w {tmp_path / 'lab'}"
    run.complete()
    ws.close()


@pytest.mark.processes
def test_no_database_is_opened_without_a_free_descriptor() -> None:
    def open_one() -> int | None:
        connect(":memory:", {}).close()
        with no_descriptors():
            try:
                connect(":memory:", {})
            except OSError as error:  # DuckDB would abort the process.
                return error.errno
        return None

    assert in_child(open_one) == errno.EMFILE


@pytest.mark.processes
@pytest.mark.on_disk
@pytest.mark.parametrize("spare", [0, 1, 2, 3, 5])
def test_a_query_without_free_descriptors_ends_no_training(spare: int, tmp_path: Path) -> None:
    query = "SELECT count(*) FROM runs"

    def train() -> tuple[list[str], Any]:
        first, run = started(tmp_path / "first")
        first.sql(query)  # Brings the modules.
        ws, run = started(tmp_path / "lab")
        errors = []
        with told(), no_descriptors(spare=spare):
            for _ in range(3):
                try:
                    ws.sql(query)
                except RunloreError as error:
                    errors.append(type(error).__name__)
        run.complete()
        found = ws.sql(query).fetchall()
        ws.close()
        first.close()
        return errors, found

    errors, found = in_child(train)
    assert set(errors) <= {"TooManyOpenFiles", "ProjectionFailed"}
    assert bool(errors) or spare > 2
    assert found == [(1,)]


@pytest.mark.processes
@pytest.mark.on_disk
@pytest.mark.parametrize("name", CALLS)
def test_logging_goes_on_on_a_full_disk(name: str, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    disk = Disk(tmp_path / "small")

    def log() -> None:
        ws, run = started(disk.folder / "lab")
        os.chdir(disk.folder)
        disk.fill(even_for_small_files=True)
        with told() as said:
            CALLS[name](run)
            with pytest.raises(DiskFull):
                for number in range(2_000):  # The WAL may have had some room.
                    run.tag(f"tag {number}", "x" * 2_000)
            if name in VALUES:  # Some of them are in memory only.
                assert run.get_metrics() == VALUES[name][1]
        disk.free()
        check_kept(ws, run, name, [each for each in said if "file could not" in each])

    try:
        in_child(log)
    finally:
        disk.close()
