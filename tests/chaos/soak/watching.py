"""The processes that read: whatever happens to writers, no answer contradicts an earlier one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from runlore import Experiment, Workspace
from tests.chaos.soak.process import Desk
from tests.chaos.soak.training import EXPERIMENT, JOB, MADE_BY

_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM tags), "
    "(SELECT count(*) FROM metric_points)"
)
_PAUSE_S: Final = 0.3
_KEPT_MAX: Final = 20


class Reader:
    """A process that asks, compares with its earlier answers, and notes what is wrong."""

    def __init__(self, desk: Desk, workspace: Workspace) -> None:
        self.desk = desk
        self.workspace = workspace
        self._highest: dict[str, Any] = {}
        self._past: dict[int, Any] = {}

    def work(self) -> None:
        asks = [self.ask_counts, self.ask_runs, self.ask_job, self.ask_past, self.ask_run]
        while not self.desk.control.stops:
            self.desk.rng.choice(asks)()
            time.sleep(self.desk.rng.random() * _PAUSE_S)

    def ask_counts(self) -> None:
        self._rises("counts", lambda: self.workspace.sql(_COUNTS).fetchall()[0])

    def ask_runs(self) -> None:
        self._rises("runs", lambda: self._number_of_runs(include_children=True))
        self._rises("tagged", lambda: self._number_of_runs(tags=MADE_BY))

    def _number_of_runs(self, **which: Any) -> tuple[int]:
        experiment = Experiment.find(self.workspace, EXPERIMENT)
        return (sum(1 for _ in experiment.get_runs(**which)),)

    def ask_job(self) -> None:
        """The values of all ranks, those in their spools too."""
        job = partial(self.workspace.get_run, JOB)
        self._rises("values of the job", lambda: (_number_of(job().get_metrics("loss")),))
        self._rises("tags of the job", lambda: (len(job().get_tags()),))

    def ask_run(self) -> None:
        """A run that has ended well stays so."""
        ended = "SELECT run_id FROM runs WHERE status = 'Completed' ORDER BY run_id"
        found = self._do("ended", lambda: self.workspace.sql(ended).fetchall())
        if found:
            (run_id,) = self.desk.rng.choice(found)
            status = self._do("status", lambda: self.workspace.get_run(run_id).get_status())
            if status not in (None, "Completed"):
                self._wrong(f"run {run_id} was Completed, and is {status}")

    def ask_past(self) -> None:
        """An answer of the past never changes."""
        new = self._do("position", lambda: self.workspace.position)
        if new is None:
            return
        if len(self._past) < _KEPT_MAX:
            self._past.setdefault(self.desk.rng.randint(1, new), None)
        position = self.desk.rng.choice(list(self._past))
        then = lambda: self.workspace.as_of(position).sql(_COUNTS).fetchall()  # noqa: E731
        answer = self._do("past", then)
        if answer is None:
            return
        before = self._past[position]
        if before is not None and answer != before:
            self._wrong(f"as of {position}: {before}, and then {answer}")
        self._past[position] = answer

    def _rises(self, what: str, ask: Callable[[], tuple[int, ...]]) -> None:
        answer = self._do(what, ask)
        if answer is None:
            return
        before = self._highest.setdefault(what, answer)
        if any(now < then for now, then in zip(answer, before, strict=True)):
            self._wrong(f"{what} went back from {before} to {answer}")
        self._highest[what] = answer

    def _do(self, what: str, ask: Callable[[], Any]) -> Any:
        return self.desk.ledger.do(0, "read", [what], ask)

    def _wrong(self, text: str) -> None:
        self.desk.ledger.note("wrong", text)


def _follow(desk: Desk, workspace: Workspace) -> None:
    """All events from the first on, each once."""
    position = 0
    while not desk.control.stops:

        def take() -> None:
            nonlocal position
            with workspace.subscribe(after=position, timeout_s=0.5) as feed:
                for event in feed:
                    if event.position != position + 1:
                        desk.ledger.note(
                            "wrong", f"after event {position} came event {event.position}"
                        )
                    position = event.position
                    if position % 1_000 == 0 or desk.control.stops:
                        return

        desk.ledger.do(0, "read", ["subscribe"], take)


def work(desk: Desk) -> None:
    """Read until the conductor asks to stop."""
    opened = desk.ledger.do(0, "open", [], lambda: Workspace.open(desk.part.workspace))
    if opened is not None:
        with opened:
            if desk.part.kind == "follower":
                _follow(desk, opened)
            else:
                Reader(desk, opened).work()


def _number_of(metrics: Mapping[str, Any]) -> int:
    """How many values of the loss these are; a single one is no list."""
    values = metrics.get("loss", [])
    return len(values) if isinstance(values, list) else 1
