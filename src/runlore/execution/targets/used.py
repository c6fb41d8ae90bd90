"""The targets that this user has used: attached, or submitted to.

A log names targets, with settings, and a kind of target may be another package's. Whoever reads a
stranger's workspace must not thereby import that package and hand the settings to it. So the use of
a target is noted in the user's cache, by the workspace's folder and the target's settings.
"""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from runlore.domain.compute_target import TargetState
from runlore.storage.held_path import HeldPath
from runlore.storage.user_cache import find_cache

IN_CACHE: Final = "targets"
"""The folder of notes in the user's cache."""
_used: Final[set[str]] = set()
"""What this process has noted: it counts where there is no cache."""


def note_use(workspace: HeldPath, state: TargetState) -> None:
    """Note that this user has attached a target as it is, or has submitted to it."""
    name = _name(workspace, state)
    _used.add(name)
    note = _note(name)
    if note is not None:
        with suppress(OSError):
            note.parent.mkdir(mode=0o700, exist_ok=True)
            note.touch(mode=0o600)


def is_used(workspace: HeldPath, state: TargetState) -> bool:
    """Whether this user has attached a target as it is, or has submitted to it."""
    name = _name(workspace, state)
    if name in _used:
        return True
    note = _note(name)
    return note is not None and note.is_file()


def _name(workspace: HeldPath, state: TargetState) -> str:
    target = [*workspace.folder.identity, state.name, state.type, dict(state.settings)]
    return sha256(json.dumps(target, sort_keys=True, default=repr).encode()).hexdigest()


def _note(name: str) -> Path | None:
    cache = find_cache().folder
    return None if cache is None else cache / IN_CACHE / name
