"""A short soak; and the accountant and the watch, which must see what a soak must not have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from tests.chaos.soak.accountant import KILLED, account_for
from tests.chaos.soak.conductor import Plan
from tests.chaos.soak.control import Control
from tests.chaos.soak.hangs import Seen, those_that_hang
from tests.chaos.soak.ledger import Ledger, first_value, read_book
from tests.chaos.soak.soak import soak
from tests.processes import start_python, wait_until


@pytest.mark.processes
@pytest.mark.slow
def test_a_soak_loses_repeats_and_hangs_nothing(tmp_path: Path) -> None:
    plan = Plan(
        seconds=5,
        writers=3,
        ranks=2,
        readers=1,
        kill_s=0.8,
        stop_s=1.0,
        stopped_max_s=2.0,
        terminate_s=1.5,
        jump_s=0.3,
        full_s=2.0,
        full_max_s=0.8,
        disk_mib=256,
    )
    result = soak(plan, tmp_path / "soak")
    assert result.is_well, result.problems
    assert result.figures["values that returned"] > 0


# --- the accountant -----------------------------------------------------------------------------

FIRST = first_value(64, 0)


class Told:
    """A run, and the ledger of a process that says what it did to it."""

    def __init__(self, folder: Path) -> None:
        for name in ("control", "ledgers"):
            (folder / name).mkdir()
        (folder / KILLED).write_text("killed")
        self.folder = folder
        self.workspace = Workspace.create("lab", path=folder / "lab")
        experiment = Experiment(self.workspace, "soak")
        self.run = experiment.start_logging(run_id="r", outputs=False, snapshot_directory=None)
        self.ledger = self.of("one")

    def of(self, name: str) -> Ledger:
        return Ledger(self.folder / "ledgers" / name, Control(self.folder / "control" / name))

    def log(self, value: int) -> None:
        facts = ["r", [("loss", None, value, 1)]]
        self.ledger.do(0, "values", facts, lambda: self.run.log("loss", float(value)))

    def claim(self, kind: str, *facts: object) -> None:
        self.ledger.do(0, kind, facts, lambda: "done")

    def bad(self) -> dict[str, int]:
        figures = account_for(self.folder, self.workspace).figures
        kinds = ("lost", "repeated", "wrong", "raised")
        return {kind: figures[kind] for kind in kinds if figures[kind]}


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    told = Told(tmp_path)
    yield told
    told.workspace.close()


def test_what_returned_and_is_there_is_well(told: Told) -> None:
    for value in range(FIRST, FIRST + 3):
        told.log(value)
    told.ledger.do(0, "tag", ["r", "t"], lambda: told.run.tag("t", "t"))
    told.ledger.do(0, "end", ["r", "complete"], told.run.complete)
    assert told.bad() == {}


def test_a_value_that_is_not_there_is_lost(told: Told) -> None:
    told.claim("values", "r", [("loss", None, FIRST, 2)])
    told.run.log("loss", float(FIRST))
    assert told.bad() == {"lost": 1}


def test_a_value_that_is_there_twice_is_repeated(told: Told) -> None:
    told.log(FIRST)
    told.run.log("loss", float(FIRST))
    assert told.bad() == {"repeated": 1}


def test_a_value_that_nobody_began_is_wrong(told: Told) -> None:
    told.run.log("loss", 1.0)
    assert told.bad() == {"wrong": 1}


def test_values_of_a_thread_in_another_order_are_wrong(told: Told) -> None:
    told.log(FIRST + 1)
    told.log(FIRST)
    assert told.bad() == {"wrong": 1}


def test_values_that_wait_in_memory_with_a_warning_are_counted_apart(told: Told) -> None:
    told.ledger.note("warned", "logged values are not written yet and keep waiting: no room")
    told.claim("values", "r", [("loss", None, FIRST, 1)])
    account = account_for(told.folder, told.workspace)
    assert account.figures["values that waited in memory, as warned"] == 1
    assert account.figures["lost"] == 0


def test_a_value_before_a_flush_that_returned_has_no_excuse(told: Told) -> None:
    told.ledger.note("warned", "logged values are not written yet and keep waiting: no room")
    told.claim("values", "r", [("loss", None, FIRST, 1)])
    told.claim("flush")
    told.claim("values", "r", [("loss", None, FIRST + 1, 1)])
    assert told.bad() == {"lost": 2}


@pytest.mark.parametrize(
    "kind, facts",
    [
        ("tag", ["r", "t"]),
        ("property", ["r", "p"]),
        ("run", ["another"]),
        ("init", ["another"]),
        ("end", ["r", "complete"]),
    ],
)
def test_a_change_that_is_not_there_is_lost(told: Told, kind: str, facts: list[str]) -> None:
    told.claim(kind, *facts)
    assert told.bad() == {"lost": 1}


def test_a_change_that_is_there_twice_is_repeated(told: Told) -> None:
    told.claim("tag", "r", "t")
    told.run.tag("t", "1")
    told.run.tag("t", "2")
    assert told.bad() == {"repeated": 1}


def test_a_change_that_was_refused_and_is_there_is_wrong(told: Told) -> None:
    class DiskFull(Exception):
        pass

    def refuse() -> None:
        told.run.tag("t", "1")
        raise DiskFull

    told.ledger.do(0, "tag", ["r", "t"], refuse)
    assert told.bad() == {"wrong": 1}


@pytest.mark.parametrize("kind", ["values", "read"])
def test_an_error_of_a_log_or_a_read_is_told(told: Told, kind: str) -> None:
    told.ledger.do(0, kind, ["r", []], lambda: 1 / 0)
    assert told.bad() == {"raised": 1}


def test_a_wrong_answer_that_a_reader_notes_is_wrong(told: Told) -> None:
    told.ledger.note("wrong", "it went back")
    assert told.bad() == {"wrong": 1}


def test_a_run_that_is_running_although_its_process_was_killed_is_wrong(told: Told) -> None:
    told.of("killed").do(0, "run", ["r"], lambda: None)
    assert told.bad() == {"wrong": 1}


def test_the_last_line_of_a_killed_process_may_be_torn(told: Told, tmp_path: Path) -> None:
    told.claim("tag", "r", "t")
    path = tmp_path / "ledgers" / "one"
    path.write_bytes(path.read_bytes()[:-3])
    [one] = read_book(path).operations.values()
    assert not one.done


# --- the watch ----------------------------------------------------------------------------------


def test_an_operation_without_an_end_hangs_while_others_make_progress(tmp_path: Path) -> None:
    stuck, busy = (Seen(name, "writer", Control(tmp_path / name)) for name in ("stuck", "busy"))
    stuck.control.begin(1)

    def looks(number: int) -> list[Seen]:
        found: list[Seen] = []
        for _ in range(number):
            busy.control.begin(0)
            busy.control.end(0)
            found += those_that_hang([stuck, busy], 1.0, 60.0)
        return found

    assert looks(61) == []
    assert looks(1) == [stuck]


@pytest.mark.processes
def test_the_time_of_a_process_that_could_run_is_that_of_the_processor(tmp_path: Path) -> None:
    waiting, running = (Seen(name, "writer", Control(tmp_path / name)) for name in ("w", "r"))
    code = "import sys; sys.stdin.read(1) if len(sys.argv) > 1 else None\nwhile True: pass"
    processes = [start_python(code, "waits"), start_python(code)]
    try:
        for one, process in zip((waiting, running), processes, strict=True):
            one.control.enter(process.pid)
        wait_until(lambda: waiting.own_s(1000.0) == 1000.0, "it to wait")
        wait_until(lambda: 0.0 < running.own_s(1000.0) < 1000.0, "it to run")
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_stopped_process_does_not_hang_and_a_stopped_machine_only_after_long(
    tmp_path: Path,
) -> None:
    one, other = (Seen(name, "writer", Control(tmp_path / name)) for name in ("one", "other"))
    one.control.begin(0)
    other.control.begin(0)
    assert not any(those_that_hang([one, other], 1.0, 60.0) for _ in range(180))
    assert those_that_hang([one, other], 1.0, 60.0) == [one, other]
    one.still_s[0] = 0.0
    one.stopped = True
    for _ in range(100):
        other.control.begin(0)
        other.control.end(0)
        assert those_that_hang([one, other], 1.0, 60.0) == []
