"""A run: created, started, logged into, tagged, ended; each change an event in the log."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import uuid4

from runlore.conversion import as_pairs
from runlore.domain.errors import InvalidType, RunloreError, UserError
from runlore.exceptions import (
    ActivityFailedException,
    ExperimentExecutionException,
    OutOfScope,
)
from runlore.history import Change, history_of
from runlore.run_metrics import RunMetrics
from runlore.source import source_of

if TYPE_CHECKING:
    from typing import Self

    from runlore.experiment import Experiment, Tags
    from runlore.projections.rows import RunRow
    from runlore.session import FoldedRun
    from runlore.user_log import UserLog
    from runlore.workspace import Workspace

_DEFAULT_OUTPUTS: Final = "outputs"
_POLL_INTERVAL_S: Final = 0.02


class Run(RunMetrics):
    """A run of an experiment. `Run(experiment, run_id)` attaches to an existing one.

    Runs are started by `experiment.start_logging()`, `run.child_run()` and
    `run.create_children()`. Every change of a status, tag, property or file is on disk when the
    call returns; logged values within seconds. Several processes may change one run at once.
    Used with `with`, a run is completed at the end of the block, or failed with the exception
    that leaves it.

    >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
    >>> experiment = Experiment(ws, "explore-runs")
    >>> with experiment.start_logging(outputs=False, snapshot_directory=None) as run:
    ...     run.log("loss", 0.5)
    ...     run.log("loss", 0.25)
    ...     run.tag("quality", "fantastic run")
    >>> run.get_status(), run.get_metrics(), run.get_tags()
    ('Completed', {'loss': [0.5, 0.25]}, {'quality': 'fantastic run'})
    """

    _type_providers: ClassVar[dict[str, Callable[[Experiment, dict[str, Any]], Run]]] = {}

    def __init__(
        self, experiment: Experiment, run_id: str, outputs: object = None, **kwargs: object
    ) -> None:
        self._attach(experiment, experiment._live.existing_run(run_id), run_id)

    def _attach(self, experiment: Experiment, folded: FoldedRun, run_id: str) -> None:
        self._experiment = experiment
        self._id = run_id
        self._folded = folded
        self._values = None
        self._series = {}
        self._parent: Run | None = None
        self._row: RunRow | None = None
        self._user_log: UserLog | None = None

    @classmethod
    def _of(cls, experiment: Experiment, run_id: str, folded: FoldedRun | None = None) -> Self:
        run = cls.__new__(cls)
        run._attach(experiment, folded or experiment._workspace._session.run(run_id), run_id)
        return run

    # --- finding runs -----------------------------------------------------------------------

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """The run of this id. Raises RunNotFound."""
        from runlore.experiment import Experiment

        folded = workspace._live.existing_run(run_id)
        state = folded.state
        assert state is not None, "existing_run raises where there is none"
        experiment = Experiment._attached(workspace, state.experiment_name, state.experiment_id)
        return Run._of(experiment, run_id, folded)

    @staticmethod
    def list(
        experiment: Experiment,
        type: str | None = None,
        tags: Tags = None,
        properties: Tags = None,
        status: str | None = None,
        include_children: bool = False,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """The experiment's runs, newest first; see `Experiment.get_runs`."""
        pages = experiment._live.reader().runs(
            experiment_id=experiment.id,
            type=type,
            tags=tags,
            properties=properties,
            status=status,
            include_children=include_children,
        )
        return _from_rows(experiment.workspace, pages)

    @staticmethod
    def get_context(allow_offline: bool = True, **kwargs: object) -> Run:
        """The run that this process executes; see `runlore.context`."""
        from runlore.context import get_context

        return get_context(allow_offline)

    @staticmethod
    def add_type_provider(
        runtype: str, run_factory: Callable[[Experiment, dict[str, Any]], Run]
    ) -> None:
        """Makes lists give runs of a type as `run_factory(experiment, record)`.

        Raises InvalidInput (a ValueError) if the type has a factory already.
        """
        from runlore.domain.errors import InvalidInput

        if runtype in Run._type_providers:
            raise InvalidInput(f"run type {runtype!r} has a factory already")
        Run._type_providers[runtype] = run_factory

    # --- what it is -------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Deprecated by Azure: `run_<id>`; a child's is `<parent's name>><its own>`."""
        state = self._held
        parent = self.parent
        if parent is None:
            return state.name or f"run_{self.id}"
        return f"{parent.name}>{state.name or ''}"

    @property
    def display_name(self) -> str:
        """The name that people see; the id where none was given."""
        return self._newest().display_name or self.id

    @display_name.setter
    def display_name(self, display_name: str) -> None:
        from runlore.domain.run import SetDisplayName

        self._change(SetDisplayName(display_name))

    @property
    def description(self) -> str | None:
        """The description, as Markdown."""
        return self._newest().description

    @description.setter
    def description(self, description: str) -> None:
        from runlore.domain.run import SetDescription

        self._change(SetDescription(description))

    @property
    def type(self) -> str | None:
        """The run's type, else its property `azureml.runsource`."""
        state = self._held
        source = state.properties.get("azureml.runsource")
        return state.run_type or (source.value if source else None)

    @property
    def number(self) -> int:
        """The run's number in its experiment: 1 for the first that was created, and so on."""
        number: int = self._session.reader().run_number(self.id)
        return number

    @property
    def parent(self) -> Run | None:
        """The run that this one is a child of; None for a root."""
        parent_id = self._row.parent_id if self._row else self._held.parent_id
        if parent_id is not None and self._parent is None:
            self._parent = Run.get(self._workspace, parent_id)
        return self._parent

    @property
    def root(self) -> Run:
        """The topmost run of the tree; the run itself if it has no parent."""
        root_id = self._held.root_id
        return self if root_id == self.id else Run.get(self._workspace, root_id)

    @property
    def status(self) -> str:
        """The status as this object last read it; `get_status()` reads it anew."""
        return str(self._held.status)

    @property
    def tags(self) -> dict[str, str | None]:
        """The tags as this object last read them; `get_tags()` reads them anew."""
        return dict(self._held.tags)

    @property
    def properties(self) -> dict[str, str | None]:
        """The properties as this object last read them; `get_properties()` reads them anew."""
        return {key: held.value for key, held in self._held.properties.items()}

    def get_status(self) -> str:
        """The run's status now. A terminal one never changes, so it is not read again."""
        from runlore.domain.status import TERMINAL

        state = self._held
        return str((state if state.status in TERMINAL else self._newest()).status)

    def get_tags(self) -> dict[str, str | None]:
        """The run's tags now; a key-only tag has the value None."""
        self._newest()
        return self.tags

    def get_properties(self) -> dict[str, str | None]:
        """The run's properties now."""
        self._newest()
        return self.properties

    def get_details(self) -> dict[str, Any]:
        """The run as Azure ML's document: camelCase keys, those without a value absent."""
        from runlore.run_details import details_of

        state = self._newest()
        session = self._session
        files = {
            name: session.artifacts.path(artifact.sha256).as_uri()
            for name, artifact in self._log_files()
        }
        return details_of(
            state, log_files=files, submitted_by=session.journal.name_of(state.created_by)
        )

    def get_details_with_logs(self) -> dict[str, Any]:
        """`get_details()` with the text of the log files instead of their addresses."""
        details = self.get_details()
        for name in details["logFiles"]:
            with self._open_file(name) as file:
                details["logFiles"][name] = file.read().decode(errors="replace")
        return details

    def get_detailed_status(self) -> dict[str, str | None]:
        """`{"status", "details"}`; the details say what the run waits for, if anything."""
        state = self._newest()
        return {"status": str(state.status), "details": state.status_detail}

    def get_portal_url(self) -> str:
        """The link to the run's page in the Studio."""
        from runlore.workspace import PORTAL_URL

        return f"{PORTAL_URL}/runs/{self.id}?wsid={self._workspace._scope}"

    def history(self) -> Sequence[Change]:
        """Every change of the run in the order of the log: when, who, from what to what."""
        from runlore.domain.ids import values_prefix
        from runlore.storage.codec import fact_of

        session = self._session
        session.values.flush(self.id)
        facts = session.journal.facts(self._folded.stream)
        values = map(fact_of, session.log.read_streams(values_prefix(self.id)))
        return tuple(history_of(sorted([*facts, *values], key=_position), session.journal.name_of))

    # --- tags and properties ------------------------------------------------------------------

    def tag(self, key: str, value: object = None) -> None:
        """Sets a tag, whatever it was; without a value, a key-only one."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets or replaces tags, all in one commit; the others stay. Values become text."""
        from runlore.domain.run import SetTags

        self._change(SetTags(as_pairs(tags, "tag")))

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Takes tags away, by key; keys that are not there are passed over."""
        from runlore.domain.run import RemoveTags

        self._change(RemoveTags(tags))

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Gives the run properties, which never change: all of them, or none.

        The same value again is a no-op. Raises PropertyConflict (a ServiceException and a
        UserErrorException) if a key is held with another value; who tried is in the history.
        """
        from runlore.domain.run import AddProperties

        self._change(AddProperties(as_pairs(properties, "property")))

    # --- children -------------------------------------------------------------------------

    def child_run(
        self,
        name: str | None = None,
        run_id: str | None = None,
        outputs: bool | str | Sequence[str] | None = None,
    ) -> Run:
        """Starts a child run; it is Running when this returns. `outputs` None keeps no folder."""
        return Run._start(
            self._experiment,
            name=name,
            run_id=run_id,
            outputs=False if outputs is None else outputs,
            parent=self,
        )

    def create_children(
        self,
        count: int | None = None,
        tag_key: str | None = None,
        tag_values: Sequence[str] | None = None,
    ) -> Sequence[Run]:
        """Starts many children in one commit, all or none, and returns them in order.

        Either `count`, which tags them `azureml.batch_child_number` = 0, 1, ..., or one child per
        value of `tag_values`, tagged `tag_key` = value. No limit: 10,000 are one transaction.
        """
        return self._create(_children_tags(count, tag_key, tag_values))

    def get_children(
        self,
        recursive: bool = False,
        tags: Tags = None,
        properties: Tags = None,
        type: str | None = None,
        status: str | None = None,
        _rehydrate_runs: bool = True,
    ) -> Iterator[Run]:
        """The children, or with `recursive` all descendants, newest first; a generator.

        The filters (as in `Experiment.get_runs`) apply to each run by itself, so a descendant is
        found below a child that does not match.
        """
        pages = self._session.reader().children(
            self.id,
            recursive=recursive,
            tags=tags,
            properties=properties,
            type=type,
            status=status,
        )
        return _from_rows(self._workspace, pages)

    def submit_child(self, config: object, tags: object = None, **kwargs: object) -> Run:
        """Not in this version, which records interactive runs: use `child_run()`."""
        raise OutOfScope(
            "submitted scripts in this version", "call run.child_run() inside the script instead"
        )

    # --- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        """Makes a run Running that was created by somebody else."""
        self._change_status("Running")

    def complete(self, _set_status: bool = True) -> None:
        """Writes what waits, keeps the watched folders, and ends the run as Completed.

        Again is a no-op. Raises RunEnded on a run that failed or was canceled.
        """
        self._end("Completed", _set_status)

    def fail(
        self,
        error_details: str | BaseException | None = None,
        error_code: str | None = None,
        _set_status: bool = True,
    ) -> None:
        """Ends the run as Failed, with a message or an exception as the reason.

        Raises InvalidType (a TypeError) for details of another type, RunEnded as `complete`.
        """
        from runlore.run_details import error_document

        self._end("Failed", _set_status, error_document(error_details, error_code))

    def cancel(self) -> None:
        """Ends the run as Canceled. Raises RunEnded on a run that completed or failed."""
        if not self._owns_status:
            warnings.warn(f"run {self.id} is canceled by its launcher only", stacklevel=2)
            return
        self._end("Canceled", set_status=True)

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
    ) -> dict[str, Any]:
        """Returns `get_details()` once the run has ended, whoever ends it.

        Raises ActivityFailedException if it failed (unless `raise_on_error` is False),
        ExperimentExecutionException on Ctrl-C: the run then goes on.
        """
        from runlore.domain.status import TERMINAL

        if show_output:
            sys.stdout.write(f"RunId: {self.id}\nWeb View: {self.get_portal_url()}\n\n")
        try:
            while (state := self._newest()).status not in TERMINAL:
                time.sleep(_POLL_INTERVAL_S)
        except KeyboardInterrupt as error:
            raise ExperimentExecutionException(
                f"waiting for run {self.id} was interrupted; the run itself goes on, "
                "end it with run.cancel()"
            ) from error
        if state.status == "Failed" and raise_on_error:
            message = (state.error or {}).get("message", "no message was given")
            raise ActivityFailedException(f"Activity Failed: run {self.id}: {message}")
        return self.get_details()

    def __enter__(self) -> Self:
        from runlore.user_log import UserLog

        self._user_log = UserLog(tee=_DEFAULT_OUTPUTS in self._held.outputs)
        return self

    def __exit__(
        self,
        kind: object,
        error: BaseException | None,
        traceback: object,
    ) -> None:
        if self._user_log is not None:
            self._user_log.close()
        ended_well = error is None or (isinstance(error, SystemExit) and not error.code)
        if self._ended():
            self.flush()
        elif ended_well:
            self.complete()
        else:
            self._fail_with(error)

    # --- out of scope -------------------------------------------------------------------------

    def register_model(self, *args: object, **kwargs: object) -> None:
        """Not covered: runlore has no model registry."""
        raise OutOfScope("a model registry", "keep the model with run.upload_file()")

    def get_environment(self) -> None:
        """Not covered: interactive runs execute in their own process's environment."""
        raise OutOfScope("environments of runs", "keep the requirements with run.upload_file()")

    def get_secret(self, name: str) -> None:
        """Not covered: runlore keeps no secrets."""
        raise OutOfScope("Key Vault", "read secrets from your environment")

    def get_secrets(self, secrets: Sequence[str]) -> None:
        """Not covered: runlore keeps no secrets."""
        self.get_secret("")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Run)
            and self.id == other.id
            and self._workspace.uri == other._workspace.uri
        )

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        return (
            f"Run(Experiment: {self._experiment.name},\nId: {self.id},\nType: {self.type},\n"
            f"Status: {self.get_status()})"
        )

    def _repr_html_(self) -> str:
        from runlore.run_details import html_row

        return html_row(self._newest(), self.get_portal_url())

    # --- inside -----------------------------------------------------------------------------

    @classmethod
    def _start(
        cls,
        experiment: Experiment,
        *,
        name: str | None,
        run_id: str | None,
        outputs: bool | str | Sequence[str] | None,
        snapshot_directory: Path | None = None,
        display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        parent: Run | None = None,
    ) -> Run:
        from runlore.domain.run import CreateRun
        from runlore.domain.status import Status

        session = experiment._live
        if parent is None:
            experiment = experiment._for_new_runs()
        watched = _watched(outputs)
        properties, events = source_of(session, snapshot_directory)
        run = cls._of(experiment, run_id or str(uuid4()))
        command = CreateRun(
            run_id=run.id,
            experiment_id=experiment.id,
            experiment_name=experiment.name,
            status=Status.RUNNING,
            parent_id=parent.id if parent else None,
            root_id=parent._held.root_id if parent else run.id,
            target="local",
            name=name,
            display_name=display_name,
            description=description,
            outputs=watched,
            tags=as_pairs(tags, "tag"),
            properties=properties,
        )
        session.create_run(run._folded, command, events)
        run._open_values(fresh=True)
        run._parent = parent
        for folder in watched:
            Path(folder).mkdir(parents=True, exist_ok=True)
        return run

    def _create(self, children_tags: Sequence[Mapping[str, str | None]]) -> Sequence[Run]:
        from runlore.domain.run import CreateRun
        from runlore.domain.status import Status

        session = self._session
        root_id = self._held.root_id
        runs = [Run._of(self._experiment, str(uuid4())) for _ in children_tags]
        commands = [
            CreateRun(
                run_id=run.id,
                experiment_id=self._experiment.id,
                experiment_name=self._experiment.name,
                status=Status.RUNNING,
                parent_id=self.id,
                root_id=root_id,
                target="local",
                tags=tags,
            )
            for run, tags in zip(runs, children_tags, strict=True)
        ]
        session.create_runs([run._folded for run in runs], commands)
        for run in runs:
            run._parent = self
        return runs

    def _change_status(self, status: str, error: Mapping[str, str] | None = None) -> None:
        from runlore.domain.run import ChangeStatus
        from runlore.domain.status import Status

        self._change(ChangeStatus(Status(status), error), with_values=True)

    def _end(self, status: str, set_status: bool, error: Mapping[str, str] | None = None) -> None:
        teed = self._user_log is not None and self._user_log.teed
        self._collect((*self._held.outputs, *(("logs",) if teed else ())))
        if set_status and self._owns_status:
            self._change_status(status, error)
        else:
            self.flush()

    def _ended(self) -> bool:
        from runlore.domain.status import TERMINAL

        return self._newest().status in TERMINAL

    def _fail_with(self, error: BaseException | None) -> None:
        """Fails the run without standing in the way of the exception that leaves the block."""
        try:
            self.fail(error)
        except RunloreError as failure:
            warnings.warn(f"run {self.id} could not be recorded as failed: {failure}", stacklevel=3)

    def _self_and_descendants(self, run_type: str | None) -> Iterator[Run]:
        if run_type is None or self.type == run_type:
            yield self
        yield from self.get_children(recursive=True, type=run_type)


def get_run(experiment: Experiment, run_id: str, rehydrate: bool = True) -> Run:
    """The run of this id in the experiment's workspace. Raises RunNotFound."""
    return Run.get(experiment.workspace, run_id)


def _from_rows(workspace: Workspace, rows: Iterable[RunRow]) -> Iterator[Run]:
    from runlore.experiment import Experiment

    experiments: dict[str, Experiment] = {}
    for row in rows:
        experiment = experiments.get(row.experiment_id)
        if experiment is None:
            experiment = Experiment._attached(workspace, row.experiment, row.experiment_id)
            experiments[row.experiment_id] = experiment
        factory = Run._type_providers.get(row.run_type or "")
        if factory is not None:
            yield factory(experiment, row._asdict())
            continue
        run = Run._of(experiment, row.run_id)
        run._row = row
        yield run


def _position(fact: Any) -> int:
    position: int = fact.position
    return position


def _watched(outputs: bool | str | Sequence[str] | None) -> tuple[str, ...]:
    if outputs is None or outputs is True:
        return (_DEFAULT_OUTPUTS,)
    if outputs is False:
        return ()
    if isinstance(outputs, str | os.PathLike):
        return (os.fspath(outputs),)
    if not isinstance(outputs, Sequence) or not all(isinstance(o, str) for o in outputs):
        raise InvalidType(
            f"outputs takes True, False, a folder or a list of folders, got {outputs!r:.80}"
        )
    return tuple(outputs)


def _children_tags(
    count: int | None, tag_key: str | None, tag_values: Sequence[str] | None
) -> Sequence[Mapping[str, str | None]]:
    """One dict of tags per child; the errors have Azure ML's texts."""
    if count is None and tag_key is None and tag_values is None:
        raise UserError("Either count or tag_key and tag_values must be set")
    if count is not None and (tag_key is not None or tag_values is not None):
        raise UserError("count can not be set when tag_key and tag_values are set")
    if count is not None:
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise InvalidType(f"count must be a whole number from 0 on, got {count!r:.80}")
        return [{"azureml.batch_child_number": str(number)} for number in range(count)]
    if tag_key is None:
        raise UserError("tag_key must not be null when tag_values is set")
    if tag_values is None:
        raise UserError("tag_values must not be null when tag_key is set")
    if isinstance(tag_values, str):
        raise InvalidType(f"tag_values must be a list of values, got the str {tag_values!r:.80}")
    return [as_pairs({tag_key: value}, "tag") for value in tag_values]
