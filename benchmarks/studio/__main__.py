"""`python -m benchmarks.studio [--quick] [--no-peers]`: the waits of a person at the Studio.

A real headless browser, the real server, medians. `--quick` tries all of it with small workspaces.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from benchmarks.harness import QUICK, Result, scratch, shown_as_it_runs, sized
from benchmarks.studio import charts, peers, serving, tables
from benchmarks.studio.browser import browsing

_PEERS_BUDGET_S = 240.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studio", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small workspaces")
    parser.add_argument("--no-peers", action="store_true", help="without MLflow and trackio")
    options = parser.parse_args()
    if options.quick:
        os.environ[QUICK] = "1"
    shown_as_it_runs(_results(with_peers=not options.no_peers))


def _results(*, with_peers: bool) -> Iterator[Result]:
    repeat = sized(7, 2)
    with scratch() as folder, browsing() as browser:
        few, many = sized(10_000), sized(100_000)
        yield from tables.runs_page(
            browser, folder / "few", few, repeat=repeat, first_s=0.4, filter_ms=150
        )
        yield from serving.start(browser, folder / "few", repeat)
        yield from tables.runs_page(
            browser, folder / "many", many, repeat=repeat, first_s=0.8, filter_ms=300
        )
        yield from charts.run_page(browser, folder / "run", repeat)
        yield from charts.one_chart(browser, folder / "curves", repeat)
        yield from serving.live(browser, folder / "live", repeat)
        yield from serving.tabs(folder / "busy")
        if with_peers:
            yield from peers.pages(browser, folder, few, _PEERS_BUDGET_S, repeat)


if __name__ == "__main__":
    main()
