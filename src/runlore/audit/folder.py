"""The audit files of a workspace, in the folder `audit` beside its log.

checkpoints/<size>.txt   checkpoints, in the form that other tools read
trusted-keys.txt         the public keys whose signatures count, one per line
frontier.json            makes the next checkpoint cheaper; may be deleted at any time

Whoever makes a workspace makes these files. So they say neither which key signs nor where
checkpoints go: that is in the user's own settings (`runlore.storage.user_settings`). Earlier
versions of runlore kept it here, in `settings.json`, which is not obeyed any more.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runlore.audit.small_text import read_text
from runlore.domain.errors import RunloreError, UserError
from runlore.storage.atomic_files import write_synced
from runlore.storage.held_path import AnyPath, HeldPath

if TYPE_CHECKING:
    from runlore.audit.offline import Checkpoint, VerifierKey

_SUFFIX: Final = ".txt"
_DIGITS_MAX: Final = 20
_NBYTES_MAX: Final = 1 << 20


class BadCheckpoint(UserError):
    """A file that should hold a checkpoint does not."""


class AuditFolder:
    """The audit files of a workspace's folder, which is made when the first one is written."""

    def __init__(self, workspace: HeldPath) -> None:
        self.workspace = workspace
        self.path = workspace / "audit"
        self._checkpoints = self.path / "checkpoints"
        self._trusted = self.path / "trusted-keys.txt"
        self._frontier = self.path / "frontier.json"
        self._old_settings = self.path / "settings.json"

    def checkpoints(self) -> list[Checkpoint]:
        """The kept checkpoints, ordered by size. Raises BadCheckpoint."""
        return sorted(self.checkpoints_by_file().values(), key=lambda checkpoint: checkpoint.size)

    def checkpoints_by_file(self) -> dict[str, Checkpoint]:
        """The kept checkpoints by file name, ordered by name. Raises BadCheckpoint."""
        return {name: _read_kept(self._checkpoints / name) for name in self._names()}

    def last(self) -> Checkpoint | None:
        """The newest kept checkpoint, which is the largest: a log only grows. Or None.

        The times of files do not count, because restoring a backup changes them. The others are
        not read. Raises BadCheckpoint.
        """
        stems = [name.removesuffix(_SUFFIX) for name in self._names()]
        sizes = [int(stem) for stem in stems if stem.isdecimal() and len(stem) < _DIGITS_MAX]
        return self.checkpoint(max(sizes)) if sizes else None

    def checkpoint(self, size: int) -> Checkpoint | None:
        """The kept checkpoint of this size, or None. Raises BadCheckpoint."""
        file = self._checkpoints / f"{size}{_SUFFIX}"
        return _read_kept(file) if _may_exist(file) else None

    def keep(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint; it replaces an earlier one of its size."""
        return write_checkpoint(self._checkpoints, checkpoint)

    def trusted(self) -> list[VerifierKey]:
        """The public keys that the workspace names; anyone who can write to it can add one.

        Raises BadKey.
        """
        from runlore.audit.keys import read_trusted

        return read_trusted(self._trusted) if _may_exist(self._trusted) else []

    def trust(self, key: VerifierKey) -> None:
        """Add a key. Earlier ones stay, so that what they signed can still be verified."""
        keys = self.trusted()
        if key not in keys:
            write_synced(self._trusted, "".join(f"{each}\n" for each in [*keys, key]))

    @property
    def asks_for_checkpoints(self) -> bool:
        """Whether an earlier runlore was told here to make a checkpoint whenever a run ends."""
        try:
            found = json.loads(self._old_settings.read_bytes(_NBYTES_MAX))
            return found["at_run_end"] is True
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return False

    def remove_old_settings(self) -> None:
        """Remove the file in which an earlier runlore kept what is in the user's settings now."""
        self._old_settings.unlink(missing_ok=True)

    def frontier(self) -> tuple[int, bytes] | None:
        """Size and nodes of the last frontier, unchecked; None if they cannot be read."""
        try:
            fields = json.loads(self._frontier.read_bytes(_NBYTES_MAX))
            return int(fields["size"]), bytes.fromhex(fields["nodes"])
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None

    def keep_frontier(self, size: int, nodes: bytes) -> None:
        """Write size and nodes for the next checkpoint."""
        write_synced(self._frontier, json.dumps({"size": size, "nodes": nodes.hex()}) + "\n")

    def _names(self) -> list[str]:
        try:
            return sorted(name for name in self._checkpoints.names() if name.endswith(_SUFFIX))
        except FileNotFoundError:
            return []
        except RunloreError:
            raise
        except OSError as error:
            raise BadCheckpoint(
                f"cannot list the checkpoints in {self._checkpoints}: {error.strerror}; permit it"
            ) from error


def _may_exist(file: HeldPath) -> bool:
    try:
        return file.exists()
    except OSError:  # Whoever reads it says why that cannot be.
        return True


def read_checkpoint(file: AnyPath) -> Checkpoint:
    """The checkpoint in a file. Raises BadCheckpoint."""
    # Imported here: each end of a run asks for the settings, and most have no checkpoints.
    from runlore.audit.offline import Checkpoint, NotProved

    try:
        return Checkpoint(read_text(file))
    except (OSError, ValueError, NotProved) as error:
        raise BadCheckpoint(f"cannot read the checkpoint {file}: {error}") from error


def _read_kept(file: HeldPath) -> Checkpoint:
    try:
        return read_checkpoint(file)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"{error}; restore it, or move it out of this folder") from error


def write_checkpoint(folder: AnyPath, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a folder, named after its size; atomic. Returns its path."""
    file = folder / f"{checkpoint.size}{_SUFFIX}"
    write_synced(file, checkpoint.note)
    return file.plain if isinstance(file, HeldPath) else file
