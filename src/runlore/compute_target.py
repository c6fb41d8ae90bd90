"""Compute targets: the places where submitted runs execute, by name."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from runlore.azure.options import refuse_unknown
from runlore.domain.compute_target import AttachTarget, DeleteTarget, TargetState
from runlore.domain.errors import InvalidInput
from runlore.domain.ids import check_target_name
from runlore.domain.status import ACTIVE, Status
from runlore.domain.visible_text import visible
from runlore.exceptions import ComputeTargetException as ComputeTargetException
from runlore.projections.filters import RunFilter

if TYPE_CHECKING:
    from typing import Unpack

    from runlore.azure.options import ProvisioningOptions, UpdateOptions, WaitingOptions
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

    Every workspace has `local`, this machine without a limit. Others are attached. A pool is what
    Azure calls a cluster, so it is an `AmlCompute`, and its `type` is Azure's:

    >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
    >>> ComputeTarget.attach(ws, "gpu-cluster", slots=2)
    AmlCompute(name='gpu-cluster', kind='pool', slots=2)
    >>> sorted(ws.compute_targets)
    ['gpu-cluster', 'local']
    """

    def __init__(self, workspace: Workspace, name: str) -> None:
        from runlore.execution.targets.attached import state_of
        from runlore.workspace import session_of

        self._take(workspace, state_of(session_of(workspace), name))

    def _take(self, workspace: Workspace, state: TargetState) -> None:
        self.workspace = workspace
        self.name = state.name
        self.kind = state.type
        self._settings = dict(state.settings)
        if state.type == _POOL:
            self.__class__ = AmlCompute

    @property
    def type(self) -> str:
        """Azure's name for the kind of target, or our own where Azure has none."""
        return _AZURES_TYPES.get(self.kind, self.kind)

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
        script is stopped. Runs that are executing are not affected. A target of type `slurm` takes
        `partition`, `gpus`, `time_limit` and `extra_args`; docs/targets.md has all kinds.

        Raises ComputeTargetException for an unknown kind or setting, or for a workspace that the
        target's hosts cannot share; InvalidInput for the name.
        """
        from runlore.engine.streams import change_target
        from runlore.execution.targets.kinds import kind_of, trust_target
        from runlore.workspace import session_of

        session = session_of(workspace).writable()
        if session.is_memory:
            raise ComputeTargetException(
                "a workspace in memory has no compute targets; create one in a folder"
            )
        if isinstance(attach_configuration, dict):
            settings = {**attach_configuration, **settings}
        kind = kind_of(type)
        command = AttachTarget(name, type, kind.checked(settings))
        kind(session, str(name), command.settings).check_workspace()
        change_target(session, _stream(name), command)
        trust_target(session, TargetState(name, type, command.settings))
        return ComputeTarget(workspace, name)

    def trust(self) -> None:
        """Lets your processes submit to the target as it is here, with the settings it shows.

        Whoever attached a target trusts it. Somebody else's may have any settings, and executes
        what you submit, with your environment and your tokens. If they change, it must be trusted
        again.
        """
        from runlore.execution.targets.kinds import trust_target
        from runlore.workspace import session_of

        state = TargetState(self.name, self.kind, self._settings)
        trust_target(session_of(self.workspace).writable(), state)

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
        target._take(workspace, state)
        return target

    def delete(self) -> None:
        """Removes the target. Refused while runs are queued: they would never start."""
        from runlore.engine.streams import change_target
        from runlore.workspace import session_of

        self._check_nothing_queued()
        session = session_of(self.workspace)
        change_target(session, _stream(self.name), DeleteTarget(self.name))
        try:
            self._check_nothing_queued()  # Submissions from here on find that the target is gone.
        except ComputeTargetException:
            command = AttachTarget(self.name, self.kind, self._settings)
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
            changed = ComputeTarget.attach(self.workspace, self.name, type=self.kind, **settings)
            self._settings = changed._settings

    def get_status(self) -> ComputeTargetStatus:
        """The target's slots and runs now."""
        queued = sum(1 for _ in self._runs([Status.QUEUED]))
        active = sum(1 for _ in self.get_active_runs())
        return ComputeTargetStatus(self.slots, active - queued, queued)

    @property
    def status(self) -> ComputeTargetStatus:
        """The target's slots and runs now, as `get_status()`."""
        return self.get_status()

    def list_nodes(self) -> builtins.list[dict[str, Any]]:
        """One dict for each slot, with Azure's keys: what executes, and slots that are idle."""
        executing = [run.id for run in self._runs(sorted(ACTIVE - {Status.QUEUED}))]
        idle = max(0, (self.slots or 0) - len(executing))
        runs: list[str | None] = [*executing, *[None] * idle]
        return [
            {
                "nodeId": f"{self.name}-{number}",
                "nodeState": "idle" if run_id is None else "running",
                "runId": run_id,
                "port": None,
                "publicIpAddress": None,
                "privateIpAddress": None,
            }
            for number, run_id in enumerate(runs)
        ]

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
        return {"name": self.name, "type": self.kind, **self._settings}

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
        return visible(f"{type(self).__name__}(name={self.name!r}, kind={self.kind!r}{slots})")


class AmlCompute(ComputeTarget):
    """Azure's managed cluster. runlore makes no machines: it is a pool with a slot per node."""

    vm_size = ""
    """Azure's size of machines; there is one machine here, this one."""

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: int = 4,
        idle_seconds_before_scaledown: int = 1800,
        **azure_options: Unpack[ProvisioningOptions],
    ) -> ClusterConfiguration:
        """The argument of `ComputeTarget.create`; only `max_nodes` has an effect."""
        refuse_unknown(AmlCompute.provisioning_configuration, azure_options)
        return ClusterConfiguration(max_nodes)

    @staticmethod
    def supported_vmsizes(
        workspace: Workspace, location: str | None = None
    ) -> builtins.list[dict[str, Any]]:
        """The sizes of machines to choose from: none, a pool is on this machine."""
        return []


_POOL: Final = "pool"
_AZURES_TYPES: Final = {_POOL: "AmlCompute"}
AmlCompute.__module__ = "runlore.compute"  # Where users import it from.


def _stream(name: object) -> TargetStream:
    from runlore.engine.streams import stream_of_target

    if not isinstance(name, str):
        raise InvalidInput(f"a compute target's name must be a str, got {name!r:.80}")
    return stream_of_target(check_target_name(name))
