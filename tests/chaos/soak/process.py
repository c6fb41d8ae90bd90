"""The entry of each process that the conductor starts.

    python -m tests.chaos.soak.process '{"folder": ..., "name": ..., ...}'

Before anything of runlore is imported, its clock becomes the conductor's: `time.time` and
`time.time_ns` of this process are ahead by what the conductor says, also in the middle of a call.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import signal
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.chaos.soak.control import Control
from tests.chaos.soak.ledger import FORKS_MAX, Ledger


@dataclass(frozen=True)
class Part:
    """A process's part in the soak: its name and number, and what kind of process it is and does.

    `folder` holds control files, ledgers, dumps and files to upload; `workspace` is on the small
    disk. A process of few descriptors may open only `spare_files` more once it is at work.
    """

    folder: str
    workspace: str
    name: str
    number: int
    kind: str
    seed: int
    forks: bool = False
    asks: bool = False
    threads: int = 1
    spare_files: int | None = None

    def of_fork(self, child: int) -> Part:
        """The part of its child that is forked as number `child`, from 1 on."""
        assert 0 < child < FORKS_MAX
        return Part(
            self.folder,
            self.workspace,
            f"{self.name}.{child}",
            self.number + child,
            "fork",
            self.seed + child,
        )

    @property
    def control(self) -> Path:
        return Path(self.folder, "control", self.name)

    @property
    def ledger(self) -> Path:
        return Path(self.folder, "ledgers", self.name)

    def dump(self, what: str) -> Path:
        """The file for the process's standard error ("err") or its stacks ("stacks")."""
        return Path(self.folder, "dumps", f"{self.name}.{what}")


class Desk:
    """What a process of the soak works with."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.control = Control(part.control)
        self.control.enter(os.getpid())
        self.ledger = Ledger(part.ledger, self.control)
        self.rng = random.Random(part.seed)
        self._stacks = part.dump("stacks").open("w")
        faulthandler.register(signal.SIGUSR1, file=self._stacks, all_threads=True)
        warnings.showwarning = self._note_warning  # type: ignore[assignment]  # Fewer names.

    def _note_warning(self, message: Warning | str, *_: object) -> None:
        self.ledger.note("warned", str(message))


def shift_clock(control: Control) -> None:
    """Let this process's clock be ahead by what the conductor says, from moment to moment."""
    real_s, real_ns = time.time, time.time_ns
    time.time = lambda: real_s() + control.clock_ns / 1e9
    time.time_ns = lambda: real_ns() + control.clock_ns


def work_of(kind: str) -> ModuleType:
    """The module with the `work` of a kind of process; it imports runlore, with this clock."""
    if kind == "reader" or kind == "follower":
        from tests.chaos.soak import watching

        return watching
    from tests.chaos.soak import training

    return training


def main(words: str) -> None:
    """Work until the conductor asks to stop; what comes after is the last operation."""
    desk = Desk(Part(**json.loads(words)))
    warnings.simplefilter("always", RuntimeWarning)
    shift_clock(desk.control)
    assert "runlore" not in sys.modules
    try:
        work_of(desk.part.kind).work(desk)
    finally:
        desk.ledger.note("leaving", "")
        desk.control.begin(0)  # It ends with the process, or hangs.


if __name__ == "__main__":
    main(sys.argv[1])
