"""The processes that write: all that users do to runs, at random, until they are told to end.

A *writer* has one run after another. A *rank* logs into the run of a job that others log into as
well. The *launcher* starts that job's run and ends it when the ranks have ended.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np

from runlore import Experiment, Run, Workspace, init
from tests.chaos.soak.ledger import FORKS_MAX, first_value
from tests.chaos.soak.process import Desk

EXPERIMENT: Final = "soak"
JOB: Final = "job"
MADE_BY: Final = "made by"
"""The tag of runs whose ids the script does not choose."""

_BURST: Final = 100
_BATCH_MAX: Final = 200
_PAUSE_S: Final = 0.2

Series = tuple[str, str | None, int, int]
"""A metric, its column, the first value of a range, and their number."""


class Lane:
    """One thread's work on one run; each operation is in the ledger."""

    def __init__(self, desk: Desk, number: int, run: Run, place: count[int]) -> None:
        self.desk = desk
        self.number = number
        self.run = run
        self.rng = Random(f"{desk.part.seed} {number} {run.id}")
        self._first = first_value(desk.part.number, number)
        self._place = place
        self._names = count()

    def do(self, kind: str, *facts: Any, call: Callable[[], Any]) -> Any:
        return self.desk.ledger.do(self.number, kind, facts, call)

    def some(self, *weighted: tuple[int, Callable[[], object]]) -> None:
        """Do one of them."""
        weights, calls = zip(*weighted, strict=True)
        self.rng.choices(calls, weights)[0]()

    def pause(self) -> None:
        """Compute, as a training does between two values."""
        time.sleep(self.rng.random() ** 2 * _PAUSE_S)

    # --- values -----------------------------------------------------------------------------

    def log(self) -> None:
        value = self._new()
        self._values(("loss", None, value, 1), call=lambda: self.run.log("loss", float(value)))

    def log_at(self) -> None:
        value = self._new()
        log = lambda: self.run.log("at", float(value), step=value & 0xFFFF)  # noqa: E731
        self._values(("at", None, value, 1), call=log)

    def log_text(self) -> None:
        value = self._new()
        self._values(("text", None, value, 1), call=lambda: self.run.log("text", str(value)))

    def log_whole(self) -> None:
        value = self._new()
        self._values(("whole", None, value, 1), call=lambda: self.run.log("whole", value))

    def log_metrics(self) -> None:
        value = self._new()
        names = ("a", "b", "c")
        metrics = dict.fromkeys(names, float(value))
        series: list[Series] = [(name, None, value, 1) for name in names]
        self._values(*series, call=lambda: self.run.log_metrics(metrics))

    def log_row(self) -> None:
        value = self._new()
        series: list[Series] = [("row", column, value, 1) for column in ("x", "y")]
        log = lambda: self.run.log_row("row", x=float(value), y=str(value))  # noqa: E731
        self._values(*series, call=log)

    def log_batch(self) -> None:
        number = self.rng.randint(1, _BATCH_MAX)
        value = self._new(number)
        values = np.arange(value, value + number, dtype=np.float64)
        series = ("batch", None, value, number)
        self._values(series, call=lambda: self.run.log_batch("batch", values))

    def log_list(self) -> None:
        number = self.rng.randint(1, 5)
        value = self._new(number)
        values = list(range(value, value + number))
        self._values(("list", None, value, number), call=lambda: self.run.log_list("list", values))

    def log_flat_out(self) -> None:
        """Many values without a pause; each call that returns is noted at its end only."""
        value = self._new(_BURST)
        values = [float(value + n) for n in range(_BURST)]

        def burst() -> None:
            for each in values:
                self.run.log("flat out", each)

        self._values(("flat out", None, value, _BURST), call=burst)

    def _new(self, number: int = 1) -> int:
        value = self._first + next(self._place)
        for _ in range(number - 1):
            next(self._place)
        return value

    def _values(self, *series: Series, call: Callable[[], object]) -> None:
        self.do("values", self.run.id, series, call=call)

    def flush(self) -> None:
        self.do("flush", call=self.run.flush)

    # --- changes ----------------------------------------------------------------------------

    def tag(self) -> None:
        key = self._name()
        self.do("tag", self.run.id, key, call=lambda: self.run.tag(key, key))

    def add_property(self) -> None:
        key = self._name()
        add = lambda: self.run.add_properties({key: key})  # noqa: E731
        self.do("property", self.run.id, key, call=add)

    def upload(self) -> None:
        name = self._name()
        file = Path(self.desk.part.folder, "uploads", name)
        try:
            file.write_bytes(name.encode() * self.rng.randint(1, 2_000))
        except OSError:  # Of a script that has no descriptor left, before it calls runlore.
            return
        upload = lambda: self.run.upload_file(f"outputs/{name}", file)  # noqa: E731
        self.do("file", self.run.id, f"outputs/{name}", file.stat().st_size, call=upload)
        file.unlink()

    def child(self) -> None:
        """A child run with a value of its own."""
        run_id = self._name()
        start = lambda: self.run.child_run(run_id=run_id)  # noqa: E731
        child = self.do("run", run_id, call=start)
        if child is not None:
            own = Lane(self.desk, self.number, child, self._place)
            own.log()
            own.end("complete")

    def end(self, how: str, *, kind: str = "end") -> bool:
        """End the run; whether it is ended."""
        ways: dict[str, Callable[[], object]] = {
            "complete": self.run.complete,
            "fail": lambda: self.run.fail("the soak wants it"),
            "cancel": lambda: self.run.cancel(reason="the soak wants it"),
        }
        end = lambda: ways[how]() or "ended"  # noqa: E731
        return bool(self.do(kind, self.run.id, how, call=end))

    def _name(self) -> str:
        return f"{self.desk.part.name}-{self.number}-{self.run.id}-{next(self._names)}"

    # --- reads ------------------------------------------------------------------------------

    def read(self) -> None:
        """Whether the run has what this thread has just logged."""
        value = self._new()
        log = lambda: self.run.log("read", float(value))  # noqa: E731
        self._values(("read", None, value, 1), call=log)
        found = self.do("read", "get_metrics", call=lambda: self.run.get_metrics("read")["read"])
        if found is not None and float(value) not in (
            found if isinstance(found, list) else [found]
        ):
            self.desk.ledger.note("wrong", f"run {self.run.id}: {value} was logged, but not read")

    def read_state(self) -> None:
        self.do("read", "tags", call=self.run.get_tags)
        self.do("read", "status", call=self.run.get_status)
        self.do("read", "stop", call=lambda: self.run.should_stop)

    def ask(self) -> None:
        """Whether SQL shows the tag that this thread has just set."""
        run_id, key = self.run.id, self._name()

        def tag() -> str:
            self.run.tag(key)
            return "set"

        if self.do("tag", run_id, key, call=tag) is None:
            return
        query = "SELECT count(*) FROM tags WHERE run_id = ? AND key = ?"
        workspace = self.run.experiment.workspace
        ask = lambda: workspace.sql(query, [run_id, key]).fetchall()  # noqa: E731
        found = self.do("read", "sql", call=ask)
        if found not in (None, [(1,)]):
            self.desk.ledger.note(
                "wrong", f"run {run_id}: tag {key} was set, but SQL shows {found}"
            )

    def fork(self, children: count[int]) -> None:
        """A data loader: a forked child that logs for a while, beside its parent or after it."""
        child = next(children)
        if child >= FORKS_MAX:
            return
        pid = os.fork()
        if pid == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _load_data(Desk(self.desk.part.of_fork(child)), self.run)
            finally:
                os._exit(0)
        if self.rng.random() < 0.5:  # Else it is left to itself.
            self.do("join", call=lambda: str(os.waitpid(pid, 0)))


def _load_data(desk: Desk, run: Run) -> None:
    lane = Lane(desk, 0, run, count())
    for _ in range(desk.rng.randint(1, 20)):
        lane.some((5, lane.log), (1, lane.log_batch), (1, lane.tag), (1, lane.flush))
        if desk.control.stops:
            return
        lane.pause()


def _keep_busy(lane: Lane, other: tuple[tuple[int, Callable[[], object]], ...] = ()) -> None:
    """One operation, and a pause."""
    lane.some(
        (20, lane.log),
        (5, lane.log_at),
        (5, lane.log_text),
        (5, lane.log_whole),
        (10, lane.log_metrics),
        (5, lane.log_row),
        (5, lane.log_batch),
        (3, lane.log_list),
        (5, lane.log_flat_out),
        (4, lane.tag),
        (2, lane.add_property),
        (2, lane.flush),
        (1, lane.upload),
        (1, lane.read),
        (1, lane.read_state),
        *other,
    )
    lane.pause()


class Writer:
    """A process with one run after another, in several threads."""

    def __init__(self, desk: Desk, workspace: Workspace) -> None:
        self.desk = desk
        self.workspace = workspace
        self.places = [count() for _ in range(desk.part.threads)]
        self.children = count(1)
        self.lane: Lane | None = None
        self.leaving = False

    def work(self) -> None:
        signal.signal(signal.SIGTERM, self._terminated)
        for number in count():
            if self.desk.control.stops:
                return
            run = self._start(number)
            if run is None:
                time.sleep(0.2)  # No room, say.
                continue
            self._train(run)

    def _start(self, number: int) -> Run | None:
        part = self.desk.part
        name = f"{part.name}-{number}"
        if self.desk.rng.random() < 0.5:
            start = lambda: Experiment(self.workspace, EXPERIMENT).start_logging(  # noqa: E731
                run_id=name, outputs=False, snapshot_directory=None
            )
            started: Run | None = self.desk.ledger.do(0, "run", [name], start)
        else:
            begin = lambda: init(EXPERIMENT, workspace=part.workspace, tags={MADE_BY: name})  # noqa: E731
            started = self.desk.ledger.do(0, "init", [name], begin)
        return started

    def _train(self, run: Run) -> None:
        self.lane = lane = Lane(self.desk, 0, run, self.places[0])
        over = threading.Event()
        threads = [
            threading.Thread(target=self._train_beside, args=(Lane(self.desk, n, run, place), over))
            for n, place in enumerate(self.places[1:], 1)
        ]
        for thread in threads:
            thread.start()
        try:
            forks = ((1, lambda: lane.fork(self.children)),) if self.desk.part.forks else ()
            asks = ((1, lane.ask),) if self.desk.part.asks else ()
            others = (*forks, *asks, (1, lane.child))
            for _ in range(self.desk.rng.randint(5, 200)):
                if self.desk.control.stops:
                    break
                _keep_busy(lane, others)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        how = self.desk.rng.choice(["complete", "complete", "fail", "cancel"])
        for _ in range(20):  # A script would give up; here all that was begun shall be ended.
            if lane.end(how):
                break
            time.sleep(0.5)
        self.lane = None

    def _train_beside(self, lane: Lane, over: threading.Event) -> None:
        while not (over.is_set() or self.leaving):
            _keep_busy(lane)

    def _terminated(self, *_: object) -> None:
        """As on Slurm: the run is ended in the handler, wherever it interrupts the training."""
        self.leaving = True
        lane = self.lane
        if lane is not None:
            self.desk.rng.choice(
                [
                    lambda: lane.end("fail"),
                    lambda: lane.end("complete"),
                    lambda: lane.end("cancel"),
                    lane.flush,
                    lane.tag,
                    lane.read,
                    lane.log,
                ]
            )()
        sys.exit(143)


def _be_rank(desk: Desk) -> None:
    """A rank of a distributed job, which its launcher ends."""
    run = desk.ledger.do(0, "attach", [JOB], Run.get_context)
    if run is None:
        return
    lane = Lane(desk, 0, run, count())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    while not desk.control.stops:
        _keep_busy(lane)
    lane.end("complete", kind="leave")


def _launch(desk: Desk, workspace: Workspace) -> None:
    run = Experiment(workspace, EXPERIMENT).start_logging(
        run_id=JOB, outputs=False, snapshot_directory=None
    )
    desk.ledger.note("warned", "the job has started")
    while not desk.control.stops:
        time.sleep(0.2)
    run.complete()


def work(desk: Desk) -> None:
    """Do what the process's part says."""
    if desk.part.kind == "rank":
        _be_rank(desk)
        return
    opened = desk.ledger.do(0, "open", [], lambda: Workspace.open(desk.part.workspace))
    if opened is None:
        return
    if desk.part.kind == "launcher":
        _launch(desk, opened)
        return
    if desk.part.spare_files is not None:
        used = len(os.listdir("/proc/self/fd"))
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + desk.part.spare_files, hard))
    Writer(desk, opened).work()
