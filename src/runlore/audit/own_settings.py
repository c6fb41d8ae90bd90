"""Which key signs a workspace's checkpoints and where they go: the user's own settings say it.

A workspace must not: it may come from somebody who wants a signature of ours, or a file of theirs
in a folder of ours. Nor does its id alone tell which workspace it is, because a copy bears it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from runlore.domain.errors import InvalidInput
from runlore.storage.user_settings import CheckpointSettings, change_settings, user_settings

if TYPE_CHECKING:
    from runlore.audit.folder import AuditFolder
    from runlore.storage.held_folder import HeldFolder
    from runlore.storage.user_settings import UserSettings

_AGAIN: Final = "`runlore audit checkpoint auto --key FILE`"
_looked_at: Final[WeakSet[HeldFolder]] = WeakSet()
"""The folders whose settings of earlier versions this process has looked at."""


def settings_of(kept: AuditFolder, workspace_id: str) -> CheckpointSettings:
    """The settings for a workspace, the defaults if there are none."""
    found = user_settings().checkpoints.get(workspace_id)
    return CheckpointSettings() if found is None or _why_not(found, kept) else found


def check_settings(kept: AuditFolder, workspace_id: str) -> None:
    """Raise InvalidInput if there are settings for a workspace of this id in another folder."""
    found = user_settings().checkpoints.get(workspace_id)
    why_not = None if found is None else _why_not(found, kept)
    if why_not is not None:
        raise InvalidInput(f"nothing was signed: {why_not}, or name the key")


def keep_settings(kept: AuditFolder, workspace_id: str, made: CheckpointSettings) -> None:
    """Write the settings for a workspace. Raises SettingsUnusable, FileNotWritten."""

    def change(settings: UserSettings) -> UserSettings:
        return settings._replace(checkpoints={**settings.checkpoints, workspace_id: made})

    change_settings(change)
    kept.remove_old_settings()


def folder_of(kept: AuditFolder) -> str:
    """The folder of a workspace, as the settings name it."""
    return str(kept.workspace.plain.resolve())


def asked_at_run_end(kept: AuditFolder, workspace_id: str) -> tuple[bool, str | None]:
    """Whether a run's end makes a checkpoint; else why not, if somebody may expect one."""
    found = user_settings().checkpoints.get(workspace_id)
    if found is not None:
        why_not = _why_not(found, kept) if found.at_run_end else None
        return found.at_run_end and why_not is None, why_not
    held = kept.workspace.folder
    if held in _looked_at:  # Each run's end asks, and it is told once.
        return False, None
    _looked_at.add(held)
    if not kept.asks_for_checkpoints:
        return False, None
    return False, (
        f"{kept.path}/settings.json asks for one, and is not obeyed any more, because whoever "
        f"makes a workspace could have it signed with your key; say it in your own settings "
        f"with {_AGAIN}, or `--off`"
    )


def _why_not(found: CheckpointSettings, kept: AuditFolder) -> str | None:
    """The reason why settings do not count for a workspace; None if they do."""
    folder = folder_of(kept)
    if found.folder in (None, folder):
        return None
    return (
        f"your settings are for the workspace of this id in {found.folder}, and this one is in "
        f"{folder}; if it was moved, set them again with {_AGAIN}"
    )
