"""Processes of commit 96927dc, in an environment of their own beside this one.

The wheel beside this file was built of that commit (`pip wheel --no-deps`), stored uncompressed in
its zip and packed with xz, which takes half of the space. Its dependencies are the ones that are
installed here.
"""

from __future__ import annotations

import json
import lzma
import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

LIMIT_S: Final = 60.0
"""How long a test waits for an answer before it fails: far longer than needed."""

_WHEEL: Final = "runlore-0.1.0-py3-none-any.whl"
_SESSION: Final = """
import json, sys
names = {}
for line in sys.stdin:
    names["said"] = None
    try:
        exec(json.loads(line), names)
        answer = names["said"]
    except Exception as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer), flush=True)
"""


def make_environment(folder: Path) -> Path:
    """Installs the old runlore into a new environment; returns its interpreter."""
    wheel = folder / _WHEEL
    wheel.write_bytes(lzma.decompress((Path(__file__).parent / f"{_WHEEL}.xz").read_bytes()))
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    [packages] = environment.glob("lib/python*/site-packages")
    here = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "dependencies.pth").write_text("\n".join(here))
    return python


class OldRunlore:
    """A process that imports the old runlore and executes what it is told, line by line."""

    def __init__(self, python: Path, cwd: Path) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RUNLORE_", "AZUREML_", "PYTHON"))
        }
        self._process = subprocess.Popen(
            [python, "-c", _SESSION],
            cwd=cwd,
            env=inherited,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def does(self, code: str) -> Any:
        """What the code leaves in the variable `said`; of an exception, its name and message."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        answered, _, _ = select.select([self._process.stdout], [], [], LIMIT_S)
        assert answered, f"the old process did not answer within {LIMIT_S:g} s: {code}"
        return json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        """Ends it as `kill -9` does."""
        self._process.kill()
        self._process.communicate(timeout=LIMIT_S)

    def end(self) -> tuple[int, str]:
        """Lets it end by itself; returns its exit code and what it complained of."""
        _, complaints = self._process.communicate(timeout=LIMIT_S)
        return self._process.returncode, complaints

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self.kill()
