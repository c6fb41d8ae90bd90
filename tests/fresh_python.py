"""Real Python processes for the tests: one by itself, or several that start at one signal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

LIMIT_S = 60
KEPT = (
    *("RUNLORE_CACHE_DIR", "RUNLORE_CAPTURE"),
    *("RUNLORE_CEILING_DIRECTORIES", "RUNLORE_QUIET"),
)


def run_python(code: str, *, cwd: Path, check: bool = True, **variables: str) -> str:
    """What a fresh interpreter prints that runs the code, warnings being errors."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=cwd,
        env=_environment(variables),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if check:
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr == ""
    return ran.stdout


def race(code: str, count: int, *, cwd: Path) -> list[str]:
    """What each of so many processes prints; `go()` in the code waits until all have come there."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _GO + code],
            cwd=cwd,
            env=_environment({"RACER": str(number)}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n", racer.communicate(timeout=LIMIT_S)[1]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    printed = []
    for racer in racers:
        output, errors = racer.communicate(timeout=LIMIT_S)
        assert racer.returncode == 0, errors
        printed.append(output)
    return printed


WITHOUT_ROOTS_POWERS = """
import ctypes

def obey_file_modes():
    # Root may read and write whatever the modes say, by two capabilities that it can give up.
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: low words, high words
    assert libc.capget(header, held) == 0
    for word in (0, 1):
        held[word] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, held) == 0
"""

_GO = """
import os, sys
NUMBER = int(os.environ["RACER"])
def go():
    print("ready", flush=True)
    sys.stdin.readline()
"""


def _environment(variables: dict[str, str]) -> dict[str, str]:
    return {**without_settings(os.environ), **variables}


def without_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables but those that runlore reads; the cache and the ceilings stay the tests'."""
    mine = ("RUNLORE_", "AZUREML_")
    return {k: v for k, v in variables.items() if not k.startswith(mine) or k in KEPT}
