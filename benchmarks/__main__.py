"""`python -m benchmarks [--quick] [name ...]`: runs the benchmarks of these names, or all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks import (
    bench_append,
    bench_artifacts,
    bench_audit,
    bench_capture,
    bench_catch_up,
    bench_cli,
    bench_erasable,
    bench_import,
    bench_kill,
    bench_log,
    bench_names,
    bench_points,
    bench_postgres,
    bench_projections,
    bench_queries,
    bench_replay,
    bench_runs,
    bench_runs_table,
    bench_slow,
    bench_targets,
    bench_throughput,
    bench_time_travel,
)
from benchmarks.fresh import WorkloadFailed
from benchmarks.harness import QUICK, Result, line, machine, markdown, not_run, write

ALL = {
    "import": bench_import,
    "append": bench_append,
    "artifacts": bench_artifacts,
    "audit": bench_audit,
    "log": bench_log,
    "names": bench_names,
    "throughput": bench_throughput,
    "kill": bench_kill,
    "slow": bench_slow,
    "runs": bench_runs,
    "runs-table": bench_runs_table,
    "capture": bench_capture,
    "queries": bench_queries,
    "projections": bench_projections,
    "points": bench_points,
    "time-travel": bench_time_travel,
    "replay": bench_replay,
    "catch-up": bench_catch_up,
    "cli": bench_cli,
    "erasable": bench_erasable,
    "postgres": bench_postgres,
    "targets": bench_targets,
}


def main(arguments: list[str]) -> int:
    names = [argument for argument in arguments if argument != "--quick"]
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no benchmark {unknown[0]!r}; there are: {', '.join(ALL)}", file=sys.stderr)
        return 2
    if "--quick" in arguments:
        os.environ[QUICK] = "1"
    command = " ".join(("python -m benchmarks", *arguments)) if arguments else "make bench"
    print(machine(), flush=True)
    results: list[Result] = []
    failed = False
    for name in names or ALL:
        try:
            for result in ALL[name].run():
                results.append(result)
                print(line(result), flush=True)
        except WorkloadFailed as error:  # The other parts can still be measured.
            failed = True
            results.append(not_run(f"the rest of `{name}`", str(error)))
            print(line(results[-1]), flush=True)
    write(results, Path("benchmark-output"), command)
    print(f"\n{markdown(results, command)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
