"""Run a soak, and show what was counted; exits with 1 if anything was lost, repeated or hung.

python -m tests.chaos.soak --seconds 600 --seed 0
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.chaos.soak.conductor import Plan
from tests.chaos.soak.soak import Result, soak


def _plan() -> tuple[Plan, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    for field in dataclasses.fields(Plan):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=type(field.default), default=field.default)
    parser.add_argument("--folder", type=Path, help="an empty folder to work in, which is kept")
    options = vars(parser.parse_args())
    folder = options.pop("folder")
    return Plan(**options), folder


def _show(result: Result) -> None:
    width = max(map(len, result.figures))
    for what, number in result.figures.items():
        print(f"{what:{width}}  {number:>12,}")
    for problem in result.problems:
        print(problem)


def _gain_the_right_to_mount() -> None:
    """Go on in a namespace of this user's own, if only root may mount outside of it."""
    unshare = shutil.which("unshare")
    if os.geteuid() == 0 or unshare is None:
        return
    own = [unshare, "--map-root-user", "--mount"]
    if subprocess.run([*own, "true"], capture_output=True).returncode == 0:
        os.execv(unshare, [*own, sys.executable, *sys.orig_argv[1:]])


def main() -> int:
    """The soak's exit code."""
    plan, folder = _plan()
    _gain_the_right_to_mount()
    place = folder or Path(tempfile.mkdtemp(prefix="runlore-soak-"))
    result = soak(plan, place)
    _show(result)
    if not result.figures["full disks"]:
        print("the disk was never full: the soak was too short, or this user may not mount a tmpfs")
    if result.is_well:
        if folder is None:
            shutil.rmtree(place)
        return 0
    print(f"ledgers, stacks, messages and the workspace are in {place}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
