"""The demo's submitted scripts on several kinds of compute target, which do the same everywhere.

    python examples/demo_targets.py local pool
    make demo-slurm
    make demo-ray

A cluster's hosts must be this machine here, as the workspace is in a folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import demo

from runlore import ComputeTarget, Workspace

KINDS: dict[str, dict[str, Any]] = {
    "local": {},
    "pool": {"slots": 2},
    "slurm": {"this_machine": True},
    "ray": {
        "this_machine": True,
        "address": os.environ.get("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:8265"),
    },
}


def main(kinds: Sequence[str]) -> None:
    demo.FOLDER = demo.FOLDER / "targets"
    demo.FOLDER.mkdir(parents=True, exist_ok=True)
    with Workspace.create("demo", path=demo.FOLDER / "workspace", exist_ok=True) as ws:
        for kind in kinds:
            if kind != "local":
                ComputeTarget.attach(ws, kind, type=kind, **KINDS[kind])
            demo.submit_scripts(ws, kind)


if __name__ == "__main__":
    main(sys.argv[1:] or ["local", "pool"])
