"""The folder of a workspace in PostgreSQL on this machine: what its processes here share.

It holds what must not wait for the server: spools of logged values, the locks that say which
writers live, and the folders in which submitted runs execute. Each user of the machine has an own
one, below RUNLORE_SPOOL_DIR, else in the user's cache. It belongs to one log on one server: a
restored copy of the log gets another one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Final

from runlore.domain.errors import InvalidInput
from runlore.storage.errors import LogReadOnly
from runlore.storage.filesystem import UnsafeFileSystem, check_file_system
from runlore.storage.held_path import HeldPath, hold
from runlore.storage.log_opener import HOST_NAME
from runlore.storage.postgresql.address import Address
from runlore.storage.postgresql.schema import Identity
from runlore.storage.user_cache import find_cache

VARIABLE: Final = "RUNLORE_SPOOL_DIR"

_FOLDER: Final = "hosts"


def host_folder(address: Address, identity: Identity) -> HeldPath:
    """The folder, made if it is missing, and held open.

    Raises InvalidInput for a setting that is no absolute path, UnsafeFileSystem for one on a
    network mount, and LogReadOnly if it cannot be made.
    """
    folder = _base() / _key(address, identity)
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            raise PermissionError(f"it belongs to user {folder.stat().st_uid}")
        check_file_system(folder)
        held = hold(folder)
        try:
            with (held / HOST_NAME).open_file("xb") as file:
                file.write(json.dumps({"uri": address.uri, "schema": address.schema}).encode())
        except FileExistsError:
            pass
    except UnsafeFileSystem:
        raise
    except OSError as error:
        raise LogReadOnly(
            f"the folder {folder} for what this machine logs into {address.uri} cannot be made: "
            f"{error}; set {VARIABLE} to a folder of your own on a local disk"
        ) from error
    return held


def _base() -> Path:
    given = os.environ.get(VARIABLE)
    if given:
        if not os.path.isabs(given):
            raise InvalidInput(f"{VARIABLE} is {given!r:.200}: give the absolute path of a folder")
        return Path(given)
    cache = find_cache()
    if cache.folder is None:
        raise LogReadOnly(
            f"there is no folder for what this machine logs: {cache.problem}; set {VARIABLE} to a "
            "folder of your own on a local disk"
        )
    return cache.folder / _FOLDER


def _key(address: Address, identity: Identity) -> str:
    parts = (identity.server, str(identity.database), address.schema, identity.log_id.hex())
    return hashlib.sha256("\0".join((*parts, str(identity.table))).encode()).hexdigest()[:32]
