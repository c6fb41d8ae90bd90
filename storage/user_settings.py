"""The user's own settings: what no workspace may decide, because it may come from anybody.

They are a JSON object in `runlore/config.json` in XDG_CONFIG_HOME, or in `~/.config`:

    trusted     absolute folders whose configs and workspaces count, whoever owns them, and
                addresses of object stores that a log may name for files
    artifacts   places for the artifacts of a workspace, by its id or absolute folder: absolute
                folders, or addresses of object stores
    not_secret  names of variables, arguments and keys whose values are not masked
    checkpoints the key that signs a workspace's checkpoints and where they go, by its id

The file counts only if nobody else can write to it. One that does not count is the same as none,
with a warning: settings never stop a training.
"""

from __future__ import annotations

import json
import os
import stat
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from runlore.domain.errors import InvalidInput, UserError
from runlore.storage.atomic_files import explained, replacing
from runlore.storage.file_lock import open_lock_file, take_within
from runlore.storage.object_places import is_object_uri, object_place

_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_MAX_NBYTES: Final = 1 << 20
_CHANGE_MAX_S: Final = 10.0
_warned: Final[set[str]] = set()
"""The problems that this process was warned of; each is told once."""


class CheckpointSettings(NamedTuple):
    """The defaults of a workspace's new checkpoints, and whether each run's end makes one.

    `key` is the file of the key that signs, `export` a folder that gets each checkpoint as well.
    They count for the workspace in `folder` only: another one may bear the same id.
    """

    key: str | None = None
    export: str | None = None
    at_run_end: bool = False
    folder: str | None = None


class UserSettings(NamedTuple):
    """The settings; empty by default."""

    trusted: Sequence[str] = ()
    artifacts: Mapping[str, str] = MappingProxyType({})
    not_secret: Sequence[str] = ()
    checkpoints: Mapping[str, CheckpointSettings] = MappingProxyType({})


class SettingsUnusable(UserError):
    """The settings file does not count: it is damaged, or others can write to it."""


def settings_file() -> Path | None:
    """Where the settings are, whether or not the file exists; None without a home folder."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(given):  # A relative one is to be ignored, says the specification.
        return Path(given, "runlore", "config.json")
    home = os.path.expanduser("~")  # "~" itself if neither HOME nor the system knows it.
    if not os.path.isabs(home) or os.environ.get("HOME") == "":
        return None
    return Path(home, ".config", "runlore", "config.json")


def user_settings(warn: Callable[[str], None] = warnings.warn) -> UserSettings:
    """The settings as they are now. A file or a value that does not count gives one warning."""
    path = settings_file()
    if path is None or _is_missing(path):  # Mostly, and each run asks.
        return UserSettings()
    try:
        fields = _read(path)
    except SettingsUnusable as error:
        _warn_once(warn, f"{error}; until then your settings do not count")
        return UserSettings()
    settings, problems = _checked(fields)
    for problem in problems:
        _warn_once(warn, f"{path}: {problem}; until then this setting does not count")
    return settings


def change_settings(change: Callable[[UserSettings], UserSettings]) -> UserSettings:
    """Replace the settings with what the function makes of them; return the new ones.

    The file and its folder are made if they are missing, private to this user. Fields that this
    version does not know are kept. Raises SettingsUnusable if the file does not count, as it
    could not be changed without losing something; FileNotWritten.
    """
    path = settings_file()
    if path is None:
        raise SettingsUnusable("there is no home folder to keep settings in; set HOME")
    with _alone(path):
        fields = _read(path)
        settings, problems = _checked(fields)
        if problems:
            raise SettingsUnusable(f"{path}: {problems[0]}")
        changed = change(settings)
        _, problems = _checked(_as_fields(changed))
        if problems:
            raise SettingsUnusable(f"{path}: {problems[0]}")
        # A link leads to where the user keeps the file: that one is replaced.
        with replacing(Path(os.path.realpath(path))) as file:
            os.fchmod(file.fileno(), 0o600)
            text = json.dumps(fields | _as_fields(changed), indent=4)
            file.write(f"{text}\n".encode(errors="surrogateescape"))
            with explained(path):
                os.fsync(file.fileno())
    return changed


def _as_fields(settings: UserSettings) -> dict[str, object]:
    return {
        "trusted": list(settings.trusted),
        "artifacts": dict(settings.artifacts),
        "not_secret": list(settings.not_secret),
        "checkpoints": {
            workspace: made._asdict() for workspace, made in settings.checkpoints.items()
        },
    }


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other process of this user change the settings within the block.

    Raises SettingsUnusable if one does for long.
    """
    with explained(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(path.parent, os.stat(path.parent))
        fd = open_lock_file(path.parent / "config.lock", mode=0o600, flags=os.O_CREAT)
    try:
        if not take_within(fd, _CHANGE_MAX_S):
            raise SettingsUnusable(
                f"another process of yours has been changing {path} for {_CHANGE_MAX_S:g} s; end "
                "it if it is stopped or hangs, and try again"
            )
        yield
    finally:
        os.close(fd)


def _is_missing(path: Path) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _read(path: Path) -> dict[str, Any]:
    """The file's fields, none if it is missing. Raises SettingsUnusable."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SettingsUnusable(f"cannot read {path}: {error.strerror}; make it readable") from error
    with os.fdopen(fd, "rb") as file:
        _check_owner(path.parent, os.stat(path.parent))
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise SettingsUnusable(f"{path} is not a file; remove it")
        _check_owner(path, found)
        try:
            text = file.read(_MAX_NBYTES + 1)
        except OSError as error:
            raise SettingsUnusable(f"cannot read {path}: {error.strerror}; remove it") from error
    if len(text) > _MAX_NBYTES:
        raise SettingsUnusable(f"{path} is larger than {_MAX_NBYTES:,} bytes; shorten it")
    return _fields_in(path, text)


def _fields_in(path: Path, text: bytes) -> dict[str, Any]:
    if not text.strip():  # Somebody touched it, to fill it later.
        return {}
    try:
        fields = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SettingsUnusable(f"{path} is not JSON ({error}); correct or remove it") from error
    if not isinstance(fields, dict):
        raise SettingsUnusable(f"{path} does not hold a JSON object; correct or remove it")
    return fields


def _check_owner(path: Path, found: os.stat_result) -> None:
    """Raise SettingsUnusable if somebody else can write to the file or folder."""
    if found.st_uid != os.geteuid():
        raise SettingsUnusable(
            f"{path} belongs to user {found.st_uid}, and this is user {os.geteuid()}; set "
            "XDG_CONFIG_HOME or HOME to a folder of your own"
        )
    if found.st_mode & _OTHERS_MAY_WRITE:
        mode = stat.S_IMODE(found.st_mode)
        raise SettingsUnusable(
            f"{path} has mode {mode:04o}, so others can write to it: check it, and run "
            f"chmod go-w on it"
        )


def _checked(fields: Mapping[str, Any]) -> tuple[UserSettings, list[str]]:
    """The settings in the fields that have the right form, and what is wrong with the others."""
    settings, problems = UserSettings(), []
    trusted = fields.get("trusted", ())
    if _is_list_of_text(trusted) and all(map(_is_place, trusted)):
        settings = settings._replace(trusted=tuple(trusted))
    else:
        problems.append("'trusted' must be a list of absolute folders, or addresses of stores")
    artifacts = fields.get("artifacts", {})
    if isinstance(artifacts, Mapping) and all(
        isinstance(place, str) and _is_place(place) for place in artifacts.values()
    ):
        settings = settings._replace(artifacts=MappingProxyType(dict(artifacts)))
    else:
        problems.append(
            "'artifacts' must be an object of absolute folders, or of addresses such as "
            "'s3://bucket/prefix' without user and password"
        )
    not_secret = fields.get("not_secret", ())
    if _is_list_of_text(not_secret):
        settings = settings._replace(not_secret=tuple(not_secret))
    else:
        problems.append("'not_secret' must be a list of names")
    try:
        checkpoints = {
            str(workspace): _checkpoints(**made)
            for workspace, made in fields.get("checkpoints", {}).items()
        }
        settings = settings._replace(checkpoints=MappingProxyType(checkpoints))
    except (AttributeError, TypeError, ValueError):
        problems.append(
            "'checkpoints' must be an object of objects with the absolute paths 'key', 'export' "
            "and 'folder', and 'at_run_end'"
        )
    return settings, problems


def _checkpoints(
    key: str | None = None,
    export: str | None = None,
    at_run_end: bool = False,
    folder: str | None = None,
) -> CheckpointSettings:
    if not isinstance(at_run_end, bool) or not all(map(_is_path, (key, export, folder))):
        raise ValueError("paths are absolute, and at_run_end is true or false")
    return CheckpointSettings(key, export, at_run_end, folder)


def _is_place(place: str) -> bool:
    if not is_object_uri(place):
        return os.path.isabs(place.removeprefix("file://"))
    try:
        return bool(object_place(place))
    except InvalidInput:
        return False


def _is_path(path: object) -> bool:
    return path is None or (isinstance(path, str) and os.path.isabs(path) and "\0" not in path)


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def _warn_once(warn: Callable[[str], None], problem: str) -> None:
    if problem not in _warned:
        _warned.add(problem)
        warn(problem)
