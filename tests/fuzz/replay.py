"""Examine single inputs again, without the fuzzer: `python -m tests.fuzz.replay TARGET FILE...`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.fuzz.surroundings import alone
from tests.fuzz.target import examine
from tests.fuzz.targets import NAMES, target_named


def main() -> None:
    """Raise what an input raises; otherwise say that all holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("files", nargs="*", type=Path, help="files of inputs")
    parser.add_argument("--hex", action="append", default=[], help="an input in hexadecimal")
    given = parser.parse_args()
    inputs = [*[path.read_bytes() for path in given.files], *map(bytes.fromhex, given.hex)]
    with alone():
        target = target_named(given.target)
        for data in inputs:
            examine(target, data)
    print(f"{given.target}: {len(inputs)} inputs, and all of them hold")


if __name__ == "__main__":
    main()
