"""The peers at the same sizes, as far as they get in a given time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.fresh import Interpreter, WorkloadFailed, fresh, kill, start
from benchmarks.peers.environments import PEERS, QUIET, CannotInstall, Peer
from benchmarks.peers.measures import MODULE
from benchmarks.scale.curves import Axis

KEYS: Final = {"log_us": "log", "start_ms": "commit", "search_ms": "search", "read_ms": "read"}
OTHERS: Final = tuple(peer for peer in PEERS if peer.package is not None)


def grown(
    peer: Peer, axis: Axis, folder: Path, sizes: Sequence[int], budget_s: float
) -> Iterator[tuple[str, int, float]]:
    """(quantity, size, figure). Raises WorkloadFailed or CannotInstall; the message says why."""
    interpreter = Interpreter(peer.python, folder, QUIET)
    fresh(MODULE, peer.name, "prepare", folder, interpreter=interpreter, timeout_s=300)
    arguments = (folder, ",".join(map(str, sizes)), budget_s)
    process = start(MODULE, peer.name, f"grow_{axis}", *arguments, interpreter=interpreter)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("{"):
                continue
            said = json.loads(line)
            if "stopped" in said:
                raise WorkloadFailed(said["stopped"])
            for key, figure in said.items():
                if key in KEYS and figure is not None:
                    yield KEYS[key], said["size"], figure
        if process.wait() != 0:
            raise WorkloadFailed(f"it ended with {process.returncode}")
    finally:
        kill(process)


__all__ = ["OTHERS", "CannotInstall", "WorkloadFailed", "grown"]
