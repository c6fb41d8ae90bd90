"""`python -m benchmarks [name ...]`: runs the benchmarks whose names are given, or all."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import (
    bench_append,
    bench_cli,
    bench_import,
    bench_log,
    bench_points,
    bench_queries,
    bench_runs,
)
from benchmarks.harness import Result, machine, markdown, write

ALL = {
    "import": bench_import,
    "append": bench_append,
    "log": bench_log,
    "runs": bench_runs,
    "queries": bench_queries,
    "points": bench_points,
    "cli": bench_cli,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(ALL)}", file=sys.stderr)
        return 2
    print(machine(), flush=True)
    results: list[Result] = []
    for name in names or ALL:
        for result in ALL[name].run():
            results.append(result)
            print(
                f"{result.what:58} {result.ours:10.3g} {result.unit:2}"
                f"  {result.ratio:7.2f} x {result.baseline_what} ({result.baseline:.3g})",
                flush=True,
            )
    write(results, Path("benchmark-output"))
    print(f"\n{markdown(results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
