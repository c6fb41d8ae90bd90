"""One soak from beginning to end: a small disk, bad luck, and the account of it."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runlore import Workspace
from tests.chaos.soak.accountant import KILLED
from tests.chaos.soak.conductor import Conductor, Plan
from tests.disks import Disk

ACCOUNT_MAX_S: Final = 600.0
"""An accountant that takes longer hangs."""

_PR_SET_CHILD_SUBREAPER: Final = 36
_BAD: Final = ("lost", "repeated", "hung", "wrong", "raised", "crashed")
_SHOWN: Final = (
    "writers",
    "ranks",
    "readers",
    "followers",
    "forks",
    "kills",
    "terminations",
    "stops",
    "clock jumps",
    "full disks",
    "runs",
    "runs recorded as lost",
    "runs left Running",
    "events",
    "values that returned",
    "values found",
    "values that waited in memory, as warned",
    "changes that returned",
    "ends that returned",
    "files that returned",
    "refused: DiskFull",
    "refused: FileNotWritten",
    "refused: LogBusy",
    "refused: TooManyOpenFiles",
    "refused: RunEnded",
    "refused: Interrupting",
    *_BAD,
)


@dataclass(frozen=True)
class Result:
    """What a soak counted, in the order in which it is shown, and its problems in words."""

    figures: Mapping[str, int]
    problems: list[str]

    @property
    def is_well(self) -> bool:
        """Whether nothing was lost, repeated, hung, wrong, raised or crashed."""
        return not any(self.figures[what] for what in _BAD)


def soak(plan: Plan, folder: Path) -> Result:
    """Run a soak in an empty folder.

    Its small disk is mounted in it; where this user may not mount, no disk is full.
    """
    # Orphans, such as forked children of killed processes, are this process's to reap.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for name in ("control", "ledgers", "dumps", "uploads", "disk"):
        (folder / name).mkdir(parents=True)
    disk = Disk(folder / "disk", size_mib=plan.disk_mib)
    try:
        Workspace.create("lab", path=disk.folder / "lab").close()
        conductor = Conductor(plan, folder, disk)
        conductor.run()
        figures, problems = _account(folder, conductor)
        result = Result({what: figures[what] for what in _SHOWN}, problems)
        if not result.is_well:
            shutil.copytree(conductor.workspace, folder / "lab")
        return result
    finally:
        disk.close()


def _account(folder: Path, conductor: Conductor) -> tuple[Counter[str], list[str]]:
    figures = conductor.figures + Counter(hung=len(conductor.hung), crashed=len(conductor.crashed))
    problems = [f"hung: {one}" for one in conductor.hung]
    problems += [f"crashed: {one}" for one in conductor.crashed]
    (folder / KILLED).write_text("\n".join(conductor.killed))
    words = ["-m", "tests.chaos.soak.accountant", folder, conductor.workspace]
    cache = str(conductor.disk.folder / "cache")
    try:
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            env={**os.environ, "RUNLORE_CACHE_DIR": cache},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=ACCOUNT_MAX_S,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        figures["crashed"] += 1
        return figures, [*problems, f"crashed: the accountant: {error}"]
    found = json.loads(done.stdout.splitlines()[-1])
    return figures + Counter(found["figures"]), problems + found["problems"]
