"""The environment of a queued run, from the process that submits it to the one that starts it.

It may hold secrets, so it must not touch a disk: it waits in a file in memory (XDG_RUNTIME_DIR or
/dev/shm) that only its owner can read, and the file is removed when the run starts. If there is no
such place, or the machine was restarted, the run gets the environment of the process that starts
it, and fails with a clear error if a secret is missing there.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from runlore.storage.run_folder import RunFolder


def keep(folder: RunFolder, environment: Mapping[str, str]) -> None:
    """Keep the environment until it is taken. Does nothing if there is no place for it."""
    path = _path(folder)
    if path is None:
        return
    drop(folder)  # One left by a killed submitter of the same id.
    text = json.dumps(dict(environment))  # ASCII: surrogates of odd bytes are escaped.
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode())
    except OSError:  # Containers often have little room there, and a part is worse than nothing.
        drop(folder)


def take(folder: RunFolder) -> dict[str, str] | None:
    """Remove and return the environment; None if none was kept."""
    path = _path(folder)
    if path is None:
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        ours = os.fstat(fd).st_uid == os.getuid()  # Anyone may write to /dev/shm.
        content = file.read()
    drop(folder)
    try:
        environment: dict[str, str] | None = json.loads(content) if ours else None
    except ValueError:  # Its writer was killed halfway.
        return None
    return environment


def drop(folder: RunFolder) -> None:
    """Remove the environment of a run that will not start."""
    path = _path(folder)
    if path is not None:
        with suppress(OSError):
            path.unlink()


def _path(folder: RunFolder) -> Path | None:
    for place in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):
        if place and Path(place).is_dir() and _is_memory(place):
            name = sha256(str(folder.root.resolve()).encode()).hexdigest()[:32]
            return Path(place) / f"runlore-{os.getuid()}-{name}"
    return None


def _is_memory(place: str) -> bool:
    try:
        mode = os.stat(place).st_mode
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            kinds = {fields[1]: fields[2] for line in mounts if len(fields := line.split()) > 2}
    except OSError:
        return False
    above = [place, *map(str, Path(place).parents)]
    kind = next((kinds[folder] for folder in above if folder in kinds), "")
    return stat.S_ISDIR(mode) and kind in ("tmpfs", "ramfs")
