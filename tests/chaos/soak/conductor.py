"""The conductor: it starts the processes of a soak, and does to them what bad luck does.

At random moments, by a seed: SIGKILL to a process alone or to its whole group, SIGSTOP and SIGCONT
up to 20 s later, SIGTERM, a jump of its clock by up to a day, and a full disk. A process that has
ended is followed by another one of its kind. Which moment of a call is hit depends on the machine.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Final

from tests.chaos.soak.control import Control
from tests.chaos.soak.hangs import Seen, those_that_hang
from tests.chaos.soak.ledger import FORKS_MAX
from tests.chaos.soak.process import Part
from tests.disks import Disk

HUNG_S: Final = 60.0
"""So long does a process that is not stopped make no progress, while others do, if it hangs."""

_TICK_S: Final = 0.05
_STOPPED_MIN_S: Final = 0.1
_CLOCK_HOURS_MAX: Final = 24.0
_WATCH_INTERVAL_S: Final = 1.0
_DUMP_S: Final = 2.0
_SPARED: Final = frozenset({"launcher"})
_EXPECTED: Final = frozenset({0, 143, -signal.SIGTERM, -signal.SIGKILL})
"""Exit codes: of an end, of a handler of SIGTERM, of SIGTERM before there is one, and of a kill."""


@dataclass(frozen=True)
class Plan:
    """How long a soak is, how many processes it has, and how often each kind of bad luck comes.

    The intervals are means, in seconds; what comes after infinitely many never comes. A share
    `short_of_files` of the writers may open hardly any files.
    """

    seconds: float = 600.0
    seed: int = 0
    writers: int = 32
    ranks: int = 8
    readers: int = 3
    kill_s: float = 4.0
    stop_s: float = 2.0
    stopped_max_s: float = 20.0
    terminate_s: float = 8.0
    jump_s: float = 1.0
    full_s: float = 25.0
    full_max_s: float = 6.0
    short_of_files: float = 0.1
    disk_mib: int = 2048


class Conductor:
    """One soak in a folder, of which `disk` is a part."""

    def __init__(self, plan: Plan, folder: Path, disk: Disk) -> None:
        self.plan = plan
        self.folder = folder
        self.disk = disk
        self.workspace = disk.folder / "lab"
        self.figures: Counter[str] = Counter()
        self.hung: list[str] = []
        self.crashed: list[str] = []
        self.killed: list[str] = []
        self._rng = random.Random(plan.seed)
        self._numbers = count(0, FORKS_MAX)
        self._kinds: dict[int, str] = {}  # Of the processes that it has started, by process id.
        self._seen: dict[str, Seen] = {}
        self._ended: set[int] = set()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = count()
        self._full_until: float | None = None
        self._now = time.monotonic()
        self._unwatched_s = 0.0

    def run(self) -> None:
        """Run the whole soak; at its end no process of it is left."""
        try:
            self._start("launcher")
            self._wait_for_the_job()
            for kind, number in self._wanted.items():
                for _ in range(number):
                    self._start(kind)
            self._wait_until_all_work()
            self._plan_bad_luck()
            self._go_on_until(time.monotonic() + self.plan.seconds, restart=True)
            self._later.clear()
            self._end_bad_luck()
            for spared in (False, True):
                self._ask_to_stop(spared)
                self._go_on_until(time.monotonic() + 10 * HUNG_S, spared=spared)
        finally:
            self._kill_all()

    # --- processes --------------------------------------------------------------------------

    @property
    def _wanted(self) -> dict[str, int]:
        plan = self.plan
        return {
            "writer": plan.writers,
            "rank": plan.ranks,
            "reader": plan.readers,
            "follower": min(1, plan.readers),
        }

    def _start(self, kind: str) -> None:
        number, rng = next(self._numbers), self._rng
        name = f"{kind}{number // FORKS_MAX:05}"
        short_of_files = kind == "writer" and rng.random() < self.plan.short_of_files
        part = Part(
            str(self.folder),
            str(self.workspace),
            name,
            number,
            kind,
            rng.getrandbits(32),
            forks=kind in ("writer", "rank") and not short_of_files and rng.random() < 0.3,
            asks=kind == "writer" and rng.random() < 0.2,
            threads=rng.choice([1, 1, 3]),
            spare_files=rng.randint(0, 6) if short_of_files else None,
        )
        control = Control(part.control)
        control.clock_ns = self._some_hours()
        variables = {**os.environ, "RUNLORE_CACHE_DIR": str(self.disk.folder / "cache")}
        if kind == "rank":
            variables |= {
                "RUNLORE_WORKSPACE_URI": str(self.workspace),
                "RUNLORE_RUN_ID": "job",
            }
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tests.chaos.soak.process", json.dumps(asdict(part))],
            variables,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, fd, part.dump("err"), os.O_WRONLY | os.O_CREAT, 0o600)
                for fd in (1, 2)
            ],
            setpgroup=0,
        )
        self._kinds[pid] = kind
        self.figures[f"{kind}s"] += 1

    def _wait_for_the_job(self) -> None:
        ledgers = self.folder / "ledgers"
        while not any(b"has started" in ledger.read_bytes() for ledger in ledgers.iterdir()):
            self._reap()
            if self.crashed:
                raise RuntimeError(f"the job did not start: {self.crashed}")
            time.sleep(_TICK_S)

    def _wait_until_all_work(self) -> None:
        """Starting so many processes takes long, and that is not a part of the soak."""
        while any(not ended for one in self._seen.values() for _, ended in one.counts[:1]) or (
            len(self._seen) < len(self._kinds)
        ):
            self._look()
            self._reap()
            for one in self._seen.values():
                one.counts = one.control.counts()
            time.sleep(_TICK_S)

    def _look(self) -> None:
        """See processes that have begun, forked ones too."""
        for path in (self.folder / "control").iterdir():
            if path.name not in self._seen:
                kind = "fork" if "." in path.name else path.name.rstrip("0123456789")
                self._seen[path.name] = Seen(path.name, kind, Control(path))
                self.figures["forks"] += kind == "fork"

    def _living(self) -> list[Seen]:
        return [one for one in self._seen.values() if one.is_living]

    def _reap(self) -> None:
        """Notice the processes that have ended; orphans become children of this one."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                self._ended.add(pid)
                code = os.waitstatus_to_exitcode(status)
                self._note_end(pid, code)
        for one in self._living():
            if one.pid in self._ended or not _exists(one.pid):
                one.ended = True

    def _note_end(self, pid: int, code: int) -> None:
        name = next((one.name for one in self._seen.values() if one.pid == pid), str(pid))
        if code == -signal.SIGKILL:
            self.killed.append(name)
        if pid in self._kinds and code not in _EXPECTED:
            self.crashed.append(f"{name} ended with {code}: {self._last_words(name)}")

    def _last_words(self, name: str) -> str:
        file = self.folder / "dumps" / f"{name}.err"
        lines = file.read_text(errors="replace").strip().splitlines() if file.exists() else []
        return lines[-1][:300] if lines else "it said nothing"

    def _go_on_until(
        self, until: float, *, restart: bool = False, spared: bool | None = None
    ) -> None:
        """Go on; without `restart` only until the processes have ended."""
        self._now = time.monotonic()
        while (now := time.monotonic()) < until:
            passed_s, self._now = now - self._now, now
            while self._later and self._later[0][0] <= now:
                heapq.heappop(self._later)[2]()
            self._look()
            self._reap()
            self._watch(passed_s)
            if self._full_until is not None:
                self.disk.fill()  # Also what was freed in the meantime.
            if restart:
                self._replace()
            elif not any(spared or one.kind not in _SPARED for one in self._living()):
                return
            time.sleep(_TICK_S)

    def _replace(self) -> None:
        living = Counter(kind for pid, kind in self._kinds.items() if pid not in self._ended)
        for kind, number in self._wanted.items():
            if living[kind] < number:
                self._start(kind)

    # --- bad luck ---------------------------------------------------------------------------

    def _plan_bad_luck(self) -> None:
        plan = self.plan
        for mean_s, luck in (
            (plan.kill_s, self._kill),
            (plan.stop_s, self._stop),
            (plan.terminate_s, self._terminate),
            (plan.jump_s, self._jump),
            (plan.full_s, self._fill),
        ):
            self._again(mean_s, luck)

    def _again(self, mean_s: float, luck: Callable[[], None]) -> None:
        def strike() -> None:
            luck()
            self._again(mean_s, luck)

        if math.isfinite(mean_s):
            self._after(self._rng.expovariate(1 / mean_s), strike)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._tie), action))

    def _victim(self, *kinds: str) -> Seen | None:
        among = [
            one
            for one in self._living()
            if one.kind not in _SPARED and (not kinds or one.kind in kinds)
        ]
        return self._rng.choice(among) if among else None

    def _kill(self) -> None:
        one = self._victim()
        if one is None:
            return
        group = one.kind != "fork" and self._rng.random() < 0.5
        self.figures["kills"] += _send(one.pid, signal.SIGKILL, group=group)

    def _terminate(self) -> None:
        one = self._victim("writer", "rank")
        if one is not None:
            self.figures["terminations"] += _send(one.pid, signal.SIGTERM)

    def _stop(self) -> None:
        one = self._victim()
        if one is None or one.stopped or not _send(one.pid, signal.SIGSTOP):
            return
        self.figures["stops"] += 1
        one.stopped = True
        ratio = self.plan.stopped_max_s / _STOPPED_MIN_S
        self._after(_STOPPED_MIN_S * ratio ** self._rng.random(), lambda: self._continue(one))

    def _continue(self, one: Seen) -> None:
        if one.stopped:
            one.stopped = False
            _send(one.pid, signal.SIGCONT)

    def _jump(self) -> None:
        one = self._victim()
        if one is not None:
            one.control.clock_ns = self._some_hours()
            self.figures["clock jumps"] += 1

    def _some_hours(self) -> int:
        return int(self._rng.uniform(-_CLOCK_HOURS_MAX, _CLOCK_HOURS_MAX) * 3600e9)

    def _fill(self) -> None:
        if self._full_until is None and self.disk.mounted:
            self.figures["full disks"] += 1
            self._full_until = time.monotonic()
            self.disk.fill()
            self._after(self._rng.uniform(0.5, self.plan.full_max_s), self._free)

    def _free(self) -> None:
        if self._full_until is not None:
            self._full_until = None
            self.disk.free()

    def _end_bad_luck(self) -> None:
        self._free()
        for one in self._living():
            self._continue(one)

    # --- the end ----------------------------------------------------------------------------

    def _ask_to_stop(self, spared: bool) -> None:
        self._look()
        for one in self._seen.values():
            if spared or one.kind not in _SPARED:
                one.control.stop()

    def _watch(self, passed_s: float) -> None:
        """End the processes that hang, after they have written where."""
        self._unwatched_s += passed_s
        if self._unwatched_s < _WATCH_INTERVAL_S:
            return
        # This process may have been kept waiting as well, so a long time says little.
        passed_s, self._unwatched_s = min(self._unwatched_s, 2 * _WATCH_INTERVAL_S), 0.0
        watched = [one for one in self._living() if one.kind not in _SPARED]
        for one in those_that_hang(watched, passed_s, HUNG_S):
            _send(one.pid, signal.SIGUSR1)
            time.sleep(_DUMP_S)
            _send(one.pid, signal.SIGKILL)
            one.ended = True
            self.hung.append(f"{one.name}: see {self.folder}/dumps/{one.name}.stacks")

    def _kill_all(self) -> None:
        for pid in self._kinds.keys() - self._ended:
            _send(pid, signal.SIGKILL, group=True)
        self._look()
        for one in self._living():
            _send(one.pid, signal.SIGKILL)


def _send(pid: int, what: signal.Signals, *, group: bool = False) -> bool:
    """Whether the process was there to get the signal."""
    try:
        (os.killpg if group else os.kill)(pid, what)
    except ProcessLookupError:
        return False
    return True


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
