"""What a workspace keeps of its audit, in the folder `audit` beside its log.

checkpoints/<size>.txt   checkpoints, as other tools read them
trusted-keys.txt         the public keys whose signatures count, one per line
settings.json            the key and the folder for checkpoints at a run's end
frontier.json            makes the next checkpoint faster; may be deleted at any time
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from runlore.audit.keys import read_trusted
from runlore.audit.offline import Checkpoint, NotProved, VerifierKey
from runlore.domain.errors import UserError
from runlore.storage.atomic_files import write_synced


class BadCheckpoint(UserError):
    """A file does not hold the checkpoint that it should."""


@dataclass(frozen=True)
class Settings:
    """The defaults for making checkpoints."""

    key: str | None = None
    export: str | None = None
    at_run_end: bool = False


class AuditFolder:
    """The audit files of a workspace's folder, which is created when something is kept."""

    def __init__(self, workspace: Path) -> None:
        self.path = workspace / "audit"
        self._checkpoints = self.path / "checkpoints"
        self._trusted = self.path / "trusted-keys.txt"
        self._settings = self.path / "settings.json"
        self._frontier = self.path / "frontier.json"

    def checkpoints(self) -> list[Checkpoint]:
        """The kept checkpoints, the smallest first. Raises BadCheckpoint."""
        return sorted(self.checkpoints_by_file().values(), key=lambda checkpoint: checkpoint.size)

    def checkpoints_by_file(self) -> dict[str, Checkpoint]:
        """The kept checkpoints by file name, sorted by it. Raises BadCheckpoint."""
        return {file.name: _read_kept(file) for file in sorted(self._checkpoints.glob("*.txt"))}

    def last(self) -> Checkpoint | None:
        """The largest kept checkpoint, or None; the others are not read."""
        sizes = [
            int(file.stem) for file in self._checkpoints.glob("*.txt") if file.stem.isdecimal()
        ]
        return self.checkpoint(max(sizes)) if sizes else None

    def checkpoint(self, size: int) -> Checkpoint | None:
        """The kept checkpoint of this size, or None."""
        file = self._checkpoints / f"{size}.txt"
        return _read_kept(file) if file.exists() else None

    def keep(self, checkpoint: Checkpoint) -> Path:
        """Keep a checkpoint, in place of an earlier one of its size."""
        return write_checkpoint(self._checkpoints, checkpoint)

    def trusted(self) -> list[VerifierKey]:
        """The public keys that count as trusted, as anyone who may write to the folder can set."""
        if not self._trusted.exists():
            return []
        return read_trusted(self._trusted)

    def trust(self, key: VerifierKey) -> None:
        """Add a key; earlier keys stay, so that their signatures can be verified."""
        keys = self.trusted()
        if key not in keys:
            write_synced(self._trusted, "".join(f"{trusted}\n" for trusted in [*keys, key]))

    def settings(self) -> Settings:
        """The settings, or the defaults if none were set. Raises UserError."""
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
        """Store the settings."""
        write_synced(self._settings, json.dumps(asdict(settings), indent=2) + "\n")

    def frontier(self) -> tuple[int, bytes] | None:
        """The size and nodes of the last frontier, unchecked; None if there is none."""
        try:
            fields = json.loads(self._frontier.read_text())
            return int(fields["size"]), bytes.fromhex(fields["nodes"])
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None

    def keep_frontier(self, size: int, nodes: bytes) -> None:
        """Store size and nodes for the next checkpoint."""
        write_synced(self._frontier, json.dumps({"size": size, "nodes": nodes.hex()}) + "\n")


def _is_path(value: object) -> bool:
    return value is None or (isinstance(value, str) and "\0" not in value)


def read_checkpoint(file: Path) -> Checkpoint:
    """The checkpoint in a file. Raises BadCheckpoint."""
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
    """Write a checkpoint into a folder, named after its size; whole or not at all."""
    return write_synced(folder / f"{checkpoint.size}.txt", checkpoint.note)


def names_of(keys: Sequence[VerifierKey]) -> list[str]:
    """Keys for people to read: name and hash."""
    return [f"{key.name} ({key.key_id.hex()})" for key in keys]
