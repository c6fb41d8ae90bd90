"""Try a sample of mutants: `make mutants`, or `python -m tests.mutants [--n 120] [--seed 1]`.

Each is one small change of the code. The tests that reach the changed lines run on a copy of the
tree; if none fails, the mutant has survived: a test is missing, or the line is. Mutants that change
nothing that anybody could notice are listed in equivalent.txt, each with the reason. Ends with 1 if
fewer than 97 % of the decided mutants are killed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.mutants.judge import Judge, Verdict
from tests.mutants.operators import Mutant, mutants_of
from tests.mutants.tests_of import ReachedMap, tests_of_the_code
from tests.mutants.trees import AREAS, ROOT, copied_tree, modules_in

_GOAL: Final = 0.97
_BUDGET_S: Final = 60.0
_EQUIVALENT: Final = Path(__file__).with_name("equivalent.txt")
_KEPT: Final = ROOT / "build" / "mutants"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--n", type=int, default=120, help="how many mutants; 120 by default")
    parser.add_argument("--seed", type=int, default=1, help="which ones; 1 by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--only", default="", help="only mutants whose name has this text")
    parser.add_argument("--show", action="store_true", help="show what each run of tests printed")
    options = parser.parse_args(arguments)
    sample = list(_sample(options.n, options.seed, options.only))
    tests = tests_of_the_code(_KEPT, options.jobs)
    verdicts = _tried(sample, tests, options.jobs, show=options.show)
    return _told(sample, verdicts)


def equivalents() -> dict[str, str]:
    """The reasons of mutants that nobody could notice, by their names."""
    reasons: dict[str, str] = {}
    name = ""
    for line in _EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line.startswith((" ", "\t")):
            reasons[name] = f"{reasons[name]} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            name = line
            reasons[name] = ""
    return reasons


def _sample(n: int, seed: int, only: str) -> Iterator[Mutant]:
    """As many of each area, in no order. While code changes elsewhere, it stays the same."""
    known = equivalents()
    for number, area in enumerate(AREAS):
        found = [m for path in modules_in(ROOT, area) for m in mutants_of(ROOT, path)]
        found = [m for m in found if only in m.name and m.name not in known]
        found.sort(key=lambda mutant: sha256(f"{seed} {mutant.name}".encode()).digest())
        yield from found[: n // len(AREAS) + (number < n % len(AREAS))]


def _tried(sample: Sequence[Mutant], tests: ReachedMap, jobs: int, *, show: bool) -> list[Verdict]:
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        judges: SimpleQueue[Judge] = SimpleQueue()
        for number in range(jobs):
            judges.put(Judge(copied_tree(Path(folder) / str(number))))

        def one(mutant: Mutant) -> Verdict:
            parts = tests.tests_for(mutant, _BUDGET_S)
            judge = judges.get()
            try:
                verdict, output = judge.verdict(mutant, parts)
            finally:
                judges.put(judge)
            note = "" if parts else " (no test reaches it)"
            print(f"{verdict:10}{note} {mutant.line:4} {mutant.name}", flush=True)
            if show:
                print(output)
            return verdict

        return list(pool.map(one, sample))


def _told(sample: Sequence[Mutant], verdicts: Sequence[Verdict]) -> int:
    counts = Counter(verdicts)
    killed = counts[Verdict.KILLED] + counts[Verdict.TIMED_OUT]
    decided = killed + counts[Verdict.SURVIVED]
    rate = killed / decided if decided else 0.0
    for mutant, verdict in zip(sample, verdicts, strict=True):
        if verdict is Verdict.SURVIVED:
            print(f"\nsurvived, in line {mutant.line}:\n{mutant.name}")
    print(
        f"\n{len(sample)} mutants: {killed} killed ({counts[Verdict.TIMED_OUT]} timed out), "
        f"{counts[Verdict.SURVIVED]} survived, {counts[Verdict.UNDECIDED]} undecided: "
        f"{rate:.1%} of the decided (goal: {_GOAL:.0%})"
    )
    return 0 if rate >= _GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
