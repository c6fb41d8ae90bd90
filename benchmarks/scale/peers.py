"""The peers at the same sizes, as far as they get in a given time."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.fresh import Interpreter, WorkloadFailed, fresh, kill, start
from benchmarks.peers.environments import PEERS, QUIET, CannotInstall, Peer
from benchmarks.peers.measures import MODULE
from benchmarks.scale.curves import Axis, Measured

KEYS: Final = {
    "disk_mb": "disk",
    "log_us": "log",
    "read_ms": "read",
    "search_ms": "search",
    "start_ms": "commit",
}
OTHERS: Final = tuple(peer for peer in PEERS if peer.package is not None)


def chosen(names: Sequence[str]) -> Sequence[Peer]:
    """The peers of these names, without names all. Raises SystemExit for one that is not there."""
    known = {peer.name: peer for peer in OTHERS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no peer {unknown[0]!r}; there are: {', '.join(known)}")
    return [known[name] for name in names] or OTHERS


def grown(
    peer: Peer, axis: Axis, folder: Path, sizes: Sequence[int], budget_s: float
) -> Iterator[Measured]:
    """What it measures at each size. Raises WorkloadFailed or CannotInstall, which say why."""
    interpreter = Interpreter(peer.python, folder, QUIET)
    fresh(MODULE, peer.name, "prepare", folder, interpreter=interpreter, timeout_s=300)
    arguments = (folder, ",".join(map(str, sizes)), budget_s)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = start(
            MODULE, peer.name, f"grow_{axis}", *arguments, interpreter=interpreter, errors=errors
        )
        try:
            yield from said(process)
            if process.wait() != 0:
                errors.seek(0)
                last = (errors.read().strip() or "it said nothing").splitlines()[-1]
                raise WorkloadFailed(f"it ended with {process.returncode}: {last[:300]}")
        finally:
            kill(process)


def said(process: subprocess.Popen[str]) -> Iterator[Measured]:
    """The figures that it prints, as they come. Raises WorkloadFailed if it stops for time."""
    assert process.stdout is not None
    for line in process.stdout:
        facts = json.loads(line) if line.startswith("{") else {}
        if "stopped" in facts:
            raise WorkloadFailed(facts["stopped"])
        for key, figure in facts.items():
            if key in KEYS and figure is not None:
                yield Measured(KEYS[key], facts["size"], figure)


__all__ = ["OTHERS", "CannotInstall", "WorkloadFailed", "grown"]
