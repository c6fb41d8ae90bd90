"""Compute targets: the places where submitted runs execute, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runlore.azure.options import refuse_unknown
from runlore.domain.errors import InvalidInput
from runlore.domain.ids import check_target_name
from runlore.domain.status import ACTIVE, Status
from runlore.domain.visible_text import visible
from runlore.exceptions import ComputeTargetException as ComputeTargetException
from runlore.projections.filters import RunFilter

if TYPE_CHECKING:
    from typing import Unpack

    from runlore.azure.options import UpdateOptions, WaitingOptions
    from runlore.domain.compute_target import TargetState
    from runlore.engine.streams import TargetStream
    from runlore.run import Run
    from runlore.workspace import Workspace


class ClusterConfiguration:
    """The size of a cluster; here only the number of nodes has a meaning."""

    def __init__(self, max_nodes: int) -> None:
        self.max_nodes = max_nodes


class ComputeTargetStatus:
    """The numbers of a target's slots and of the runs that execute and wait there."""

    def __init__(self, slots: int | None, executing: int, queued: int) -> None:
        self.slots = slots
        self.executing = executing
        self.queued = queued
        self.provisioning_state = "Succeeded"
        self.allocation_state = "Steady"
        self.errors = None

    def serialize(self) -> dict[str, Any]:
        """The status as a dict, under Azure's names where these have a meaning."""
        return {
            "slots": self.slots,
            "executing": self.executing,
            "queued": self.queued,
            "provisioningState": self.provisioning_state,
            "allocationState": self.allocation_state,
            "currentNodeCount": self.executing,
            "targetNodeCount": self.slots,
        }


class ComputeTarget:
    """A named place where submitted runs execute. Raises ComputeTargetException if it is unknown.

    Every workspace has `local`, this machine without a limit. Others are attached:

    >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
    >>> ComputeTarget.attach(ws, "gpu-cluster", slots=2)
    ComputeTarget(name='gpu-cluster', type='pool', slots=2)
    >>> sorted(ws.compute_targets)
    ['gpu-cluster', 'local']
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        from runlore.execution.targets.attached import state_of
        from runlore.workspace import session_of

        state = state_of(session_of(workspace), name)
        self.workspace = workspace
        self.name = name
        self.type = state.type
        self._settings = dict(state.settings)

    @property
    def slots(self) -> int | None:
        """How many runs execute at once; None for no limit."""
        slots: int | None = self._settings.get("slots")
        return slots

    @property
    def grace_s(self) -> float:
        """The seconds between TERM and KILL when a script is stopped."""
        from runlore.execution.targets.attached import grace_s_in

        return grace_s_in(self._settings)

    @property
    def provisioning_state(self) -> str:
        """Azure's word for a usable target."""
        return "Succeeded"

    @staticmethod
    def attach(
        workspace: Workspace,
        name: str,
        attach_configuration: object = None,
        *,
        type: str = "pool",
        **settings: Any,
    ) -> ComputeTarget:
        """Attaches a target under a name; attaching it again changes its settings.

        A `pool` has `slots` (2): at most this many runs execute at once on this machine, the
        others wait in order. `grace_s` (10) is the time in seconds between TERM and KILL when a
        script is stopped. Runs that are executing are not affected.

        Raises ComputeTargetException for an unknown kind or setting, InvalidInput for the name.
        """
        from runlore.domain.compute_target import AttachTarget
        from runlore.engine.streams import change_target
        from runlore.execution.targets.kinds import kind_of
        from runlore.workspace import session_of

        session = session_of(workspace).writable()
        if session.is_memory:
            raise ComputeTargetException(
                "a workspace in memory has no compute targets; create one in a folder"
            )
        if isinstance(attach_configuration, dict):
            settings = {**attach_configuration, **settings}
        command = AttachTarget(name, type, kind_of(type).checked(settings))
        change_target(session, _stream(name), command)
        return ComputeTarget(workspace, name)

    @staticmethod
    def create(
        workspace: Workspace, name: str, provisioning_configuration: object
    ) -> ComputeTarget:
        """Attaches a pool on this machine, with one slot for each node of Azure's cluster."""
        if not isinstance(provisioning_configuration, ClusterConfiguration):
            raise ComputeTargetException(
                "create takes AmlCompute.provisioning_configuration(max_nodes=...), got "
                f"{provisioning_configuration!r:.80}"
            )
        slots = provisioning_configuration.max_nodes
        return ComputeTarget.attach(workspace, name, slots=slots)

    @staticmethod
    def list(workspace: Workspace) -> dict[str, ComputeTarget]:
        """The workspace's compute targets by name, `local` first."""
        from runlore.execution.targets.attached import attached
        from runlore.workspace import session_of

        session = session_of(workspace)
        return {name: ComputeTarget._of(workspace, at) for name, at in attached(session).items()}

    @classmethod
    def _of(cls, workspace: Workspace, state: TargetState) -> ComputeTarget:
        target = cls.__new__(cls)
        target.workspace = workspace
        target.name = state.name
        target.type = state.type
        target._settings = dict(state.settings)
        return target

    def delete(self) -> None:
        """Removes the target. Refused while runs are queued: they would never start."""
        from runlore.domain.compute_target import AttachTarget, DeleteTarget
        from runlore.engine.streams import change_target
        from runlore.workspace import session_of

        self._check_nothing_queued()
        session = session_of(self.workspace)
        change_target(session, _stream(self.name), DeleteTarget(self.name))
        try:
            self._check_nothing_queued()  # Submissions from here on find that the target is gone.
        except ComputeTargetException:
            command = AttachTarget(self.name, self.type, self._settings)
            change_target(session, _stream(self.name), command)
            raise

    def _check_nothing_queued(self) -> None:
        queued = [run.id for run in self._runs([Status.QUEUED])]
        if queued:
            raise ComputeTargetException(
                f"{len(queued)} runs are queued on {self.name!r} ({queued[0]} ...); wait for them "
                "or cancel them first"
            )

    detach = delete

    def update(
        self,
        min_nodes: int | None = None,
        max_nodes: int | None = None,
        **azure_options: Unpack[UpdateOptions],
    ) -> None:
        """Changes the number of slots to `max_nodes`; the other options mean nothing here."""
        refuse_unknown(ComputeTarget.update, azure_options)
        if max_nodes is not None:
            settings = {**self._settings, "slots": max_nodes}
            changed = ComputeTarget.attach(self.workspace, self.name, type=self.type, **settings)
            self._settings = changed._settings

    def get_status(self) -> ComputeTargetStatus:
        """The target's slots and runs now."""
        queued = sum(1 for _ in self._runs([Status.QUEUED]))
        active = sum(1 for _ in self.get_active_runs())
        return ComputeTargetStatus(self.slots, active - queued, queued)

    def get_active_runs(self, type: str | None = None) -> Iterator[Run]:
        """The runs that execute or wait on the target, newest first."""
        return self._runs(sorted(ACTIVE))

    def wait_for_completion(
        self, show_output: bool = False, **azure_options: Unpack[WaitingOptions]
    ) -> None:
        """Returns at once: a target of this machine is ready when it is attached."""
        refuse_unknown(ComputeTarget.wait_for_completion, azure_options)

    def refresh_state(self) -> None:
        """Reads the settings again."""
        self._settings = ComputeTarget(self.workspace, self.name)._settings

    def serialize(self) -> dict[str, Any]:
        """The target as a dict."""
        return {"name": self.name, "type": self.type, **self._settings}

    def _runs(self, statuses: Sequence[Status]) -> Iterator[Run]:
        from runlore.run.run import matching_runs

        which = RunFilter(
            submitted_to=self.name,
            statuses=statuses,
            include_children=True,
            include_archived=True,
        )
        return matching_runs(self.workspace, which)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ComputeTarget)
            and self.name == other.name
            and self.workspace.uri == other.workspace.uri
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        slots = "" if self.slots is None else f", slots={self.slots}"
        return visible(f"ComputeTarget(name={self.name!r}, type={self.type!r}{slots})")


def _stream(name: object) -> TargetStream:
    from runlore.engine.streams import stream_of_target

    if not isinstance(name, str):
        raise InvalidInput(f"a compute target's name must be a str, got {name!r:.80}")
    return stream_of_target(check_target_name(name))
