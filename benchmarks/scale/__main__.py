"""`python -m benchmarks.scale [--max-runs N] [--max-points N] [--peers [PEER ...]] [--budget-s S]
[--quick]`.

Writes `benchmark-output/scale-runs.*` and `scale-points.*`: PNG, JSON, Markdown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.harness import machine, scratch, shown
from benchmarks.peers.environments import Peer
from benchmarks.scale import growth, peers
from benchmarks.scale.curves import Axis, Curve, Measured, Quantity, decades
from benchmarks.scale.report import write

FIRST_RUNS = 1_000
FIRST_POINTS = 100_000


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--max-runs", type=int, default=1_000_000)
    parser.add_argument("--max-points", type=int, default=100_000_000)
    parser.add_argument("--peers", nargs="*", metavar="PEER", help="beside these, by default all")
    parser.add_argument("--budget-s", type=float, default=120, help="for each peer and axis")
    parser.add_argument("--output", type=Path, default=Path("benchmark-output"))
    parser.add_argument("--quick", action="store_true", help="repeat nothing")
    asked = parser.parse_args(arguments)
    command = (
        " ".join(("python -m benchmarks.scale", *arguments)) if arguments else "make bench-scale"
    )
    effort = growth.QUICK if asked.quick else growth.FULL
    others = [] if asked.peers is None else peers.chosen(asked.peers)
    print(machine(), flush=True)
    for axis, sizes in (
        ("runs", decades(min(FIRST_RUNS, asked.max_runs // 10), asked.max_runs)),
        ("points", decades(min(FIRST_POINTS, asked.max_points // 10), asked.max_points)),
    ):
        write(axis, measured(axis, sizes, effort, others, asked.budget_s), command, asked.output)  # type: ignore[arg-type]
    return 0


def measured(
    axis: Axis,
    sizes: Sequence[int],
    effort: growth.Effort,
    others: Sequence[Peer],
    budget_s: float,
) -> list[Curve]:
    """runlore's curves and those of the peers, which have so many seconds each."""
    quantities = growth.RUNS if axis == "runs" else growth.POINTS
    grow = growth.runs if axis == "runs" else growth.points
    print(f"\n{axis}: {', '.join(f'{size:,}' for size in sizes)}", flush=True)
    with scratch() as folder:
        curves = collected("runlore", quantities, lambda: grow(folder / "ws", sizes, effort))
    for curve in curves:
        print(f"{curve.quantity.what:50} {curve.verdict}", flush=True)
    for peer in others:
        with scratch() as folder:
            grow_peer = partial(peers.grown, peer, axis, folder, sizes, budget_s)
            curves += collected(peer.name, quantities, grow_peer)
    order = {quantity.key: place for place, quantity in enumerate(quantities)}
    return sorted(curves, key=lambda curve: order[curve.quantity.key])


def collected(
    tracker: str,
    quantities: Sequence[Quantity],
    grow: Callable[[], Iterable[Measured]],
) -> list[Curve]:
    """The curves of one tracker; they end where it does."""
    curves = {quantity.key: Curve(quantity, tracker) for quantity in quantities}
    note = ""
    try:
        for found in grow():
            curve = curves[found.key]
            curve.add(found)
            what, unit = curve.quantity.what, curve.quantity.unit
            print(
                f"{tracker:14} {found.size:>12,} {what:50} {shown(found.figure)} {unit}", flush=True
            )
    except (peers.WorkloadFailed, peers.CannotInstall) as error:
        note = str(error)
        print(f"{tracker:14} ended: {note}", flush=True)
        if tracker == "runlore":
            raise
    for curve in curves.values():
        curve.note = note
    return [curve for curve in curves.values() if curve.figures]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
