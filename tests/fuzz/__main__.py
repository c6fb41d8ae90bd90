"""Fuzz the targets, each in a process of its own: `make fuzz`.

    python -m tests.fuzz [--seconds 300] [--jobs 1] [TARGET ...]

It needs atheris (`pip install -e '.[fuzz]'`). Inputs that the fuzzer learned stay in
`fuzz-output/<target>/corpus`, and those that broke something in `fuzz-output/<target>/`. For each
of these it prints the command that shows it again, and it exits with 1.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz.targets import NAMES

ROOT: Final = Path(__file__).parents[2]
OUTPUT: Final = ROOT / "fuzz-output"
RSS_LIMIT_MB: Final = 2_048
INPUT_TIMEOUT_S: Final = 25
_FOUND: Final = ("crash-*", "timeout-*", "oom-*", "leak-*")
_HARD_LIMIT_S: Final = 300
"""Beyond the time of a target: a process that hangs in C does not see libFuzzer's limit."""


class Outcome(NamedTuple):
    """What fuzzing a target gave. `problem` is None if nothing was found."""

    name: str
    inputs: int
    covered: int
    peak_mb: int
    problem: str | None
    found: Sequence[Path]


def fuzz(name: str, seconds: int) -> Outcome:
    """Fuzz one target."""
    folder = OUTPUT / name
    for part in ("seeds", "corpus"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    before = set(_found_in(folder))
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.fuzz.worker", name]
    command += [str(folder / "seeds"), str(folder / "corpus")]
    command += [f"-max_total_time={seconds}", f"-rss_limit_mb={RSS_LIMIT_MB}"]
    command += [f"-timeout={INPUT_TIMEOUT_S}", "-print_final_stats=1", "-verbosity=1"]
    command += [f"-artifact_prefix={folder}/"]
    log = folder / "log.txt"
    with log.open("wb") as out, tempfile.TemporaryDirectory(dir=_fast_folder()) as temporary:
        environment = {**os.environ, "TMPDIR": temporary}
        worker = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            code = worker.wait(seconds + _HARD_LIMIT_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            code = worker.wait()
    text = log.read_text(errors="replace")
    found = sorted(set(_found_in(folder)) - before)
    problem = None if code == 0 and not found else _problem(text, code)
    return Outcome(
        name,
        _last(text, r"number_of_executed_units: (\d+)") or _last(text, r"#(\d+)"),
        _last(text, r"\bcov: (\d+)"),
        _last(text, r"peak_rss_mb: (\d+)") or _last(text, r"rss: (\d+)Mb"),
        problem,
        found,
    )


def _fast_folder() -> str | None:
    """A folder without a disk to wait for, if there is one; or the usual one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _found_in(folder: Path) -> list[Path]:
    return [path for pattern in _FOUND for path in folder.glob(pattern)]


def _last(text: str, pattern: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def _problem(text: str, code: int) -> str:
    """The last line that says what is wrong."""
    for pattern in (r"(?m)^[\w.]+(?:Error|Exception|Broken)\b.*", "(?m)^.*ERROR: libFuzzer.*"):
        found = re.findall(pattern, text)
        if found:
            return str(found[-1])[:300]
    return f"exit code {code}"


def main() -> int:
    """Fuzz what is asked for, print what was found; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    seconds = int(os.environ.get("FUZZ_SECONDS") or 300)
    parser.add_argument("--seconds", type=int, default=seconds, help="of each target")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    given = parser.parse_args()
    unknown = sorted(set(given.targets) - set(NAMES))
    if unknown:
        parser.error(f"no target {unknown[0]!r}; there are {', '.join(NAMES)}")
    print(f"{'target':10} {'inputs':>10} {'covered':>8} {'MB':>6}", flush=True)
    outcomes = []
    with ThreadPoolExecutor(given.jobs) as pool:
        for outcome in pool.map(lambda name: fuzz(name, given.seconds), given.targets or NAMES):
            outcomes.append(outcome)
            _tell(outcome)
    return int(any(outcome.problem for outcome in outcomes))


def _tell(outcome: Outcome) -> None:
    name, inputs, covered, peak_mb, problem, found = outcome
    print(f"{name:10} {inputs:>10,} {covered:>8,} {peak_mb:>6,}", flush=True)
    if problem is not None:
        print(f"    {problem}")
        for path in found:
            print(f"    python -m tests.fuzz.replay {name} {path.relative_to(ROOT)}")
        if not found:
            print(f"    {OUTPUT.relative_to(ROOT) / name / 'log.txt'}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
