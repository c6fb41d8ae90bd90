"""The interpreters of the peers: an environment each, made when it is first needed."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.fresh import ROOT

FOLDER: Final = ROOT / ".bench-venvs"
CONSTRAINTS: Final = Path(__file__).with_name("constraints.txt")
INSTALL_S: Final = 1_200

QUIET: Final[Mapping[str, str]] = {
    "DO_NOT_TRACK": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # Without it MLflow refuses its own file store.
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""Variables by which the peers speak to nobody."""


class CannotInstall(Exception):
    """A peer cannot be installed here; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A tracker, and what it promises of a value whose logging call has returned."""

    name: str
    package: str | None
    """What pip installs; None for what runs in our own environment."""
    module: str
    guarantees: str

    @property
    def python(self) -> str:
        """Its interpreter, with the package installed. Raises CannotInstall."""
        return sys.executable if self.package is None else python_with(self.package)

    @property
    def pin(self) -> str:
        """The package and its version, as installed."""
        if self.package is None:
            return self.name
        return pin_of(self.package)


def pin_of(package: str) -> str:
    """`name==version`."""
    [pin] = [pin for pin in CONSTRAINTS.read_text().split() if pin.startswith(f"{package}==")]
    return pin


def python_with(package: str) -> str:
    """The interpreter of the package's environment; made if it is not there or of another version.

    Raises CannotInstall.
    """
    folder = FOLDER / package
    python = folder / "bin" / "python"
    ready, pin = folder / "installed.txt", pin_of(package)
    if ready.exists() and ready.read_text() == pin:
        return str(python)
    print(f"installing {pin} into {folder.relative_to(ROOT)}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        done = subprocess.run(
            [*pip, pin],
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
        )
    except subprocess.TimeoutExpired:
        raise CannotInstall(f"pip took longer than {INSTALL_S} s") from None
    if done.returncode != 0:
        raise CannotInstall((done.stderr.strip() or "pip failed").splitlines()[-1])
    ready.write_text(pin)
    return str(python)


PEERS: Final = (
    Peer(
        "runlore",
        None,
        "runlore",
        "What its README says under Durability; statuses and tags are synced when the call "
        "returns, values within seconds and at the run's end.",
    ),
    Peer(
        "list",
        None,
        "array",
        "The limit: a Python list, written to a file and synced when the run ends. Guarantees "
        "nothing before that; has no search, no positions, no history.",
    ),
    Peer(
        "write",
        None,
        "array",
        "The limit of what survives kill -9 by itself: one write() a value, synced when the run "
        "ends. Has no search, no positions, no history.",
    ),
    Peer(
        "mlflow-sqlite",
        "mlflow",
        "mlflow",
        "Every value is a committed and synced SQLite transaction when the call returns, which is "
        "why it takes milliseconds: 1,000 a second cannot be logged.",
    ),
    Peer(
        "mlflow-file",
        "mlflow",
        "mlflow",
        "Every value is a line appended to a text file when the call returns; it is never synced, "
        "so a power cut may take it. MLflow 3 calls this store frozen and asks for a variable.",
    ),
    Peer(
        "aim",
        "aim",
        "aim",
        "Values are in RocksDB's write-ahead log when the call returns, so a kill loses none; they "
        "are synced when RocksDB decides so. A run can be searched "
        "once it is indexed, which Aim's server does in the background; here it is done before "
        "reading, apart from the figures. No child runs.",
    ),
    Peer(
        "trackio",
        "trackio",
        "trackio",
        "Values wait in a queue in memory for its sender thread, half a second and longer if they "
        "come fast; a kill loses what waits. A run without values leaves nothing. `finish()` "
        "waits 30 s for the queue. No search by configuration: its API lists runs, each is looked "
        "at. No child runs.",
    ),
    Peer(
        "tensorboardX",
        "tensorboardX",
        "tensorboardX",
        "Values wait in a queue and in the file's buffer until that is full, 120 s have passed or "
        "the writer is closed; a kill loses them. float32 only: values come back rounded. No "
        "search, no child runs; start and end of a run are not recorded.",
    ),
)
