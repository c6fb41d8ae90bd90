"""Import time of `runlore` in a fresh interpreter, beside pydantic's and bare Python's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from benchmarks.harness import Result, at_most, python, side_by_side


def run() -> Iterator[Result]:
    """Whole processes: start of the interpreter, import, exit. A name is loaded when first used."""
    yield side_by_side(
        "python -c 'import runlore'",
        lambda: subprocess.run(python("import runlore"), check=True),
        "python -c 'import pydantic.main'",
        lambda: subprocess.run(python("import pydantic.main"), check=True),
        repeat=11,
    )
    yield side_by_side(
        "python -c 'import runlore'",
        lambda: subprocess.run(python("import runlore"), check=True),
        "python -c pass",
        lambda: subprocess.run(python("pass"), check=True),
        repeat=11,
        goals=(at_most(100),),
    )
    yield side_by_side(
        "python -c 'from runlore import *'",
        lambda: subprocess.run(python("from runlore import *"), check=True),
        "python -c pass",
        lambda: subprocess.run(python("pass"), check=True),
        repeat=11,
    )
