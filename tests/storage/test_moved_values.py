"""Values that are logged while the workspace's folder is moved or removed."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest

from runlore.storage.event_log import Drained, NewEvent, StoredRow
from runlore.storage.held_folder import FolderMoved
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.log_query import LogQuery
from runlore.storage.run_values import RunSteps
from runlore.storage.spool_folder import SPOOLS, recover
from runlore.storage.value_buffer import ValueBuffer
from tests.processes import in_child, wait_until
from tests.storage.test_value_buffer import LOSS, Log, journal_of, values_in


@pytest.fixture
def lab(tmp_path: Path) -> HeldPath:
    folder = tmp_path / "lab"
    folder.mkdir()
    return hold(folder)


class Moved(Log):
    """A log whose folder is looked at before each change and read, as that of a workspace is."""

    def __init__(self, lab: HeldPath) -> None:
        super().__init__()
        self.lab = lab

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        self.lab.folder.check_in_place()
        return super().append(events, drained=drained)

    def read_log(self, query: LogQuery) -> Sequence[StoredRow]:
        self.lab.folder.check_in_place()
        return super().read_log(query)


def buffer_of(lab: HeldPath) -> tuple[Moved, ValueBuffer]:
    log = Moved(lab)
    return log, ValueBuffer(journal_of(log), lab / SPOOLS)


def names_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_values_of_a_moved_folder_wait_there_and_nothing_is_made_at_the_old_path(
    tmp_path: Path, lab: HeldPath
) -> None:
    log, buffer = buffer_of(lab)
    values = buffer.of_run("r", fresh=True)
    values.log(LOSS, 1.0, None)
    buffer.flush()
    (tmp_path / "lab").rename(tmp_path / "lab-2025")
    (tmp_path / "lab").mkdir()  # Somebody begins anew.

    with pytest.warns(RuntimeWarning, match="it is .*lab-2025 now") as told:
        for value in range(150_000):  # More than two segments.
            values.log(LOSS, float(value), None)
        with pytest.raises(FolderMoved):
            buffer.flush()
        buffer.close("lab")

    assert [str(one.message) for one in told if "wait in the moved folder" in str(one.message)]
    assert len(told) == 1
    assert names_below(tmp_path / "lab") == []
    log.lab = hold(tmp_path / "lab-2025")  # As the next process opens it.
    assert values_in(log) == [1.0]
    assert recover(log.lab / SPOOLS, journal_of(log)) == 150_000
    assert values_in(log) == [1.0, *map(float, range(150_000))]


def test_a_spool_that_is_made_after_the_move_is_made_in_the_moved_folder(
    tmp_path: Path, lab: HeldPath
) -> None:
    log, buffer = buffer_of(lab)
    values = buffer.of_run("r", fresh=True)
    (tmp_path / "lab").rename(tmp_path / "elsewhere")
    values.log(LOSS, 1.0, None)
    assert not (tmp_path / "lab").exists()
    assert len(list((tmp_path / "elsewhere" / SPOOLS).iterdir())) >= 1
    with pytest.warns(RuntimeWarning, match="wait in the moved folder"):
        buffer.close("lab")
    assert len(list((tmp_path / "elsewhere" / SPOOLS).iterdir())) >= 1


@pytest.mark.parametrize("is_spooled", [True, False], ids=["before", "after"])
def test_values_of_a_removed_folder_are_said_to_be_lost_once(
    tmp_path: Path, lab: HeldPath, is_spooled: bool
) -> None:
    _, buffer = buffer_of(lab)
    values = buffer.of_run("r", fresh=True)
    if is_spooled:
        values.log(LOSS, 1.0, None)
    shutil.rmtree(tmp_path / "lab")
    with pytest.warns(RuntimeWarning, match="was removed .* are lost") as told:
        for value in range(1000):
            values.log(LOSS, float(value), None)
        with pytest.raises(FolderMoved):
            buffer.flush()
        buffer.close("lab")
    assert len(told) == 1
    assert not (tmp_path / "lab").exists()


def test_the_thread_warns_once_and_logging_goes_on(tmp_path: Path, lab: HeldPath) -> None:
    log, buffer = buffer_of(lab)
    values = buffer.of_run("r", fresh=True)
    (tmp_path / "lab").rename(tmp_path / "elsewhere")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        values.log(LOSS, 1.0, None)
        wait_until(lambda: len(told) > 0, "the thread warns")
        values.log(LOSS, 2.0, None)
        buffer.close("lab")
    assert ["moved" in str(one.message) for one in told] == [True]


@pytest.mark.processes
def test_a_forked_child_logs_into_the_moved_folder(tmp_path: Path, lab: HeldPath) -> None:
    log, buffer = buffer_of(lab)
    values = buffer.of_run("r", fresh=True)
    values.log(LOSS, 1.0, None)
    buffer.flush()
    (tmp_path / "lab").rename(tmp_path / "elsewhere")
    (tmp_path / "lab").mkdir()

    in_child(lambda: values.log(LOSS, 2.0, None))  # It ends without closing.

    assert names_below(tmp_path / "lab") == []
    log.lab = hold(tmp_path / "elsewhere")
    buffer.close("lab")
    assert recover(log.lab / SPOOLS, journal_of(log)) == 1
    assert values_in(log) == [1.0, 2.0]


def test_steps_that_cannot_be_read_begin_at_0_with_a_warning(tmp_path: Path, lab: HeldPath) -> None:
    told: list[str] = []
    log = Moved(lab)
    steps = RunSteps("r", journal_of(log), told.append, fresh=False)
    (tmp_path / "lab").rename(tmp_path / "elsewhere")
    assert next(steps.next_of(LOSS)) == 0
    assert len(told) == 1 and "numbered from 0" in told[0]
