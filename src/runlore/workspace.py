"""A workspace: a folder that holds a log, or a log in memory for offline runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from runlore.azure import config_file
from runlore.azure.arguments import as_pairs
from runlore.azure.options import refuse_unknown
from runlore.azure.uncovered import DATA_INSTEAD, MODEL_INSTEAD, UncoveredAttribute
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
from runlore.domain.visible_text import visible
from runlore.domain.workspace import CreateWorkspace, WorkspaceState, decide
from runlore.engine import places
from runlore.engine.caller_warning import warn_caller
from runlore.engine.places import NotTrusted, check_workspace
from runlore.exceptions import OutOfScope
from runlore.projections.filters import RunFilter
from runlore.projections.query_limits import QueryLimits
from runlore.run.guesses import names_guesses
from runlore.storage import ownership
from runlore.storage.artifact_places import ArtifactPlace, given_place
from runlore.storage.open_log import locate

if TYPE_CHECKING:
    from typing import Self, Unpack

    from runlore.audit.accessor import Audit
    from runlore.audit.bundles.format import Manifest
    from runlore.audit.bundles.imports import Imported
    from runlore.audit.copying import Copied
    from runlore.azure.options import CreateOptions
    from runlore.compute_target import ComputeTarget
    from runlore.configuration.environment import Environment
    from runlore.engine.event_feed import Feed, LoggedEvent
    from runlore.engine.moments import Moment
    from runlore.engine.net_changes import NetChange
    from runlore.engine.runs.pruning import Pruned
    from runlore.engine.session import LiveSession, Session
    from runlore.experiment import Experiment, Tags
    from runlore.projections.user_sql import SqlResult
    from runlore.run import Run
    from runlore.storage.event_log import EventLog
    from runlore.storage.log_opener import LogLocation

_CANDIDATES: Final = 10


@names_guesses
class Workspace:
    """All experiments and runs of a folder. Get one by `create`, `open`, `get` or `from_config`.

    The constructor has Azure ML's shape: `Workspace(subscription_id, resource_group, name)`
    opens the workspace of that name, as `get` does. Any number of processes may have the same
    folder open; each sees the others' commits. Within a process they share one connection, and
    closing one leaves the others open. Usable from any thread and after a fork.

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
        artifacts: str | os.PathLike[str] | None = None,
        **azure_options: Unpack[CreateOptions],
    ) -> Workspace:
        """Create the folder and its log, and open the workspace.

        `path` is the folder, or a URI such as `sqlite:///absolute/folder`; by default `./<name>`.
        A new folder gets a `.gitignore` of `*`, so that git ignores a workspace inside a
        repository. `exist_ok` opens the workspace if it exists, whatever its name; its log says
        it. `erasable` encrypts the data of
        each run under a key of its own, so that `erase_run` can destroy it. `actor` is recorded
        with the changes: by default RUNLORE_ACTOR or the OS user. `artifacts` is a folder for the
        files of runs, on another disk perhaps, or an object store (`s3://bucket/prefix`); see
        docs/files.md. Subscription, resource group
        and location are stored and shown; Azure's other options (`auth`, `sku`,
        `storage_account`, ...) are ignored, unknown ones refused.

        In a submitted script's copy of the source, `exist_ok` opens the run's workspace if it has
        the name; a new workspace there gives a warning, because it is removed with the run.

        Raises AlreadyExists; InvalidInput for an invalid name or URI; InvalidType, a TypeError, for
        an unknown option; UnsafeFileSystem on a network mount; LogReadOnly or DiskFull if the
        folder cannot be written.
        """

        refuse_unknown(Workspace.create, azure_options)
        command = CreateWorkspace(
            workspace_id=str(uuid4()),
            name=name,
            subscription_id=subscription_id or "",
            resource_group=resource_group or "",
            location=location or "local",
            tags=as_pairs(tags, "tag"),
            erasable=erasable,
        )
        decide(None, command)  # Raises for invalid arguments, before anything is created.
        place = locate(Path.cwd() / name if path is None else path)
        if place.folder is not None and not places.is_workspace(place.folder):
            options = {
                "actor": actor,
                "allow_network_file_system": allow_network_file_system,
                "artifacts": artifacts,
            }
            found = _executing(name, place.folder, **options) if exist_ok else None
            if found is not None:
                return found
            _warn_of_the_runs_folder(place.folder)
        session = _create(
            place,
            command,
            exist_ok=exist_ok,
            actor=actor,
            allow_network_file_system=allow_network_file_system,
            artifacts=None if artifacts is None else given_place(artifacts, make=True),
        )
        return cls._of(session)

    @classmethod
    def open(
        cls,
        path_or_uri: str | os.PathLike[str],
        *,
        actor: str | None = None,
        allow_network_file_system: bool = False,
        artifacts: str | os.PathLike[str] | None = None,
    ) -> Workspace:
        """The workspace in a folder, given by its path or as `sqlite:///absolute/folder`.

        `actor` is recorded with the changes, as in `create`; workspaces of one folder may have
        different ones. `artifacts` is the place of the files of its runs, if they are neither in
        the workspace nor where the user's settings say; see docs/files.md. A folder without
        write permission is opened for reading; so is, with a
        warning, a workspace in which a newer runlore has recorded what this one does not know:
        changes raise LogTooNew. Raises WorkspaceNotFound; TooManyOpenFiles if this process may
        open no more files; NotALog if the folder's log belongs to another application;
        InvalidInput for a URI with an unknown scheme or a password.
        """
        from runlore.entry.wiring import open_existing
        from runlore.run import shown_metrics  # noqa: F401  (for later, as in `entry/wiring.py`)

        session = open_existing(
            locate(path_or_uri),
            actor=actor,
            allow_network_file_system=allow_network_file_system,
            artifacts=None if artifacts is None else given_place(artifacts),
        )
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
        """The workspace of a name: at `path` (a folder or URI), else in `./<name>`, else where
        the nearest config points.

        Raises WorkspaceNotFound if there is none, or if the workspace there has another name.
        """
        check_workspace_name(name)
        try:
            found = cls.open(_address_of_name(name) if path is None else path)
        except WorkspaceNotFound:
            executing = _executing(name, Path.cwd() if path is None else path)
            if executing is None:
                raise
            found = executing
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
        *,
        artifacts: str | os.PathLike[str] | None = None,
    ) -> Workspace:
        """The workspace that a config points to: a file, or the nearest one in or above a folder.

        One that was neither named nor in the folder that was, and that belongs to somebody else,
        does not count; see docs/azure.md. Raises WorkspaceNotFound, which says where it looked and
        how to create a workspace, or what to do about somebody else's config.
        """
        config = config_file.find_config(None if path is None else Path(path))
        try:
            return cls.open(config_file.address_in(config), artifacts=artifacts)
        except NotTrusted:
            raise
        except WorkspaceNotFound:
            found = _executing(config_file.name_in(config), config.project, artifacts=artifacts)
            if found is None:
                raise
            return found

    @staticmethod
    def list(
        subscription_id: str | None = None,
        auth: object = None,
        resource_group: str | None = None,
        *,
        path: str | os.PathLike[str] = ".",
    ) -> dict[str, Sequence[Workspace]]:
        """The workspaces in a folder and its subfolders by name, filtered by Azure's coordinates.

        Workspaces that cannot be opened (on a network mount, say) are skipped with a warning, and
        so are those of somebody else in subfolders that are not trusted.
        """
        found: dict[str, list[Workspace]] = {}
        top = places.folder_of(path)
        for folder in places.workspaces_in(top):
            try:
                if folder != top or os.fspath(path) == ".":
                    check_workspace(folder, folder)
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
        """Write `<path>/.azureml/config.json`, by which `from_config` finds this workspace."""
        session = self._live.writable()
        if session.is_memory:
            raise UserError(
                "a workspace in memory ends with its process; no config can point to it"
            )
        address = session.files or session.uri
        config_file.write_config(address, Path(path or "."), file_name, self._scope)

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
        """Whether runs can be erased, as decided when the workspace was created."""
        return self._session.erasable

    @property
    def path(self) -> Path | None:
        """The workspace's folder; None if its log is on a server or in memory."""
        return self._session.files

    @property
    def uri(self) -> str:
        """The URI that `open` takes in any process on this machine; `memory:<id>` if in memory."""
        return self._session.uri

    @property
    def position(self) -> int:
        """The last visible position of the log: the newest one, or the position of `as_of`."""
        return self._live.log.last_position()

    def as_of(self, moment: Moment) -> Workspace:
        """A read-only view of the workspace as it was at a moment.

        `moment` is a time, a position of the log, or a checkpoint (its text or file). A time is an
        aware datetime, or a text such as `2026-03-03`, `yesterday` or `2 hours ago`, without a
        zone in that of this machine. Answers never change, whatever is recorded later. A moment may
        fall between the events of one commit. Logged values appear at the position of their
        batch. A read costs as much as one of the present; see docs/time-travel.md.

        Raises MomentInFuture for a time that has not passed; InvalidInput for a position beyond
        the log's end, or a datetime without a zone. Changes raise PastIsReadOnly. The view need not
        be closed; closing it leaves this workspace open.

        >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
        >>> before = ws.position
        >>> Experiment(ws, "explore-runs").name, list(ws.as_of(before).experiments)
        ('explore-runs', [])
        """
        from runlore.engine.moments import position_in
        from runlore.engine.past import PastSession

        session = self._live
        return Workspace._of(PastSession.of(session, position_in(session, moment)))

    def diff(
        self, a: Moment, b: Moment | None = None, *, run: Run | str | None = None
    ) -> Sequence[NetChange]:
        """The creations, changes and removals between two moments, in the order of the log.

        `b` is now by default; `run` selects one run. Changes are net: those that were reverted are
        left out, and several changes of one thing count as one. Costs two reads of the tables and
        no replay. Raises InvalidInput if `a` is later than `b`, RunNotFound.

        >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
        >>> before = ws.position
        >>> Experiment(ws, "explore-runs").tag("stage", "first")
        >>> [(change.what, change.kind, change.key, change.new) for change in ws.diff(before)]
        [('experiment', 'created', None, 'active'), ('experiment_tag', 'created', 'stage', 'first')]
        """
        from runlore.engine.moments import position_in
        from runlore.engine.net_changes import net_changes

        session = self._live
        session.before_read()
        end = self.position if b is None else position_in(session, b)
        run_id = run if run is None or isinstance(run, str) else run.id
        return net_changes(session, position_in(session, a), end, run_id=run_id)

    def events(
        self,
        after: Moment = 0,
        *,
        stream: str | None = None,
        topics: str | Sequence[str] | None = None,
        actor: str | None = None,
    ) -> Iterator[LoggedEvent]:
        """The events after a moment, in order, each with its writer; a generator.

        All events, or those of a stream (`run/<id>`, its values included), of topics
        (`run.tag_set`) and of an actor. Stops at the end that the log had at the first event, and
        holds one page of events in memory. The call itself raises InvalidInput or InvalidType for
        invalid arguments.

        >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
        >>> _ = Experiment(ws, "explore-runs")
        >>> [event.topic for event in ws.events(after=2)]
        ['experiment.created']
        """
        from runlore.engine.event_feed import EventFilter, events
        from runlore.engine.moments import position_in

        session = self._live
        session.before_read()
        chosen = EventFilter.checked(stream, topics, actor)
        return events(session, position_in(session, after), chosen)

    def subscribe(
        self,
        after: Moment | None = None,
        *,
        stream: str | None = None,
        topics: str | Sequence[str] | None = None,
        actor: str | None = None,
        timeout_s: float | None = None,
    ) -> Feed:
        """A feed of the events after a moment, by default from now on; filtered as by `events`.

        Continues with new events of any process, each once and in order, until it is stopped or
        none comes for `timeout_s`; see `runlore.engine.event_feed.Feed` to resume.

        >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
        >>> with ws.subscribe(topics="experiment.tag_set", timeout_s=0) as feed:
        ...     Experiment(ws, "explore-runs").tag("stage", "first")
        ...     [event.data["value"] for event in feed]
        ['first']
        """
        from runlore.engine.event_feed import EventFilter, Feed
        from runlore.engine.moments import position_in

        session = self._live
        chosen = EventFilter.checked(stream, topics, actor)
        start = self.position if after is None else position_in(session, after)
        return Feed(session, start, chosen, timeout_s)

    @property
    def experiments(self) -> dict[str, Experiment]:
        """The active experiments by name."""
        from runlore.experiment import Experiment, Experiments

        return Experiments((found.name, found) for found in Experiment.list(self))

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """The compute targets by name: `local`, and those that were attached."""
        from runlore.compute_target import ComputeTarget

        return ComputeTarget.list(self)

    def get_run(self, run_id: str) -> Run:
        """The run with this id, in any experiment. Raises RunNotFound."""
        from runlore.run import Run

        return Run.get(self, run_id)

    def find_run(self, run_id: str) -> Run:
        """The run with this id, or the only one whose id starts with it.

        A full id needs no query. Raises RunNotFound; InvalidInput, which lists the candidates,
        if several ids start with the text.
        """
        from runlore.run import Run

        try:
            return Run.get(self, run_id)
        except (RunNotFound, InvalidInput):
            reader = self._live.reader()
            candidates = run_id and reader.ids_that_start_with(run_id, _CANDIDATES + 1)
            if not candidates:  # The empty text matches no id, rather than every one.
                raise
        if len(candidates) > 1:
            shown = ", ".join(candidates[:_CANDIDATES])
            more = ", ..." if len(candidates) > _CANDIDATES else ""
            raise InvalidInput(
                f"several run ids start with {run_id!r}; give more characters of one of: "
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
        statuses: Sequence[str] | None = None,
        target: str | None = None,
        include_children: bool = False,
        include_archived: bool = False,
        sort: str | None = None,
        last: int | None = None,
    ) -> Sequence[dict[str, Any]]:
        """The matching runs as complete records (`run.get_record()`), in one query, newest first.

        Of all experiments, or of the one named: the active one, else the one archived last.
        `parent_run_id` selects that run's children, with `include_children` all its descendants;
        archived runs are included among these, elsewhere only with `include_archived`.
        `sort` is a field such as `start_time_utc`, or `-start_time_utc` for descending order;
        `last` is the maximum number of records. In the filters' dicts `...` matches any value.

        Raises ExperimentNotFound, RunNotFound; InvalidInput for an unknown filter or sort key.
        """
        from runlore.azure.records import records_of

        which = RunFilter(
            below_run=parent_run_id,
            type=type,
            tags=tags,
            properties=properties,
            statuses=statuses or (),
            target=target,
            include_children=include_children,
            include_archived=include_archived,
        )
        return records_of(self._live, which, experiment_name=experiment_name, sort=sort, last=last)

    def runs_table(
        self,
        where: str | None = None,
        *,
        columns: Sequence[str] | None = None,
        metrics: str | Sequence[str] = "last",
        sort: str | None = None,
        limit: int | None = None,
        include_children: bool = False,
    ) -> SqlResult:
        """A row per run of all experiments; see `Experiment.runs_table`."""
        which = RunFilter(where=where, include_children=include_children)
        return self._live.reader().runs_table(
            which, columns=columns, metrics=metrics, sort=sort, limit=limit
        )

    def get_details(self) -> dict[str, Any]:
        """The workspace's coordinates as a dict with Azure's keys."""
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

    def overview(self) -> dict[str, Any]:
        """What the workspace holds: events, experiments, and runs, all of them and by status.

        The present also has the number of logged values that wait in this machine's spools for the
        log, and the `writers`: the processes that write now, on a server those of other machines
        too. A log in a folder has its size as `log_nbytes`. The past has none of these.

        >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
        >>> run = Experiment(ws, "first").start_logging(outputs=False, snapshot_directory=None)
        >>> found = ws.overview()
        >>> found["runs_by_status"], len(found["writers"])
        ({'Running': 1}, 1)
        """
        from runlore.engine.inspection.overview import overview

        return overview(self._live)

    def erase_run(
        self, run_id: str, *, reason: str, recursive: bool = False, timeout_s: float = 10.0
    ) -> None:
        """Destroy the data of a run that has ended; see docs/erasure.md.

        Names that occur elsewhere, the run's place in its tree, its status and times stay.
        `recursive` erases all its descendants as well; all or none. Waits up to `timeout_s` for
        processes that have copies open. Erasing again completes an interrupted erasure.

        Raises NotErasable if the workspace was not created erasable; RunNotFound; InvalidInput if
        a run has not ended or the reason is empty; ErasureIncomplete, which lists the remaining
        copies.
        """
        from runlore.engine.erasure import erase

        session = self._live
        session.writable()
        run_ids = [run_id]
        if recursive:
            below = RunFilter(below_run=run_id, include_children=True)
            run_ids += [row.run_id for row in session.reader().runs(below)]
        erase(session, run_ids, reason, timeout_s)

    def prune_files(
        self,
        files: str,
        *,
        reason: str | None = None,
        dry_run: bool = True,
        experiment: str | None = None,
        keep_last: int | None = None,
        keep_best_by: str | None = None,
        keep_best: int = 1,
        goal: str = "max",
        keep_newer_than: Moment | None = None,
    ) -> Pruned:
        """Give up the content of files of runs that have ended, such as old checkpoints.

        `files` is a pattern of names (`outputs/checkpoints/*`). A file stays if any rule says so:
        the `keep_last` files of each run, all files of the `keep_best` runs with the best values
        (`goal` max or min) of the metric `keep_best_by`, files kept since `keep_newer_than`.
        Name, digest and size stay in the log, with who gave the content up, and why. Bytes that
        anything else needs stay. By default nothing happens, and the result says what would.

        Raises InvalidInput without a rule, or without a reason for more than a dry run. See
        docs/files.md.
        """
        from runlore.engine.runs.pruning import Keep, prune

        keep = Keep(
            last=keep_last,
            best_by=keep_best_by,
            best=keep_best,
            goal=goal,
            newer_than=keep_newer_than,
        )
        return prune(self._live, files, keep, experiment=experiment, reason=reason, dry_run=dry_run)

    def place_files(self, place: str | os.PathLike[str]) -> int:
        """Keep the files of all runs in another place from now on, and say so in the log.

        `place` is a folder, its `file:` URI, or `s3://bucket/prefix`, `gs://...`, `az://...`.
        Files go there first; returns how many were copied. You trust the place by this; others who
        open the workspace must do so by `runlore trust`. Raises InvalidInput for another address,
        and in an erasable workspace; StoreUnavailable.
        """

        found = given_place(place, make=True)
        count = self._live.writable().place_files(found)
        ownership.trust([str(found)])
        return count

    def deliver_files(self) -> int:
        """Bring files that wait on this machine to the object store; return how many.

        They wait if the store refused them or did not answer. Raises StoreUnavailable if it still
        does; see docs/files.md.
        """
        return self._live.writable().deliver_files()

    @property
    def audit(self) -> Audit:
        """Verification, checkpoints, proofs and replay of the log; see docs/audit.md."""
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
        """Write runs, or the whole log, to one file that can be verified on its own: a bundle.

        The conditions are those of `runlore.audit.bundles.selection.Selection`: a run must meet
        all that are given. `artifacts` is `bytes`, or `digests` to leave out the files' content.
        See docs/bundles.md.

        Raises RunNotFound, ExperimentNotFound; InvalidInput if the options contradict each other,
        and in an erasable workspace; FileNotWritten if the file cannot be written.
        """
        from runlore.audit.bundles.export import export
        from runlore.audit.bundles.selection import Selection

        selection = Selection(
            run=run, descendants=descendants, experiment=experiment, since=since, until=until
        )
        return export(self._live, path, selection, artifacts=artifacts)

    def import_bundle(self, path: str | os.PathLike[str]) -> Imported:
        """Add the events and files of a bundle that this workspace does not have. Idempotent.

        Raises BundleRefused if anything in the file is wrong; ImportClash if this workspace has
        other events under the same ids. Then nothing was written. See docs/bundles.md.
        """
        from runlore.audit.bundles.imports import import_bundle

        return import_bundle(self._live, path)

    def copy_to(
        self,
        path_or_uri: str | os.PathLike[str],
        *,
        progress: Callable[[int, int], object] | None = None,
    ) -> Copied:
        """Move the workspace to a new folder or URI; this one can only be read from then on.

        Events keep their positions, times, metadata and leaves, which are verified on the way. The
        audit files go along, and so do the files of runs, unless your settings name one folder for
        both. The keys of an erasable workspace are handed over: here its runs can no longer be
        read. A call that was interrupted can be repeated. To move back is a move as well.

        Writers of this workspace get LogMoved, which names the new place, also those that go on
        elsewhere. Values that they log here wait in their machine's spools: when they have ended,
        call this there again, which moves them.

        Raises StillInUse while processes of this host write to it, runs execute or values wait;
        AlreadyExists if something else is in the new place; LogCorrupt if an event is damaged.
        `progress` is called with the number of events that are copied, and of all. See
        docs/copies.md.
        """
        from runlore.audit.copying import copy_workspace, take_over
        from runlore.entry.wiring import open_existing

        source, place = self._live.writable(), locate(path_or_uri)
        copied = copy_workspace(source, place, progress=progress)
        return take_over(source, copied, lambda: open_existing(place))

    def sql(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        isolated: bool = False,
        timeout_s: float | None = None,
        memory_limit: int | str | None = None,
    ) -> SqlResult:
        """The result of one SELECT over the views (`runs`, `tags`, `metrics` ...; see docs/sql.md).

        Sees every event that any process committed before the call. `params` fill `?` (sequence)
        or `$name` (mapping). The result has `.fetchall()`, `.polars()`, `.pandas()` and, with
        `pip install 'runlore[arrow]'`, `.arrow()`.

        `timeout_s` and `memory_limit` (bytes or a size such as "2GB", by default 1 GB) are DuckDB's
        own limits, which do not hold within one value, and neither does Ctrl-C. `isolated` runs the
        query in a process of its own, which is killed if it does not obey: then they hold for any
        query, and the memory is that of the whole process. It needs a workspace in a folder.

        Raises QueryRefused for anything but one SELECT of what docs/sql.md lists; QueryFailed, with
        DuckDB's message, if the query fails; QueryTimedOut and QueryTooLarge beyond a limit;
        InvalidInput for a limit that cannot be.
        """
        limits = QueryLimits.of(timeout_s, memory_limit, of_process=isolated)
        session = self._live
        return (session.isolated() if isolated else session.reader()).sql(query, params, limits)

    @property
    def log(self) -> EventLog:
        """The append-only log, for projections of your own; see docs/projections.md."""
        session = self._live
        session.before_read()
        return session.log

    def close(self) -> None:
        """Write buffered values and close all files. Idempotent."""
        self._session.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._session.closed

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

    def delete(self, delete_dependent_resources: bool = False, no_wait: bool = False) -> None:
        """Not offered: a log is append-only. Remove the folder to get rid of a workspace."""
        raise OutOfScope(
            "the deletion of a workspace",
            f"close it and remove its folder {self.path} yourself",
        )

    @property
    def sku(self) -> str:
        """Azure's edition of a workspace."""
        return "Basic"

    @property
    def environments(self) -> dict[str, Environment]:
        """The registered environments: none, see `Environment.register`."""
        return {}

    datasets = UncoveredAttribute("datasets", DATA_INSTEAD)
    datastores = UncoveredAttribute("datastores", DATA_INSTEAD)
    set_default_datastore = UncoveredAttribute("datastores", DATA_INSTEAD)
    images = UncoveredAttribute("images", "submit from inside the image")
    linked_services = UncoveredAttribute("services of Azure", DATA_INSTEAD)
    models = UncoveredAttribute("a model registry", MODEL_INSTEAD)
    webservices = UncoveredAttribute("web services", "serve the model with a server of your own")
    get_default_keyvault = UncoveredAttribute("Key Vault", "read secrets from your environment")
    get_mlflow_tracking_uri = UncoveredAttribute(
        "a server for MLflow", "log with runlore, or give MLflow a folder of its own"
    )

    def get_default_datastore(self) -> None:
        """Not covered, see `runlore.Datastore`."""
        raise OutOfScope("datastores", "read your data from paths; keep files with upload_file()")

    def __repr__(self) -> str:
        return visible(
            f"Workspace.create(name={self.name!r}, subscription_id={self.subscription_id!r}, "
            f"resource_group={self.resource_group!r})"
        )

    def __copy__(self) -> Self:
        """Another object for the same session, in this process."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled and deeply copied by its URI: it is opened anew, and other processes write anew.

        Raises InvalidInput for a workspace in memory, which other processes cannot open.
        """
        from runlore.engine.past import PastSession

        session = self._live
        if session.is_memory:
            raise InvalidInput(
                f"workspace {self.name!r} is in the memory of this process, so it cannot be "
                "pickled or copied; create one in a folder with Workspace.create('my-workspace')"
            )
        position = session.position if isinstance(session, PastSession) else None
        return _reopened, (self.uri, session.opening, position)

    @property
    def _live(self) -> Session:
        self._session.check_open()
        return self._session

    @property
    def _scope(self) -> str:
        return config_file.scope_of(self.subscription_id, self.resource_group, self.name)


def _reopened(uri: str, opening: Mapping[str, Any], position: int | None) -> Workspace:
    workspace = Workspace.open(uri, **opening)
    return workspace if position is None else workspace.as_of(position)


def workspace_of(session: Session) -> Workspace:
    """The workspace of an open session, for runlore's own packages."""
    return Workspace._of(session)


def session_of(workspace: Workspace) -> Session:
    """The open session of a workspace, for runlore's own packages. Raises WorkspaceClosed."""
    return workspace._live


def _executing(name: str, place: str | os.PathLike[str], **options: Any) -> Workspace | None:
    """The workspace of the run that this process executes, if it has the name.

    Only where the name means nothing else: in the run's copy of the source, which has no copy of
    the workspaces in it. None elsewhere.
    """
    run = places.this_run()
    folder = locate(place).folder
    if run is None or folder is None or not run.holds(folder):
        return None
    found = Workspace.open(run.uri, **options)
    if found.name == name:
        return found
    found.close()
    return None


def _warn_of_the_runs_folder(folder: Path) -> None:
    run = places.this_run()
    if run is not None and run.holds(folder):
        warn_caller(
            f"the new workspace in {folder} will be removed when run {run.run_id} ends, with the "
            "run's copy of the source; log into the run itself with Run.get_context() or "
            "runlore.init(), or create the workspace in a folder elsewhere"
        )


def _address_of_name(name: str) -> Path | str:
    """The folder of the name in the working folder, else where the nearest config points."""
    folder = Path.cwd() / name
    if places.is_workspace(folder):
        return folder
    try:
        return config_file.address_in(config_file.find_config(None))
    except NotTrusted:
        raise
    except UserError:
        return folder


def _create(
    place: LogLocation,
    command: CreateWorkspace,
    *,
    exist_ok: bool,
    actor: str | None,
    allow_network_file_system: bool,
    artifacts: ArtifactPlace | None,
) -> LiveSession:
    from runlore.entry.wiring import open_session
    from runlore.run import shown_metrics  # noqa: F401  (for later, as in `entry/wiring.py`)

    if place.folder is not None:
        places.make_folder(place.folder, private=command.erasable)
    session = open_session(
        place,
        actor=actor,
        allow_network_file_system=allow_network_file_system,
        erasable=command.erasable,
        artifacts=artifacts,
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
    """Raise AlreadyExists if the workspace is not the requested one.

    Its name is what its log says: folders are renamed, moved and mounted elsewhere.
    """
    if command.erasable and not found.erasable:
        raise AlreadyExists(
            f"the workspace in {place} was not created erasable, and this cannot change later; "
            "choose another path"
        )
    if found.workspace_id != command.workspace_id and not exist_ok:
        raise AlreadyExists(
            f"there is already a workspace {found.name!r} in {place}; open it with "
            f"Workspace.open({str(place)!r}), or pass exist_ok=True"
        )
