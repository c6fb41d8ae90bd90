"""A workspace: a folder with a log in it, or, for offline runs, one in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from runlore.azure import config_file
from runlore.azure.arguments import as_pairs
from runlore.domain.errors import (
    AlreadyExists,
    InvalidInput,
    RunloreError,
    RunNotFound,
    UserError,
    WorkspaceNotFound,
)
from runlore.domain.fact import utc_time
from runlore.domain.ids import check_workspace_name
from runlore.engine import places
from runlore.engine.caller_warning import warn_caller
from runlore.engine.net_changes import NetChange, net_changes
from runlore.exceptions import OutOfScope
from runlore.projections.filters import RunFilter
from runlore.storage.open_log import exists, locate

if TYPE_CHECKING:
    from typing import Self

    from runlore.audit.accessor import Audit
    from runlore.audit.bundles.format import Manifest
    from runlore.audit.bundles.imports import Imported
    from runlore.compute_target import ComputeTarget
    from runlore.domain.workspace import CreateWorkspace, WorkspaceState
    from runlore.engine.event_feed import Feed, LoggedEvent
    from runlore.engine.moments import Moment
    from runlore.engine.net_changes import NetChange
    from runlore.engine.session import LiveSession, Session
    from runlore.experiment import Experiment, Tags
    from runlore.projections.user_sql import SqlResult
    from runlore.run import Run
    from runlore.storage.event_log import EventLog
    from runlore.storage.log_opener import LogLocation

_CANDIDATES: Final = 10


class Workspace:
    """All experiments and runs of a folder. Make one with `create`, `open`, `get` or `from_config`.

    The constructor has Azure ML's shape: `Workspace(subscription_id, resource_group, name)`
    opens the workspace of that name, as `get` does. Any number of processes may have the same
    folder open; each sees what the others committed. Usable from any thread and after a fork.

    >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
    >>> ws
    Workspace.create(name='lab', subscription_id='', resource_group='')
    >>> ws.close()
    """

    def __init__(
        self,
        subscription_id: str = "",
        resource_group: str = "",
        workspace_name: str = "",
        auth: object = None,
        *,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        found = Workspace.get(
            workspace_name,
            subscription_id=subscription_id,
            resource_group=resource_group,
            path=path,
        )
        self._session: Session = found._session

    @classmethod
    def _of(cls, session: Session) -> Self:
        workspace = cls.__new__(cls)
        workspace._session = session
        return workspace

    @classmethod
    def create(
        cls,
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,  # noqa: A002  (Azure's name)
        create_resource_group: bool = True,
        sku: str = "basic",
        tags: Mapping[str, str | None] | None = None,
        friendly_name: str | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        exist_ok: bool = False,
        erasable: bool = False,
        show_output: bool = True,
        actor: str | None = None,
        allow_network_file_system: bool = False,
        **azure_options: object,
    ) -> Workspace:
        """Make the folder and the log in it, and open the workspace.

        `path` is the folder, or a URI such as `sqlite:///absolute/folder`; by default `./<name>`.
        A new folder gets a `.gitignore` of `*`, so that a workspace inside a repository does not
        dirty it. `exist_ok` opens the workspace if it exists. `erasable` keeps the data of each
        run under a key of its own, so that `erase_run` can destroy it. `actor` is who writes, by
        default RUNLORE_ACTOR or the OS user. Subscription, resource group and location are stored
        and shown; Azure's other options (`auth`, `sku`, `storage_account`, ...) are ignored.

        Raises AlreadyExists; InvalidInput for an invalid name or URI; UnsafeFileSystem on a
        network mount; LogReadOnly or DiskFull if the folder cannot be written.
        """
        from runlore.domain.workspace import CreateWorkspace, decide

        command = CreateWorkspace(
            workspace_id=str(uuid4()),
            name=name,
            subscription_id=subscription_id or "",
            resource_group=resource_group or "",
            location=location or "local",
            tags=as_pairs(tags, "tag"),
            erasable=erasable,
        )
        decide(None, command)  # Raises for invalid arguments, before anything is made.
        place = locate(Path.cwd() / name if path is None else path)
        session = _create(
            place,
            command,
            exist_ok=exist_ok,
            actor=actor,
            allow_network_file_system=allow_network_file_system,
        )
        return cls._of(session)

    @classmethod
    def open(
        cls,
        path_or_uri: str | os.PathLike[str],
        *,
        actor: str | None = None,
        allow_network_file_system: bool = False,
    ) -> Workspace:
        """The workspace in a folder, given by its path or as `sqlite:///absolute/folder`.

        A folder that cannot be written is opened for reading. Raises WorkspaceNotFound; NotALog
        if the folder's log is of another application or of a newer runlore; InvalidInput for a
        URI of an unknown scheme or with a password.
        """
        from runlore.entry.wiring import open_session

        place = locate(path_or_uri)
        if not exists(place):
            raise WorkspaceNotFound(
                f"no workspace in {place}; create one with "
                f"Workspace.create('my-workspace', path={str(place)!r})"
            )
        session = open_session(
            place, actor=actor, allow_network_file_system=allow_network_file_system
        )
        if not session.has_workspace():
            session.close()
            raise WorkspaceNotFound(
                f"the log in {place} holds no workspace; create it with "
                f"Workspace.create('my-workspace', path={str(place)!r})"
            )
        session.look_after()
        return cls._of(session)

    @classmethod
    def get(
        cls,
        name: str,
        auth: object = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
    ) -> Workspace:
        """The workspace of a name: at `path` (a folder or URI), or else in `./<name>`, or else
        where the nearest config leads.

        Raises WorkspaceNotFound if there is none, or if the workspace there has another name.
        """
        check_workspace_name(name)
        found = cls.open(_address_of_name(name) if path is None else path)
        if found.name != name:
            found.close()
            where = str(found.path or found.uri)
            raise WorkspaceNotFound(
                f"the workspace in {where} is named {found.name!r}, not {name!r}; open it "
                f"with Workspace.open({where!r})"
            )
        return found

    @classmethod
    def from_config(
        cls,
        path: str | os.PathLike[str] | None = None,
        auth: object = None,
        _logger: object = None,
        _file_name: object = None,
    ) -> Workspace:
        """The workspace that a config leads to: a file, or the nearest one in or above a folder.

        Raises WorkspaceNotFound, which says where it looked and how to create a workspace.
        """
        config = config_file.find_config(None if path is None else Path(path))
        return cls.open(config_file.address_in(config))

    @staticmethod
    def list(
        subscription_id: str | None = None,
        auth: object = None,
        resource_group: str | None = None,
        *,
        path: str | os.PathLike[str] = ".",
    ) -> dict[str, Sequence[Workspace]]:
        """The workspaces in a folder and its subfolders by name, filtered by Azure's coordinates.

        Workspaces that cannot be opened (of a newer runlore, say) are left out with a warning.
        """
        found: dict[str, list[Workspace]] = {}
        for folder in places.workspaces_in(places.folder_of(path)):
            try:
                workspace = Workspace.open(folder)
            except RunloreError as error:
                warn_caller(f"left out of the list: {error}")
                continue
            fits = subscription_id in (None, workspace.subscription_id) and resource_group in (
                None,
                workspace.resource_group,
            )
            if fits:
                found.setdefault(workspace.name, []).append(workspace)
            else:
                workspace.close()
        return dict(found)

    def write_config(
        self, path: str | os.PathLike[str] | None = None, file_name: str | None = None
    ) -> None:
        """Writes `<path>/.azureml/config.json`, by which `from_config` finds this workspace."""
        self._live.writable()
        folder = self._live.files
        if folder is None:
            raise UserError("a workspace in memory ends with its process; no config can lead to it")
        config_file.write_config(folder, Path(path or "."), file_name, self._scope)

    @property
    def name(self) -> str:
        """The workspace's name."""
        return self._session.workspace.name

    @property
    def subscription_id(self) -> str:
        """The Azure subscription given at creation; "" if none was."""
        return self._session.workspace.subscription_id

    @property
    def resource_group(self) -> str:
        """The Azure resource group given at creation; "" if none was."""
        return self._session.workspace.resource_group

    @property
    def location(self) -> str:
        """The location given at creation; "local" if none was, "memory" offline."""
        return self._session.workspace.location

    @property
    def tags(self) -> dict[str, str | None]:
        """The tags given at creation."""
        return dict(self._session.workspace.tags)

    @property
    def erasable(self) -> bool:
        """Whether runs can be erased: whether it was created so."""
        return self._session.erasable

    @property
    def path(self) -> Path | None:
        """The workspace's folder; None if it lives in memory."""
        return self._session.files

    @property
    def uri(self) -> str:
        """The URI that `open` takes in any process on this machine; `memory:<id>` if in memory."""
        return self._session.uri

    @property
    def position(self) -> int:
        """The last position of the log that is seen: the newest one now, or that of `as_of`."""
        return self._live.log.max_notification_id() or 0

    def as_of(self, moment: Moment) -> Workspace:
        """The workspace as it was at a moment: all reads work on it, and no write.

        `moment` is an aware datetime, a position of the log, or a checkpoint (its text or file);
        the first two also as text. What is asked never changes any more, whatever is recorded
        later; a moment may fall between the events of one commit. Logged values are there as
        soon as their batch was. Costs what a read of now costs; see docs/time-travel.md.

        Raises MomentInFuture for a time that has not passed, InvalidInput for a position beyond the
        end and for a time without a zone. A change raises PastIsReadOnly. Closing it is not
        needed, and leaves this workspace open.

        >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
        >>> before = ws.position
        >>> Experiment(ws, "explore-runs").name, list(ws.as_of(before).experiments)
        ('explore-runs', [])
        """
        from runlore.engine.moments import position_of
        from runlore.engine.past import PastSession

        session = self._live
        return Workspace._of(PastSession.of(session, position_of(session.log, moment)))

    def diff(
        self, a: Moment, b: Moment | None = None, *, run: Run | str | None = None
    ) -> Sequence[NetChange]:
        """What was created, changed and removed between two moments, in the order of the log.

        `b` is by default now. Net: what was changed and changed back is not there, and of several
        changes of a thing the last one is told. Of one run, if it is given. Costs two reads of the
        tables and no replay. Raises InvalidInput if `a` is later than `b`, RunNotFound.

        >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
        >>> before = ws.position
        >>> Experiment(ws, "explore-runs").tag("stage", "first")
        >>> [(one.what, one.kind, one.key, one.new) for one in ws.diff(before)]
        [('experiment', 'created', None, 'active'), ('experiment_tag', 'created', 'stage', 'first')]
        """
        from runlore.engine.moments import position_of

        session = self._live
        session.flush()
        end = self.position if b is None else position_of(session.log, b)
        run_id = run if run is None or isinstance(run, str) else run.id
        return net_changes(session, position_of(session.log, a), end, run_id=run_id)

    def events(
        self,
        after: Moment = 0,
        *,
        stream: str | None = None,
        topics: str | Sequence[str] | None = None,
        actor: str | None = None,
    ) -> Iterator[LoggedEvent]:
        """The events of the log after a moment, in order, with who did it; a generator.

        All, or those of a stream (`run/<id>`, its values included), of some topics (`run.tag_set`)
        and of an actor. Ends where the log ended when the first one was read, and holds a page of
        them in memory. Raises InvalidInput and InvalidType for arguments of no sense, at once.

        >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
        >>> _ = Experiment(ws, "explore-runs")
        >>> [event.topic for event in ws.events(after=2)]
        ['experiment.created']
        """
        from runlore.engine.event_feed import EventFilter, events
        from runlore.engine.moments import position_of

        session = self._live
        session.flush()
        chosen = EventFilter.checked(stream, topics, actor)
        return events(session, position_of(session.log, after), chosen)

    def subscribe(
        self,
        after: Moment | None = None,
        *,
        stream: str | None = None,
        topics: str | Sequence[str] | None = None,
        actor: str | None = None,
        timeout_s: float | None = None,
    ) -> Feed:
        """A feed of the events after a moment, by default from now on; selected as by `events`.

        It goes on with those that come, from any process, each once and in order, until it is
        stopped or none comes for `timeout_s`; see `runlore.engine.event_feed.Feed` to resume.

        >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
        >>> with ws.subscribe(topics="experiment.tag_set", timeout_s=0) as feed:
        ...     Experiment(ws, "explore-runs").tag("stage", "first")
        ...     [event.data["value"] for event in feed]
        ['first']
        """
        from runlore.engine.event_feed import EventFilter, Feed
        from runlore.engine.moments import position_of

        session = self._live
        chosen = EventFilter.checked(stream, topics, actor)
        start = self.position if after is None else position_of(session.log, after)
        return Feed(session, start, chosen, timeout_s)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The active experiments by name."""
        from runlore.experiment import Experiment

        return {experiment.name: experiment for experiment in Experiment.list(self)}

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """The compute targets by name: `local`, and those that were attached."""
        from runlore.compute_target import ComputeTarget

        return ComputeTarget.list(self)

    def get_run(self, run_id: str) -> Run:
        """The run of this id, whatever its experiment. Raises RunNotFound."""
        from runlore.run import Run

        return Run.get(self, run_id)

    def find_run(self, run_id: str) -> Run:
        """The run of this id, or the only one whose id starts with it.

        A whole id costs no query. Raises RunNotFound; InvalidInput, which lists the candidates,
        if several ids start so.
        """
        from runlore.run import Run

        try:
            return Run.get(self, run_id)
        except (RunNotFound, InvalidInput):
            reader = self._live.reader()
            candidates = run_id and reader.ids_that_start_with(run_id, _CANDIDATES + 1)
            if not candidates:  # Nor does every id start with no text at all.
                raise
        if len(candidates) > 1:
            shown = ", ".join(candidates[:_CANDIDATES])
            more = ", ..." if len(candidates) > _CANDIDATES else ""
            raise InvalidInput(
                f"{run_id!r} is the beginning of more than one run id; give more of one of: "
                f"{shown}{more}"
            )
        return Run.get(self, candidates[0])

    def get_run_records(
        self,
        experiment_name: str | None = None,
        *,
        parent_run_id: str | None = None,
        type: str | None = None,
        tags: Tags | Sequence[str] = None,
        properties: Tags | Sequence[str] = None,
        statuses: Sequence[str] = (),
        target: str | None = None,
        include_children: bool = False,
        sort: str | None = None,
        last: int | None = None,
    ) -> Sequence[dict[str, Any]]:
        """The runs that fit as whole records (`run.get_record()`), in one query, newest first.

        Of all experiments, or of the one named: the active one, else the one that was
        archived last. `parent_run_id` gives that run's children, with `include_children` all
        its descendants. `sort` is a field such as `start_time_utc`, `-` before it turns it
        round; `last` cuts the list. In the filters' dicts `...` stands for any value.

        Raises ExperimentNotFound, RunNotFound; InvalidInput for an unknown filter or sort key.
        """
        from runlore.azure.records import records_of

        which = RunFilter(
            below_run=parent_run_id,
            type=type,
            tags=tags,
            properties=properties,
            statuses=statuses,
            target=target,
            include_children=include_children,
        )
        return records_of(self._live, which, experiment_name=experiment_name, sort=sort, last=last)

    def get_details(self) -> dict[str, Any]:
        """The workspace's coordinates as a dict, in Azure's keys."""
        state = self._live.workspace
        return {
            "id": self._scope,
            "name": state.name,
            "location": state.location,
            "type": "runlore",
            "tags": dict(state.tags),
            "workspaceid": state.workspace_id,
            "friendlyName": state.name,
            "creationTime": utc_time(state.created_at).isoformat(),
            "storageAccount": str(self.path) if self.path else None,
        }

    def erase_run(
        self, run_id: str, *, reason: str, recursive: bool = False, timeout_s: float = 10.0
    ) -> None:
        """Destroys what is kept of a run that has ended: see docs/erasure.md.

        Names that stand elsewhere, the run's place in its tree, status and times stay. With
        `recursive` all its descendants go, too; all or none. Processes that have copies open are
        waited for. Erasing again finishes what was cut short.

        Raises NotErasable if the workspace was not made so; RunNotFound; InvalidInput if a run
        has not ended or without a reason; ErasureIncomplete, which says what is left and where.
        """
        from runlore.engine.erasure import erase

        session = self._live
        session.writable()
        run_ids = [run_id]
        if recursive:
            below = RunFilter(below_run=run_id, include_children=True)
            run_ids += [row.run_id for row in session.reader().runs(below)]
        erase(session, run_ids, reason, timeout_s)

    @property
    def audit(self) -> Audit:
        """What the log proves: verification, checkpoints, proofs, replay; see docs/audit.md."""
        from runlore.audit.accessor import Audit

        return Audit(self._live)

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        run: str | None = None,
        descendants: bool = True,
        experiment: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        artifacts: str = "bytes",
    ) -> Manifest:
        """Writes runs, or the whole log, to one file that proves itself: see docs/bundles.md.

        The conditions are those of `runlore.audit.bundles.selection.Selection`: a run must fit all
        that are given. `artifacts` is `bytes`, or `digests` to leave the bytes of files out.

        Raises RunNotFound, ExperimentNotFound; InvalidInput for options of no sense and in an
        erasable workspace; FileNotWritten if the file cannot be written.
        """
        from runlore.audit.bundles.export import export
        from runlore.audit.bundles.selection import Selection

        selection = Selection(
            run=run, descendants=descendants, experiment=experiment, since=since, until=until
        )
        return export(self._live, path, selection, artifacts=artifacts)

    def import_bundle(self, path: str | os.PathLike[str]) -> Imported:
        """Adds what a bundle holds and this workspace does not; twice is once.

        Raises BundleRefused for a file in which anything is wrong, ImportClash if other events
        are here under the same ids: then nothing was written. See docs/bundles.md.
        """
        from runlore.audit.bundles.imports import import_bundle

        return import_bundle(self._live, path)

    def sql(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> SqlResult:
        """The result of one SELECT over the views (`runs`, `tags`, `metrics` ...; see docs/sql.md).

        Sees every event that was committed, by any process, before the call. `params` fill `?`
        (sequence) or `$name` (mapping). The result gives `.arrow()`, `.pandas()`, `.polars()`
        and `.fetchall()`.

        Raises QueryRefused for anything that is not one reading SELECT, QueryFailed with
        DuckDB's message if it cannot be run.
        """
        return self._live.reader().sql(query, params)

    @property
    def log(self) -> EventLog:
        """The append-only log, for projections of your own; see docs/projections.md."""
        session = self._live
        session.flush()
        return session.log

    def close(self) -> None:
        """Writes what waits and lets go of all files; twice is once."""
        self._session.close()

    def __enter__(self) -> Self:
        self._session.check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def delete(self, *_: object, **__: object) -> None:
        """Not offered: a log is append-only. Remove the folder to get rid of a workspace."""
        raise OutOfScope(
            "the deletion of a workspace",
            f"close it and remove its folder {self.path} yourself",
        )

    def get_default_datastore(self) -> None:
        """Not covered, see `runlore.Datastore`."""
        raise OutOfScope("datastores", "read your data from paths; keep files with upload_file()")

    def __repr__(self) -> str:
        return (
            f"Workspace.create(name={self.name!r}, subscription_id={self.subscription_id!r}, "
            f"resource_group={self.resource_group!r})"
        )

    @property
    def _live(self) -> Session:
        self._session.check_open()
        return self._session

    @property
    def _scope(self) -> str:
        return config_file.scope_of(self.subscription_id, self.resource_group, self.name)


def workspace_of(session: Session) -> Workspace:
    """The workspace of an open session, for runlore's own packages."""
    return Workspace._of(session)


def session_of(workspace: Workspace) -> Session:
    """The open session of a workspace, for runlore's own packages. Raises WorkspaceClosed."""
    return workspace._live


def _address_of_name(name: str) -> Path | str:
    """The folder of the name in the working folder, or else where the nearest config leads."""
    folder = Path.cwd() / name
    if places.is_workspace(folder):
        return folder
    try:
        return config_file.address_in(config_file.find_config(None))
    except UserError:
        return folder


def _create(
    place: LogLocation,
    command: CreateWorkspace,
    *,
    exist_ok: bool,
    actor: str | None,
    allow_network_file_system: bool,
) -> LiveSession:
    from runlore.entry.wiring import open_session

    if place.folder is not None:
        places.make_folder(place.folder)
    session = open_session(
        place,
        actor=actor,
        allow_network_file_system=allow_network_file_system,
        erasable=command.erasable,
    )
    try:
        session.create_workspace(command)
        _check_created(session.workspace, command, place, exist_ok)
    except BaseException:
        session.close()
        raise
    return session


def _check_created(
    found: WorkspaceState, command: CreateWorkspace, place: LogLocation, exist_ok: bool
) -> None:
    """Raises AlreadyExists if the workspace is another than the one that was asked for."""
    if found.name != command.name:
        raise AlreadyExists(
            f"the workspace in {place} is named {found.name!r}, not {command.name!r}; "
            "choose another path"
        )
    if command.erasable and not found.erasable:
        raise AlreadyExists(
            f"the workspace in {place} was not made erasable, and cannot become erasable; choose "
            "another path"
        )
    if found.workspace_id != command.workspace_id and not exist_ok:
        raise AlreadyExists(
            f"there is a workspace {found.name!r} in {place} already; open it with "
            f"Workspace.open({str(place)!r}), or pass exist_ok=True"
        )
