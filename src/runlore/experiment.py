"""An experiment: a named group of numbered runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from runlore.azure.arguments import as_pairs
from runlore.azure.documents import azure_time
from runlore.azure.links import way_to_experiment
from runlore.azure.options import refuse_unknown
from runlore.domain.errors import ExperimentNotFound, InvalidInput, UserError, WorkspaceClosed
from runlore.domain.experiment import (
    Archive,
    Command,
    ExperimentState,
    GetOrCreate,
    Reactivate,
    RemoveExperimentTags,
    SetExperimentTags,
)
from runlore.domain.fact import utc_time
from runlore.domain.ids import check_experiment_name, owner_of
from runlore.domain.text import check_keys
from runlore.domain.visible_text import visible
from runlore.exceptions import OutOfScope
from runlore.projections.filters import RunFilter
from runlore.run.guesses import names_guesses
from runlore.storage.interruptions import deferrable

if TYPE_CHECKING:
    from typing import Self, Unpack

    from runlore.azure.options import NoOptions, SubmitOptions
    from runlore.configuration.script_run_config import ScriptRunConfig
    from runlore.engine.capture.parts import Capture
    from runlore.engine.runs.creation import Outputs
    from runlore.engine.session import Session
    from runlore.engine.streams import ExperimentStream
    from runlore.notebook.plot import Plot
    from runlore.projections.sql_result import SqlResult
    from runlore.run import Run, ScriptRun
    from runlore.workspace import Workspace

Tags = str | Mapping[str, str | None] | None


class ViewType:
    """The experiments that a list includes."""

    ActiveOnly: Final = "ActiveOnly"
    All: Final = "All"
    ArchivedOnly: Final = "ArchivedOnly"


@names_guesses
class Experiment:
    """The active experiment of a name in a workspace, created if there is none.

    Any number of processes may ask for the same name at once: they get the same experiment.

    >>> ws = Workspace.create("lab", path=getfixture("tmp_path") / "lab")
    >>> Experiment(ws, "explore-runs")
    Experiment(Name: explore-runs,
    Workspace: lab)
    """

    def __init__(
        self, workspace: Workspace, name: str, _skip_name_validation: bool = False
    ) -> None:
        from runlore.engine.experiments import experiments_named
        from runlore.engine.streams import change_experiment, stream_of_experiment
        from runlore.workspace import session_of

        check_experiment_name(name)
        session = session_of(workspace)
        self._workspace = workspace
        self._names: ExperimentStream = stream_of_experiment(name)
        experiments_named(session, self._names)
        if self._names.state.active is None:
            change_experiment(session, self._names, GetOrCreate(name, str(uuid4())))
        active = self._names.state.active
        assert active is not None, "GetOrCreate leaves an active experiment"
        self._id = active.experiment_id
        self._may_be_renamed = False

    def __copy__(self) -> Self:
        """Another object for the same experiment, in this process."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled and deeply copied by its workspace's URI and its id."""
        return experiment_of, (self._workspace, self.name, self._id)

    @property
    def workspace(self) -> Workspace:
        """The workspace that holds the experiment."""
        return self._workspace

    @property
    def name(self) -> str:
        """The experiment's name, as this object last read it."""
        if self._may_be_renamed:
            with suppress(WorkspaceClosed):
                self._state()
        return owner_of(self._names.stream)

    @property
    def id(self) -> str:
        """The experiment's id, unique in the workspace; its name is free again once archived."""
        return self._id

    @property
    def archived_time(self) -> datetime | None:
        """The time at which the experiment was archived (aware UTC); None while it is active."""
        archived_at = self._state().archived_at
        return None if archived_at is None else utc_time(archived_at)

    @property
    def tags(self) -> dict[str, str | None]:
        """The experiment's tags."""
        return dict(self._state().tags)

    def start_logging(
        self,
        name: str | None = None,
        run_id: str | None = None,
        outputs: Outputs = None,
        snapshot_directory: str | os.PathLike[str] | None = ".",
        display_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, Any] | None = None,
        *,
        capture: Capture = None,
        end_at_exit: bool = True,
        **unknown: Unpack[NoOptions],
    ) -> Run:
        """Start an interactive run; it is Running, and on disk, when this returns.

        `outputs` are the folders whose files are kept when the run ends: `./outputs` by
        default, which is created at once; False keeps none. `snapshot_directory` is kept as it
        is now, with its git state, without the files that .amlignore (or else .gitignore) lists;
        None keeps no snapshot. `name` is deprecated by Azure and only stored.

        `capture` says what is recorded of the program, its commit, the machine and the packages:
        all by default, `capture="none"` or `{"git": False}` for less; see docs/capture.md.

        The run ends with this process, unless `end_at_exit` is False or others take part in it: as
        Completed, Failed by an exception or an exit code, or Canceled by Ctrl-C or SIGTERM.

        Raises SnapshotException if the folder cannot be kept (too large, unreadable);
        UserErrorException if an output folder cannot be created; AlreadyExists if `run_id` is
        taken; InvalidInput or InvalidType for an invalid name, id, tag or folder.
        """
        from runlore.engine.runs.creation import start_run
        from runlore.run.run import run_of

        refuse_unknown(Experiment.start_logging, unknown)
        experiment = self._for_new_runs()
        handle = start_run(
            experiment._session,
            experiment.id,
            experiment.name,
            name=name,
            run_id=run_id,
            outputs=outputs,
            snapshot_directory=snapshot_directory,
            display_name=display_name,
            description=description,
            tags=as_pairs(tags, "tag"),
            capture=capture,
            end_at_exit=end_at_exit,
        )
        return run_of(experiment, handle)

    def submit(
        self,
        config: ScriptRunConfig | Run,
        tags: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        not_secret: Sequence[str] = (),
        **azure_options: Unpack[SubmitOptions],
    ) -> ScriptRun:
        """Submit a script to a compute target and return its run at once; see `ScriptRunConfig`.

        The script executes in a process of its own, in its own copy of the source folder, and
        continues when this process ends. An earlier submitted run instead of a configuration is
        executed again: the same snapshot and definition, with secrets from this process's
        environment.

        The values of variables and arguments that look like secrets are not recorded, with a
        warning that names them; the script gets them. `not_secret` names those that are none.

        Raises ExperimentExecutionException if the configuration cannot be executed,
        ComputeTargetException for an unknown target, SnapshotException if the folder cannot be
        kept, or RunConfigurationException; then nothing was recorded.
        """
        from runlore.execution.submission import NewRun
        from runlore.run.run import Run, handle_of, script_run_of
        from runlore.run.submitting import submitted

        refuse_unknown(Experiment.submit, azure_options)
        experiment = self._for_new_runs()
        new = NewRun(experiment.id, experiment.name, run_id, tags=tags, not_secret=not_secret)
        source = handle_of(config) if isinstance(config, Run) else config
        return script_run_of(experiment, submitted(experiment._session, new, source))

    def get_runs(
        self,
        type: str | None = None,
        tags: Tags = None,
        properties: Tags = None,
        include_children: bool = False,
    ) -> Iterator[Run]:
        """The experiment's runs, newest first; a generator that reads page by page.

        A str filter selects the runs with that key, a dict those with all its pairs. All pages
        show the log as it was when the first one was read. Children are left out unless
        `include_children` is set.

        Raises InvalidInput (a ValueError) for a filter of another type.
        """
        from runlore.run.run import matching_runs

        which = RunFilter(
            experiment_id=self.id,
            type=type,
            tags=tags,
            properties=properties,
            include_children=include_children,
        )
        return matching_runs(self.workspace, which)

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
        """A row per run: attributes, `config.*`, `tags.*`, `properties.*` and `metrics.*`.

        `where` is a filter such as `"config.lr < 0.01 and not has(tags.debug)"`, see
        docs/filters.md. `columns` names the fields to show, instead of all that the runs have;
        `metrics` are the aggregates to show of each metric: some of last, first, min, max, mean
        and n. Newest first, or by `sort`, a field with `-` before it for descending order. The
        result has `.pandas()`, `.polars()`, `.arrow()` and `.fetchall()`.

        Durations are in seconds. Raises FilterError, an InvalidInput, for another filter.

        >>> exp = Experiment(Workspace.create("lab", path=getfixture("tmp_path") / "lab"), "nets")
        >>> options = {"outputs": False, "snapshot_directory": None}
        >>> with exp.start_logging(tags={"model": "vit"}, **options) as run:
        ...     run.log_batch("val/acc", [0.5, 0.75, 0.7])
        >>> exp.runs_table("m.val/acc.max > 0.7", columns=["tags.model", "m.val/acc"]).fetchall()
        [('vit', 0.7)]
        """
        which = RunFilter(experiment_id=self.id, where=where, include_children=include_children)
        return self._session.reader().runs_table(
            which, columns=columns, metrics=metrics, sort=sort, limit=limit
        )

    def plot(
        self,
        metric: str,
        *,
        group_by: str | None = None,
        where: str | None = None,
        limit: int = 32,
        x: str = "step",
        smooth: float | None = None,
        log_x: bool = False,
        log_y: bool = False,
        title: str | None = None,
        width: int | None = None,
        height: int | None = None,
        include_children: bool = False,
    ) -> Plot:
        """A metric's curves of the newest `limit` runs, which `.save("loss.svg")` or `.png` writes.

        `group_by`, a field such as `config.lr` or `tags.model`, draws one line per value of it
        instead: the mean of its runs, with a band from the least to the greatest; `smooth` smooths
        the runs before. `where` narrows
        the runs, see `runs_table`; the other options are those of `Run.plot`. A run has the same
        colour and dash on every plot of its experiment. A series of more than 20,000 values is
        thinned out to its peaks and gaps.

        Raises InvalidInput if no run has the metric, FilterError for an unknown field.

        >>> exp = Experiment(Workspace.create("lab", path=getfixture("tmp_path") / "lab"), "nets")
        >>> for lr in (0.1, 0.1, 0.01):
        ...     with exp.start_logging(outputs=False, snapshot_directory=None) as run:
        ...         run.add_config({"lr": lr})
        ...         run.log_batch("loss", [1.0, lr])
        >>> exp.plot("loss", group_by="config.lr")
        Plot(loss: 2 curves; .save('plot.svg') writes it)
        """
        from runlore.notebook.curves import plot_of_experiment

        which = RunFilter(experiment_id=self.id, where=where, include_children=include_children)
        options = {"log_x": log_x, "log_y": log_y, "title": title}
        return plot_of_experiment(
            self._session,
            which,
            metric,
            x,
            group_by=group_by,
            limit=limit,
            smooth=smooth,
            **options,
            width=width,
            height=height,
        )

    def best(self, metric: str, mode: str = "max", *, where: str | None = None) -> Run:
        """The run with the greatest value of a metric, or with `mode="min"` the least.

        NaN and infinity do not count; of equal values the newest run wins. Child runs are
        included. `where` narrows the runs, see `runs_table`. Raises NotFound if none has the
        metric.
        """
        from runlore.run.run import Run

        which = RunFilter(experiment_id=self.id, where=where, include_children=True)
        return Run.get(self.workspace, self._session.reader().best_run(which, metric, mode))

    @staticmethod
    def list(
        workspace: Workspace,
        experiment_name: str | None = None,
        view_type: str = ViewType.ActiveOnly,
        tags: Tags = None,
    ) -> Sequence[Experiment]:
        """The workspace's experiments in order of creation."""
        views = {
            ViewType.ActiveOnly: "active",
            ViewType.ArchivedOnly: "archived",
            ViewType.All: "all",
        }
        if view_type not in views:
            raise InvalidInput(f"view_type is {view_type!r}; it takes one of {sorted(views)}")
        from runlore.workspace import session_of

        rows = (
            session_of(workspace)
            .reader()
            .experiments(view=views[view_type], name=experiment_name, tags=tags)
        )
        return [experiment_of(workspace, row.name, row.experiment_id) for row in rows]

    @staticmethod
    def find(workspace: Workspace, name: str, *, archived: bool = False) -> Experiment:
        """The active experiment of a name, or with `archived` the one archived last.

        Unlike the constructor, it creates none. Raises ExperimentNotFound.
        """
        from runlore.engine.experiments import experiments_named
        from runlore.engine.streams import stream_of_experiment
        from runlore.workspace import session_of

        check_experiment_name(name)
        session = session_of(workspace)
        names = experiments_named(session, stream_of_experiment(name))
        found = [
            state for state in names.experiments if (state.archived_at is not None) is archived
        ]
        if not found:
            where = f"the {'archived' if archived else 'active'} ones of {workspace.name!r}"
            raise ExperimentNotFound(name, where)
        last = max(found, key=lambda state: state.archived_at or 0)
        return experiment_of(workspace, name, last.experiment_id)

    @staticmethod
    def delete(workspace: Workspace, experiment_id: str) -> None:
        """Not offered: a log is append-only. `archive()` hides an experiment."""
        raise OutOfScope("the deletion of experiments", "hide it with experiment.archive()")

    def get_record(self) -> dict[str, Any]:
        """Id, name, times of creation and archiving (as text) and tags, as in `experiment list`."""
        state = self._state()
        return {
            "id": self.id,
            "name": self.name,
            "created": azure_time(state.created_at),
            "archived": azure_time(state.archived_at),
            "tags": dict(state.tags),
        }

    def archive(self) -> None:
        """Hide the experiment from lists; its name becomes free for a new one."""

        self._change(Archive(self._id))

    def reactivate(self, new_name: str | None = None) -> None:
        """Make an archived experiment active again. Raises AlreadyExists if its name is in use."""

        if new_name is not None:
            raise UserError(
                f"cannot reactivate {self.name!r} as {new_name!r}: an experiment keeps its name; "
                "call reactivate() without a name"
            )
        self._change(Reactivate(self._id))

    def tag(self, key: str, value: object = None) -> None:
        """Set a tag; without a value, the tag is only a key."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set or replace tags, all in one commit; other tags stay."""

        self._change(SetExperimentTags(self._id, as_pairs(tags, "tag")))

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Remove tags by key."""

        keys = check_keys(tags, "tag")
        self._change(RemoveExperimentTags(self._id, keys))

    def refresh(self) -> None:
        """Read the experiment's newest state; its properties do so on their own."""
        self._state()

    def get_portal_url(self) -> str:
        """The address of its page while a Studio serves the workspace, else a command.

        The command lists the experiment's runs in a shell on this machine.
        """
        return way_to_experiment(self._session, self.name)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Experiment)
            and self._id == other._id
            and self._workspace.uri == other._workspace.uri
        )

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        name, workspace = visible(self.name), visible(self._workspace.name)
        return f"Experiment(Name: {name},\nWorkspace: {workspace})"

    def _repr_html_(self) -> str | None:
        """The newest runs in a notebook; the plain text if the workspace was closed."""
        from runlore.notebook.experiments import experiment_table

        if self._workspace.closed:
            return None
        return experiment_table(self._session, self._id, self.name)

    @property
    def _session(self) -> Session:
        from runlore.workspace import session_of

        return session_of(self._workspace)

    @deferrable
    def _change(self, command: Command) -> None:
        from runlore.engine.streams import change_experiment

        self._state()
        change_experiment(self._session, self._names, command)

    def _state(self) -> ExperimentState:
        from runlore.engine.experiments import current_names

        self._names = current_names(self._session, self._names, self._id)
        self._may_be_renamed = False
        state = self._names.state.get(self._id)
        assert state is not None, "current_names raises where there is none"
        return state

    def _for_new_runs(self) -> Experiment:
        """This experiment, or the active one of its name if it was archived in the meantime."""
        self._session.writable()
        if self._state().archived_at is None:
            return self
        return Experiment(self._workspace, self.name)


class Experiments(dict[str, Experiment]):
    """Experiments by name; a notebook shows them as a table."""

    def _repr_html_(self) -> str | None:
        from runlore.notebook.experiments import experiments_table
        from runlore.workspace import session_of

        chosen = {experiment.id: name for name, experiment in self.items()}
        for experiment in self.values():
            if not experiment.workspace.closed:
                return experiments_table(session_of(experiment.workspace), chosen)
        return None


def experiment_of(
    workspace: Workspace, name: str, experiment_id: str, *, may_be_renamed: bool = False
) -> Experiment:
    """The experiment of an id, active or archived; nothing is read until it is needed.

    It may have been renamed if the name is an earlier one, such as a run's creation holds.
    """
    from runlore.engine.streams import stream_of_experiment

    experiment = Experiment.__new__(Experiment)
    experiment._workspace = workspace
    experiment._names = stream_of_experiment(name)
    experiment._id = experiment_id
    experiment._may_be_renamed = may_be_renamed
    return experiment
