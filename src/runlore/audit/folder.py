"""The audit files of a workspace, in the folder `audit` beside its log.

checkpoints/<size>.txt   checkpoints, in the form that other tools read
trusted-keys.txt         the public keys whose signatures count, one per line
settings.json            the key and the folder of checkpoints at a run's end
frontier.json            makes the next checkpoint cheaper; may be deleted at any time
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runlore.domain.errors import UserError
from runlore.storage.atomic_files import write_synced

if TYPE_CHECKING:
    from runlore.audit.offline import Checkpoint, VerifierKey


class BadCheckpoint(UserError):
    """A file that should hold a checkpoint does not."""


@dataclass(frozen=True)
class Settings:
    """The defaults of new checkpoints, and whether each run's end makes one."""

    key: str | None = None
    export: str | None = None
    at_run_end: bool = False


class AuditFolder:
    """The audit files of a workspace's folder, which is made when the first one is written."""

    def __init__(self, workspace: Path) -> None:
        self.path = workspace / "audit"
        self._checkpoints = self.path / "checkpoints"
        self._trusted = self.path / "trusted-keys.txt"
        self._settings = self.path / "settings.json"
        self._frontier = self.path / "frontier.json"

    def checkpoints(self) -> list[Checkpoint]:
        """The kept checkpoints, ordered by size. Raises BadCheckpoint."""
        return sorted(self.checkpoints_by_file().values(), key=lambda checkpoint: checkpoint.size)

    def checkpoints_by_file(self) -> dict[str, Checkpoint]:
        """The kept checkpoints by file name, ordered by name. Raises BadCheckpoint."""
        return {file.name: _read_kept(file) for file in sorted(self._checkpoints.glob("*.txt"))}

    def last(self) -> Checkpoint | None:
        """The newest kept checkpoint, which is the largest: a log only grows. Or None.

        The times of files do not count, because restoring a backup changes them. The others are
        not read. Raises BadCheckpoint.
        """
        sizes = [
            int(file.stem) for file in self._checkpoints.glob("*.txt") if file.stem.isdecimal()
        ]
        return self.checkpoint(max(sizes)) if sizes else None

    def checkpoint(self, size: int) -> Checkpoint | None:
        """The kept checkpoint of this size, or None. Raises BadCheckpoint."""
        file = self._checkpoints / f"{size}.txt"
        return _read_kept(file) if file.exists() else None

    def keep(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint; it replaces an earlier one of its size."""
        return write_checkpoint(self._checkpoints, checkpoint)

    def trusted(self) -> list[VerifierKey]:
        """The public keys that the workspace trusts; anyone who can write to it can add one."""
        from runlore.audit.keys import read_trusted

        return read_trusted(self._trusted) if self._trusted.exists() else []

    def trust(self, key: VerifierKey) -> None:
        """Add a key. Earlier ones stay, so that what they signed can still be verified."""
        keys = self.trusted()
        if key not in keys:
            write_synced(self._trusted, "".join(f"{each}\n" for each in [*keys, key]))

    def settings(self) -> Settings:
        """The settings; the defaults if none were written. Raises UserError."""
        if not self._settings.exists():
            return Settings()
        try:
            settings = Settings(**json.loads(self._settings.read_text()))
            if not (_is_path(settings.key) and _is_path(settings.export)):
                raise ValueError("key and export are paths, or null")
            return settings
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(
                f"cannot read {self._settings}: {error}; set it again with "
                "`runlore audit checkpoint auto`"
            ) from error

    def set(self, settings: Settings) -> None:
        """Write the settings."""
        write_synced(self._settings, json.dumps(asdict(settings), indent=2) + "\n")

    def frontier(self) -> tuple[int, bytes] | None:
        """Size and nodes of the last frontier, unchecked; None if they cannot be read."""
        try:
            fields = json.loads(self._frontier.read_text())
            return int(fields["size"]), bytes.fromhex(fields["nodes"])
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None

    def keep_frontier(self, size: int, nodes: bytes) -> None:
        """Write size and nodes for the next checkpoint."""
        write_synced(self._frontier, json.dumps({"size": size, "nodes": nodes.hex()}) + "\n")


def _is_path(value: object) -> bool:
    return value is None or (isinstance(value, str) and "\0" not in value)


def read_checkpoint(file: Path) -> Checkpoint:
    """The checkpoint in a file. Raises BadCheckpoint."""
    # Imported here: each end of a run asks for the settings, and most have no checkpoints.
    from runlore.audit.offline import Checkpoint, NotProved

    try:
        return Checkpoint(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, NotProved) as error:
        raise BadCheckpoint(f"cannot read the checkpoint {file}: {error}") from error


def _read_kept(file: Path) -> Checkpoint:
    try:
        return read_checkpoint(file)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{error}; restore it, or move it out of this folder") from error


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a folder, named after its size; atomic."""
    file = folder / f"{checkpoint.size}.txt"
    write_synced(file, checkpoint.note)
    return file
