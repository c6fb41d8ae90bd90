"""Whose a folder or file is: what a search finds counts only if it is this user's, or trusted.

Whoever can write to a folder above the working folder, such as /tmp, could otherwise plant there
what this user's commands then open. As git's `safe.directory` (CVE-2022-24765): the owner decides,
root is believed, and root that works by `sudo` also believes the user who called it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from runlore.domain.errors import InvalidInput, UserError
from runlore.storage.object_places import is_object_uri, object_place
from runlore.storage.user_settings import change_settings, user_settings


def foreign(paths: Iterable[Path]) -> str | None:
    """Why what lies at the paths does not count, such as "/x belongs to user 7"; None if it does.

    Of a symbolic link, both the link and what it leads to must belong to this user or to root.
    """
    believed = _believed_owners()
    for path in paths:
        try:
            owners = {os.lstat(path).st_uid, os.stat(path).st_uid}
        except OSError as error:
            return f"{path} cannot be read ({error.strerror})"
        if owners - believed:
            return f"{path} belongs to user {min(owners - believed)}, not to you"
    return None


def is_trusted(path: Path) -> bool:
    """Whether the path leads into a folder that this user's settings trust."""
    trusted = user_settings().trusted
    if not trusted:
        return False
    real = Path(os.path.realpath(path))
    return any(
        real.is_relative_to(os.path.realpath(folder))
        for folder in trusted
        if not is_object_uri(folder)
    )


def is_trusted_place(uri: str) -> bool:
    """Whether a place for files that a log names is one that this user trusts, or below one."""
    try:
        if not is_object_uri(uri):
            split = urlsplit(uri)
            return (
                split.scheme == "file"
                and not split.netloc
                and is_trusted(Path(unquote(split.path)))
            )
        place = object_place(uri)
        trusted = filter(is_object_uri, user_settings().trusted)
        return any(place.is_below(object_place(above)) for above in trusted)
    except (InvalidInput, ValueError):
        return False


def anybody_may_add(folder: Path) -> bool:
    """Whether every user can make files in the folder, as in /tmp."""
    return bool(os.stat(folder).st_mode & stat.S_IWOTH)


def trusted_folders() -> list[str]:
    """The folders that this user's settings trust."""
    return list(user_settings().trusted)


def trust(folders: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Trust folders with all that is below them; return all trusted ones. Idempotent.

    They are kept without symbolic links. The address of an object store is trusted as a place for
    files. Raises UserError if one is not a folder, InvalidInput for an address with a password.
    """
    added = []
    for folder in folders:
        if is_object_uri(folder):
            added.append(str(object_place(str(folder))))
            continue
        if not os.path.isdir(os.path.expanduser(folder)):
            raise UserError(f"{os.fspath(folder)} is not a folder; give one that exists")
        added.append(_real(folder))
    changed = change_settings(
        lambda old: old._replace(trusted=list(dict.fromkeys([*old.trusted, *added])))
    )
    return list(changed.trusted)


def distrust(folders: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Trust folders no more; return those that are left.

    Raises UserError if one was not trusted.
    """
    removed = {_real(folder): os.fspath(folder) for folder in folders}

    def without(trusted: Iterable[str]) -> list[str]:
        kept = [folder for folder in trusted if _real(folder) not in removed]
        known = {_real(folder) for folder in trusted}
        for real, given in removed.items():
            if real not in known:
                raise UserError(f"{given} is not trusted; list those that are with --list")
        return kept

    changed = change_settings(lambda old: old._replace(trusted=without(old.trusted)))
    return list(changed.trusted)


def _real(folder: str | os.PathLike[str]) -> str:
    if is_object_uri(folder):
        return str(object_place(str(folder)))
    return os.path.realpath(os.path.expanduser(folder))


def _believed_owners() -> set[int]:
    own = os.geteuid()
    caller = os.environ.get("SUDO_UID", "")
    if own == 0 and caller.isascii() and caller.isdecimal():
        return {0, int(caller)}
    return {0, own}
