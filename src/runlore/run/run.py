"""A run, and the lists of runs. Each change of a run is an event in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn, SupportsIndex

from runlore.azure.arguments import children_tags
from runlore.azure.options import refuse_unknown
from runlore.azure.run_types import SCRIPT_RUN
from runlore.azure.uncovered import DATA_INSTEAD, UncoveredAttribute
from runlore.domain.errors import InvalidInput, RunNotFound
from runlore.domain.visible_text import visible
from runlore.engine.caller_warning import warn_caller
from runlore.exceptions import OutOfScope
from runlore.projections.filters import RunFilter, statuses_of
from runlore.run.config import RunConfig
from runlore.run.files import RunFiles
from runlore.run.guesses import names_guesses
from runlore.run.lifecycle import RunLifecycle
from runlore.run.metrics import RunMetrics
from runlore.run.rollup import RunRollup
from runlore.run.tags import RunTags

if TYPE_CHECKING:
    from typing import Self, Unpack

    from runlore.azure.options import ContextOptions, ScriptRunOptions, SubmitOptions
    from runlore.compute_target import ComputeTarget
    from runlore.configuration.script_run_config import ScriptRunConfig
    from runlore.engine.moments import Moment
    from runlore.engine.net_changes import NetChange
    from runlore.engine.runs.creation import Outputs
    from runlore.engine.runs.handle import RunHandle
    from runlore.engine.runs.history import Change
    from runlore.experiment import Experiment, Tags
    from runlore.projections.rows import RunRow
    from runlore.workspace import Workspace


@names_guesses
class Run(RunTags, RunConfig, RunFiles, RunMetrics, RunRollup, RunLifecycle):
    """A run of an experiment. `Run(experiment, run_id)` attaches to an existing one.

    Only the object that started a run keeps its output folders when the run ends; an attached
    object keeps the folders that it was given as `outputs`.

    Runs are started by `experiment.start_logging()`, `run.child_run()` and
    `run.create_children()`. Every change of a status, tag, property or file is on disk when the
    call returns; logged values within seconds. Several processes may change one run at once.
    A `with` block completes the run at its end, or fails it with the exception that leaves the
    block.

    >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
    >>> experiment = Experiment(ws, "explore-runs")
    >>> with experiment.start_logging(outputs=False, snapshot_directory=None) as run:
    ...     run.log("loss", 0.5)
    ...     run.log("loss", 0.25)
    ...     run.tag("quality", "fantastic run")
    >>> run.get_status(), run.get_metrics(), run.get_tags()
    ('Completed', {'loss': [0.5, 0.25]}, {'quality': 'fantastic run'})
    """

    _experiment: Experiment
    _parent: Run | None = None
    # The run's row, if the run was listed.
    _row: RunRow | None = None

    _type_providers: ClassVar[dict[str, Callable[[Experiment, dict[str, Any]], Run]]] = {}

    def __init__(
        self,
        experiment: Experiment,
        run_id: str,
        outputs: Outputs = None,
        **azure_options: Unpack[ScriptRunOptions],
    ) -> None:
        from runlore.engine.runs.creation import make_folders, watched_folders
        from runlore.engine.runs.handle import RunHandle
        from runlore.workspace import session_of

        kind = "ScriptRun" if isinstance(self, ScriptRun) else "Run"
        refuse_unknown(type(self), azure_options, name=f"{kind}.__init__")
        handle = RunHandle.existing(session_of(experiment.workspace), run_id)
        self._attach(_experiment_of(experiment.workspace, handle), handle)
        handle.watched = watched_folders(outputs or False)
        make_folders(handle.watched)

    def _attach(self, experiment: Experiment, handle: RunHandle) -> None:
        self._experiment = experiment
        self._id = handle.id
        self._session = handle.session
        self._made_handle = handle

    @classmethod
    def _of(cls, experiment: Experiment, handle: RunHandle, parent: Run | None = None) -> Self:
        run = cls.__new__(cls)
        run._attach(experiment, handle)
        run._parent = parent
        return run

    def __copy__(self) -> Self:
        """Another object for the same run, which goes on with its series, in this process."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled and deeply copied by its workspace's URI and its id, as an attached object.

        In another process it logs as another writer. It does not keep output folders at its end.
        """
        return get_run, (self._experiment, self._id)

    # --- finding runs -----------------------------------------------------------------------

    @staticmethod
    def get(workspace: Workspace, run_id: str) -> Run:
        """The run with this id. Raises RunNotFound."""
        from runlore.engine.runs.handle import RunHandle
        from runlore.workspace import session_of

        handle = RunHandle.existing(session_of(workspace), run_id)
        return run_of(_experiment_of(workspace, handle), handle)

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
        which = RunFilter(
            experiment_id=experiment.id,
            type=type,
            tags=tags,
            properties=properties,
            statuses=statuses_of(status),
            include_children=include_children,
        )
        return matching_runs(experiment.workspace, which)

    @staticmethod
    def get_context(allow_offline: bool = True, **azure_options: Unpack[ContextOptions]) -> Run:
        """The run that this process executes; see `runlore.entry.context`."""
        from runlore.entry.context import get_context

        refuse_unknown(Run.get_context, azure_options)
        return get_context(allow_offline)

    @staticmethod
    def add_type_provider(
        runtype: str, run_factory: Callable[[Experiment, dict[str, Any]], Run]
    ) -> None:
        """Make lists return runs of a type as `run_factory(experiment, record)`.

        Raises InvalidInput (a ValueError) if the type already has a factory.
        """
        if runtype in Run._type_providers:
            raise InvalidInput(f"run type {runtype!r} already has a factory")
        Run._type_providers[runtype] = run_factory

    # --- attributes -------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The run's id, unique in the workspace."""
        return self._id

    @property
    def _run_id(self) -> str:
        """The run's id: public scripts for Azure read this attribute."""
        return self._id

    @property
    def _run_dto(self) -> dict[str, Any]:
        """What public scripts for Azure read of the service's record of the run."""
        return {
            "run_id": self._id,
            "status": self.get_status(),
            "tags": self.get_tags(),
            "properties": self.get_properties(),
        }

    @property
    def experiment(self) -> Experiment:
        """The experiment that holds the run."""
        return self._experiment

    @property
    def name(self) -> str:
        """Deprecated by Azure: `run_<id>`; a child's is `<parent's name>><its own>`."""
        state = self._handle.state
        parent = self._find_parent()
        if parent is None:
            return state.name or f"run_{self.id}"
        return f"{parent.name}>{state.name or ''}"

    @property
    def display_name(self) -> str:
        """The name to display; the id if none was given."""
        return self._handle.fetch().display_name or self.id

    @display_name.setter
    def display_name(self, display_name: str) -> None:
        from runlore.domain.run_commands import (
            SetDisplayName,
        )

        self._handle.change(SetDisplayName(display_name))

    @property
    def description(self) -> str | None:
        """The description, as Markdown."""
        return self._handle.fetch().description

    @description.setter
    def description(self, description: str) -> None:
        from runlore.domain.run_commands import (
            SetDescription,
        )

        self._handle.change(SetDescription(description))

    @property
    def type(self) -> str | None:
        """The run's type, or else its property `azureml.runsource`."""
        state = self._handle.state
        source = state.properties.get("azureml.runsource")
        return state.run_type or (source.value if source else None)

    @property
    def number(self) -> int:
        """The run's number in its experiment, in the order of creation, from 1."""
        return self._handle.session.reader().run_number(self.id)

    @property
    def erased(self) -> bool:
        """Whether the run was erased; then only its id, place, status and times are left."""
        return self._handle.fetch().erased

    @property
    def parent(self) -> Run | None:
        """The run's parent; None for a root, or if the run was imported without its parent."""
        return self._find_parent()

    def _find_parent(self) -> Run | None:
        parent_id = self._row.parent_id if self._row else self._handle.state.parent_id
        if parent_id is not None and self._parent is None:
            with suppress(RunNotFound):
                self._parent = Run.get(self._experiment.workspace, parent_id)
        return self._parent

    @property
    def root(self) -> Run:
        """The topmost run of the tree; the run itself if it has no parent."""
        root_id = self._handle.state.root_id
        if root_id == self.id:
            return self
        try:
            return Run.get(self._experiment.workspace, root_id)
        except RunNotFound:  # The run was imported without its ancestors.
            return self if self.parent is None else self.parent.root

    def get_record(self) -> dict[str, Any]:
        """The run as one flat record: Azure ML's `RunDto` in snake_case and `_experiment_name`.

        `tags` and `properties` are never None. `Workspace.get_run_records` returns the same.
        """
        from runlore.azure.records import of_state

        record = of_state(self._handle.fetch(), self._handle.session)
        detail = self._handle.shown_detail
        return {
            **record,
            "status": self._handle.shown_status,
            "queueing_info": None if detail is None else {"message": detail},
        }

    def history(self) -> Sequence[Change]:
        """Every change of the run in the order of the log, with its time, writer and values."""
        from runlore.engine.runs.history import changes_of

        return changes_of(self._handle)

    def diff(self, a: Moment, b: Moment | None = None) -> Sequence[NetChange]:
        """The net changes of the run between two moments; see `Workspace.diff`."""
        return self._experiment.workspace.diff(a, b, run=self)

    def get_metrics(
        self,
        name: str | None = None,
        recursive: bool = False,
        run_type: str | None = None,
        populate: bool = False,
    ) -> dict[str, Any]:
        """The metrics as Azure ML shows them: `{name: value}`.

        A single value is itself, several are a list in the order of logging; a single row is
        `{column: value}`, several are `{column: [values]}`. Images and other documents are
        addresses, or with `populate` their content (bytes, dict). An unknown `name` gives {}.
        `recursive` gives `{run id: metrics}` for the run and its descendants, if they have any.
        """
        from runlore.run.shown_metrics import shown_metrics

        if not recursive:
            return shown_metrics(self._handle, name, populate=populate)
        found = {
            run.id: shown_metrics(handle_of(run), name, populate=populate)
            for run in self._self_and_descendants(run_type)
        }
        return {run_id: metrics for run_id, metrics in found.items() if metrics}

    def get_system_metrics(self) -> dict[str, Sequence[Any]]:
        """What was sampled of the machine, by names as `cpu_percent`, in the order of time.

        `run.values("system/cpu_percent")` has the times as well; see docs/capture.md.
        """
        from runlore.run.shown_metrics import system_metrics

        return system_metrics(self._handle)

    # --- children -------------------------------------------------------------------------

    def child_run(
        self,
        name: str | None = None,
        run_id: str | None = None,
        outputs: Outputs = None,
    ) -> Run:
        """Start a child run; it is Running when this returns. `outputs` None keeps no folder."""
        from runlore.engine.runs.creation import start_run

        handle = start_run(
            self._handle.session,
            self._experiment.id,
            self._experiment.name,
            name=name,
            run_id=run_id,
            outputs=False if outputs is None else outputs,
            parent=self._handle,
        )
        return Run._of(self._experiment, handle, parent=self)

    def create_children(
        self,
        count: SupportsIndex | None = None,
        tag_key: str | None = None,
        tag_values: Iterable[object] | None = None,
    ) -> Sequence[Run]:
        """Start many children in one commit, all or none, and return them in order.

        Either `count`, which tags them `azureml.batch_child_number` = 0, 1, ..., or one child per
        value of `tag_values`, tagged `tag_key` = value. Their number is not limited.
        """
        from runlore.engine.runs.creation import start_children

        children = start_children(self._handle, children_tags(count, tag_key, tag_values))
        return [Run._of(self._experiment, child, parent=self) for child in children]

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

        The filters (as in `Experiment.get_runs`) apply to each run on its own: a descendant can
        match even if its parent does not.
        """
        which = RunFilter(
            below_run=self.id,
            include_children=recursive,
            tags=tags,
            properties=properties,
            type=type,
            statuses=statuses_of(status),
        )
        return matching_runs(self._experiment.workspace, which)

    def submit_child(
        self,
        config: ScriptRunConfig | Run,
        tags: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        not_secret: Sequence[str] = (),
        **azure_options: Unpack[SubmitOptions],
    ) -> ScriptRun:
        """Submit a script to a compute target as a child of this run; see `Experiment.submit`."""
        from runlore.execution.submission import NewRun
        from runlore.run.submitting import submitted

        refuse_unknown(Run.submit_child, azure_options)
        experiment = self._experiment
        new = NewRun(
            experiment.id,
            experiment.name,
            run_id,
            parent=self._handle,
            tags=tags,
            not_secret=not_secret,
        )
        source = handle_of(config) if isinstance(config, Run) else config
        child = submitted(self._handle.session, new, source)
        return ScriptRun._of(experiment, child, parent=self)

    # --- out of scope -------------------------------------------------------------------------

    def register_model(
        self,
        model_name: str,
        model_path: str | None = None,
        tags: object = None,
        properties: object = None,
        model_framework: object = None,
        model_framework_version: object = None,
        description: object = None,
        datasets: object = None,
        sample_input_dataset: object = None,
        sample_output_dataset: object = None,
        resource_configuration: object = None,
    ) -> RegisteredModel:
        """Tag the run with `model.<name>`, and warn that there is no model registry.

        The tag's value is the path, which must be that of a kept file to be found again. So a
        training does not fail in its last line.
        """
        self.tag(f"model.{model_name}", model_path)
        warn_caller(
            f"runlore has no model registry: run {self._id} got the tag 'model.{model_name}'; find "
            f"it with experiment.get_runs(tags='model.{model_name}')"
        )
        return RegisteredModel(model_name, self._id, model_path)

    input_datasets = UncoveredAttribute("datasets", DATA_INSTEAD)
    output_datasets = UncoveredAttribute("datasets", DATA_INSTEAD)

    def clean(self) -> None:
        """Do nothing: a submitted run's files on its target are removed when it ends."""

    @staticmethod
    def list_by_compute(
        compute: ComputeTarget,
        type: str | None = None,
        tags: Tags = None,
        properties: Tags = None,
        status: str | None = None,
    ) -> Iterator[Run]:
        """The runs that were submitted to a compute target, newest first; filters as in `list`."""
        which = RunFilter(
            submitted_to=compute.name,
            type=type,
            tags=tags,
            properties=properties,
            statuses=statuses_of(status),
            include_children=True,
        )
        return matching_runs(compute.workspace, which)

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
            and self._session.uri == other._session.uri
        )

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        name = visible(self._experiment.name)
        if self._session.closed:
            return f"Run(Experiment: {name},\nId: {self.id},\nWorkspace: closed)"
        status = self.get_status()
        kind = visible(str(self.type))
        return f"Run(Experiment: {name},\nId: {self.id},\nType: {kind},\nStatus: {status})"

    def _repr_html_(self) -> str | None:
        """The run's card in a notebook; the plain text if the workspace was closed."""
        from runlore.notebook.run_card import run_card

        return None if self._session.closed else run_card(self._handle)

    def _self_and_descendants(self, run_type: str | None) -> Iterator[Run]:
        if run_type is None or self.type == run_type:
            yield self
        yield from self.get_children(recursive=True, type=run_type)


class ScriptRun(Run):
    """A submitted run. It has no methods beyond those of `Run`."""


class OfflineRun(Run):
    """The run of a script without a workspace. Azure's has this name, no experiment and no parent.

    Scripts ask so whether they are online: `hasattr(run, "experiment")`, or for the class's name.
    """

    @property
    def experiment(self) -> NoReturn:
        """Raise AttributeError: only scripts with a workspace have an experiment."""
        raise AttributeError(
            f"{self.id} runs without a workspace, so it has no experiment; start it with "
            "Experiment(workspace, name).start_logging(), or with `runlore run submit-script`"
        )

    @property
    def parent(self) -> NoReturn:
        """Raise AttributeError: only scripts with a workspace have a parent."""
        raise AttributeError(f"{self.id} runs without a workspace, so it has no parent")

    def __repr__(self) -> str:
        return visible(f"_OfflineRun(Id: {self.id},\nStatus: {self.get_status()})")


# Scripts look for Azure's name of the class.
OfflineRun.__name__ = OfflineRun.__qualname__ = "_OfflineRun"


class RegisteredModel(NamedTuple):
    """What `register_model` returns: the name, and the run that has the model's files."""

    name: str
    run_id: str
    path: str | None
    version: int = 1
    """Always 1: a model's versions are its runs."""

    @property
    def id(self) -> str:
        """The name and the run's id."""
        return f"{self.name}:{self.run_id}"


def handle_of(run: Run) -> RunHandle:
    """The handle of a run, for runlore's own packages."""
    return run._handle


def run_of(experiment: Experiment, handle: RunHandle) -> Run:
    """The run of a handle, in its experiment; a submitted run is a `ScriptRun`."""
    # Scripts tell submitted runs by `isinstance`.
    kind = ScriptRun if handle.state.run_type == SCRIPT_RUN else Run
    return kind._of(experiment, handle)


def offline_run_of(experiment: Experiment, handle: RunHandle) -> Run:
    """The run of a script without a workspace."""
    return OfflineRun._of(experiment, handle)


def script_run_of(experiment: Experiment, handle: RunHandle) -> ScriptRun:
    """The run of a handle that was just submitted."""
    return ScriptRun._of(experiment, handle)


def get_run(experiment: Experiment, run_id: str, rehydrate: bool = True) -> Run:
    """The run with this id in the experiment's workspace. Raises RunNotFound."""
    return Run.get(experiment.workspace, run_id)


def matching_runs(workspace: Workspace, which: RunFilter) -> Iterator[Run]:
    """The workspace's runs that match a filter, newest first."""
    from runlore.workspace import session_of

    return _from_rows(workspace, session_of(workspace).reader().runs(which))


def _from_rows(workspace: Workspace, rows: Iterable[RunRow]) -> Iterator[Run]:
    """The runs of the rows. Raises WorkspaceClosed if the workspace is closed in between."""
    from runlore.experiment import experiment_of
    from runlore.workspace import session_of

    experiments: dict[str, Experiment] = {}
    session = session_of(workspace)
    for row in rows:
        experiment = experiments.get(row.experiment_id)
        if experiment is None:
            experiment = experiment_of(workspace, row.experiment, row.experiment_id)
            experiments[row.experiment_id] = experiment
        kind = ScriptRun if row.run_type == SCRIPT_RUN else Run  # Inlined: lists can be long.
        run = kind.__new__(kind)
        run._experiment, run._session, run._id, run._row = experiment, session, row.run_id, row
        # The type costs a read of the log: only providers need it.
        factory = Run._type_providers.get(run.type or "") if Run._type_providers else None
        yield factory(experiment, row._asdict()) if factory else run
        session.check_open()


def _experiment_of(workspace: Workspace, handle: RunHandle) -> Experiment:
    from runlore.experiment import experiment_of

    state = handle.state
    return experiment_of(workspace, state.experiment_name, state.experiment_id, may_be_renamed=True)
