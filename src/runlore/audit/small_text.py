"""Small texts that audit functions read: checkpoints and public keys."""

from __future__ import annotations

from typing import Final

from runlore.storage.held_path import AnyPath, HeldPath

_NBYTES_MAX: Final = 1 << 20


def read_text(file: AnyPath) -> str:
    """The text of a file; of one in a workspace, at most its first MiB.

    Raises OSError, UnicodeDecodeError.
    """
    if isinstance(file, HeldPath):
        return file.read_bytes(_NBYTES_MAX).decode()
    return file.read_text(encoding="utf-8")
