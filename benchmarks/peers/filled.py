"""Many runs in a peer's store, for its own pages: `... PEER FOLDER RUNS BUDGET_S`.

The last line of the output is one JSON object with the number of runs that the budget allowed.
"""

from __future__ import annotations

import sys
import time

from benchmarks.fresh import say

METRICS = 20


def main(peer: str, folder: str, runs: str, budget_s: str) -> None:
    from benchmarks.peers.operations import opened

    store = opened(peer, folder)
    give_up_at = time.monotonic() + float(budget_s)
    made = 0
    while made < int(runs) and time.monotonic() < give_up_at:
        run = store.start(
            {f"tag_{place}": str((made * 7 + place) % 50) for place in range(METRICS)}
        )
        run.log_dict({f"metric_{place}": 1 / (made + place + 1) for place in range(METRICS)}, 0)
        run.end()
        made += 1
    store.close()
    say(made=made)


if __name__ == "__main__":
    main(*sys.argv[1:])
