"""The settings that all targets on engines have, whatever their kind."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from runlore.exceptions import ComputeTargetException
from runlore.execution.targets.target import DEFAULT_GRACE_S
from runlore.storage.user_cache import find_cache

HEARTBEAT_S: Final = 30.0
SILENT_AFTER: Final = 3
LOST_AFTER: Final = 20
"""After this many missed heartbeats a run is NotResponding, or lost."""
_SECONDS_MAX: Final = 86_400.0


class CommonSettings(NamedTuple):
    """The settings of a target on an engine that are not the engine's own.

    `python` starts the supervisor on the cluster's hosts; None for the submitter's own.
    `handover` is the folder of files with environments; None for one in the user's cache.
    `this_machine` says that the cluster's hosts are this machine, so a folder can be a workspace.
    """

    python: str | None = None
    handover: str | None = None
    grace_s: float = DEFAULT_GRACE_S
    heartbeat_s: float = HEARTBEAT_S
    this_machine: bool = False

    @property
    def silent_after_s(self) -> float:
        """The silence after which a run is NotResponding."""
        return SILENT_AFTER * self.heartbeat_s

    @property
    def lost_after_s(self) -> float:
        """The silence after which a run is lost."""
        return LOST_AFTER * self.heartbeat_s

    def handover_folder(self) -> str:
        """The folder of files with environments. Raises ComputeTargetException if there is none."""
        if self.handover is not None:
            return self.handover
        cache = find_cache()
        if cache.folder is None:
            raise ComputeTargetException(
                f"there is no folder for the environments of runs: {cache.problem}; attach the "
                "target with handover='/a/folder' that this host and those of the cluster share"
            )
        return str(cache.folder / "handover")


def split(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The common settings, and those of the kind, which are not checked here.

    Raises ComputeTargetException for invalid common ones.
    """
    common = {name: settings[name] for name in CommonSettings._fields if name in settings}
    rest = {name: value for name, value in settings.items() if name not in common}
    return _checked(CommonSettings(**common))._asdict(), rest


def common_of(settings: Mapping[str, Any]) -> CommonSettings:
    """The common settings of an attached target; defaults for what a log has wrong."""
    try:
        return CommonSettings(**split(settings)[0])
    except ComputeTargetException:
        return CommonSettings()


def _checked(given: CommonSettings) -> CommonSettings:
    for name in ("python", "handover"):
        value = getattr(given, name)
        if value is not None and (not isinstance(value, str) or not value):
            raise ComputeTargetException(f"{name} is {value!r:.80}; it takes a path")
    if given.handover is not None and not os.path.isabs(given.handover):
        raise ComputeTargetException(
            f"handover is {given.handover!r:.200}; it takes the absolute path of a folder"
        )
    if not isinstance(given.this_machine, bool):
        raise ComputeTargetException(f"this_machine is {given.this_machine!r:.80}; it takes a bool")
    return given._replace(
        grace_s=_seconds("grace_s", given.grace_s, least=0.0),
        heartbeat_s=_seconds("heartbeat_s", given.heartbeat_s, least=0.05),
    )


def _seconds(name: str, value: object, least: float) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not least <= float(str(value)) < _SECONDS_MAX:
        raise ComputeTargetException(
            f"{name} is {value!r:.80}; it takes seconds, from {least:g} to a day"
        )
    return float(str(value))
