"""Run a soak, and show what was counted; exits with 1 if anything was lost, repeated or hung.

python -m tests.chaos.soak --seconds 600 --seed 0
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
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


def main() -> int:
    """The soak's exit code."""
    plan, folder = _plan()
    place = folder or Path(tempfile.mkdtemp(prefix="runlore-soak-"))
    result = soak(plan, place)
    _show(result)
    if result.is_well:
        if folder is None:
            shutil.rmtree(place)
        return 0
    print(f"ledgers, stacks, messages and the workspace are in {place}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
