"""Where submitted runs execute. This version records interactive runs, so there are no targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runlore.exceptions import ComputeTargetException as ComputeTargetException

if TYPE_CHECKING:
    from runlore.workspace import Workspace


class ComputeTarget:
    """A named place where submitted runs execute. Raises ComputeTargetException: there are none."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        known = ", ".join(self.list(workspace)) or "none"
        raise ComputeTargetException(
            f"no compute target {name!r} in workspace {workspace.name!r}; it has: {known}. "
            "Interactive runs (experiment.start_logging()) need no target"
        )

    @staticmethod
    def list(workspace: Workspace) -> dict[str, ComputeTarget]:
        """The workspace's compute targets by name."""
        return workspace.compute_targets
