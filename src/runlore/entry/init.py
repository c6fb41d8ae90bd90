"""`runlore.init()`: a run in one line, without Azure's workspace and experiment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runlore.azure.arguments import as_pairs
from runlore.azure.options import refuse_unknown
from runlore.domain.errors import InvalidType, WorkspaceNotFound
from runlore.engine.capture.parts import IN_INIT, Capture, Part, parts_of
from runlore.engine.places import may_use
from runlore.entry.context import get_context
from runlore.entry.default_names import experiment_of_script, workspace_of_folder
from runlore.entry.start_line import say_started
from runlore.entry.workspace_address import nearest_workspace
from runlore.experiment import Experiment
from runlore.run.config_values import as_config
from runlore.run.run import Run, run_of
from runlore.storage.log_opener import LogLocation
from runlore.storage.open_log import locate
from runlore.workspace import Workspace, session_of

if TYPE_CHECKING:
    from typing import Unpack

    from runlore.azure.options import NoOptions
    from runlore.entry.going_on import Resume

_FOLDER: Final = ".runlore"


def init(
    experiment: str | None = None,
    *,
    workspace: str | os.PathLike[str] | None = None,
    config: object = None,
    tags: Mapping[str, Any] | None = None,
    display_name: str | None = None,
    snapshot_directory: str | os.PathLike[str] | None = None,
    artifacts: str | os.PathLike[str] | None = None,
    project: str | None = None,
    name: str | None = None,
    capture: Capture = None,
    run_id: str | None = None,
    resume: Resume | None = None,
    end_at_exit: bool = True,
    quiet: bool = False,
    **unknown: Unpack[NoOptions],
) -> Run:
    """Start a run, or join the one that this process executes; the workspace is found or created.

    In a script that was submitted this is the submitted run, whatever the arguments say: `config`,
    `tags` and `display_name` are added to it, and its launcher ends it. Otherwise a run is started
    in the first of these:

    1. `workspace`, a folder or a URI, created if it does not exist;
    2. the one that the variable RUNLORE_WORKSPACE_URI names, likewise;
    3. that of the nearest folder, from the working folder upwards, that has one: a config leads to
       it, or it is the folder itself, or `.runlore` in it. It must belong to you; see docs/cli.md;
    4. a new one in `.runlore` in the working folder.

    `artifacts` is a folder for the files of runs, as in `Workspace.open`. The experiment is named
    after the script if no name is given. `config` is a dict, an argparse Namespace, a dataclass or
    a pydantic model, also nested; see `Run.add_config`. `capture` says what is recorded of the
    program, its commit, the machine and the packages, as in `Experiment.start_logging`. `project`
    and `name` are what W&B calls `experiment` and `display_name`. Raises InvalidType, a TypeError,
    for both at once, and for any other option.

    The run ends with the process, unless `end_at_exit` is False: as Completed, Failed by an
    exception or an exit code, or Canceled by Ctrl-C or SIGTERM. A `with` block and
    `run.complete()` end it before.

    Under torchrun, Slurm's `srun` and MPI all ranks of a job are one run; see
    docs/life-of-a-run.md. In a notebook a second `init()` ends the run of the first.

    `resume` lets a run go on, found by `run_id`, else by `name`: the newest run of this display
    name in the experiment that is neither archived nor a child. "allow" starts a new one if there
    is none, "must" raises NotFound then, and "never" raises AlreadyExists if there is one. Tags are
    set, and config is added to the run; a changed value of it raises ConfigConflict.

    A line on stderr says the run's name, its id, and how to look at it, but in a submitted script
    and in ranks after the first; `quiet`, or the variable RUNLORE_QUIET, switches it off.

    >>> lab = getfixture("tmp_path") / "lab"
    >>> with init("first-steps", workspace=lab, config={"lr": 0.1}) as run:
    ...     run.log("loss", 0.5)
    >>> run.get_status(), run.get_config()
    ('Completed', {'lr': 0.1})
    """
    from runlore.entry.going_on import check_resume, go_on, run_to_resume
    from runlore.entry.notebooks import end_earlier_run, note_run
    from runlore.entry.rank_runs import rank_of, run_of_rank

    refuse_unknown(init, unknown)
    experiment = _one_of("experiment", experiment, "project", project)
    display_name = _one_of("display_name", display_name, "name", name)
    values = {} if config is None else as_config(config)
    if os.environ.get("RUNLORE_RUN_ID"):
        run = get_context(allow_offline=False)
        _say_what_is_not_used(run, experiment, workspace)
        _add(run, values, tags, display_name, snapshot_directory)
        return run
    check_resume(resume, run_id, display_name)
    found = _workspace(workspace, artifacts)
    named = experiment_of_script(sys.argv) if experiment is None else experiment
    end_earlier_run()
    rank = rank_of(os.environ) if resume is None else None
    if rank is not None:
        add = partial(
            _add,
            config=values,
            tags=tags,
            display_name=display_name,
            snapshot_directory=snapshot_directory,
        )
        parts = parts_of(capture, IN_INIT, os.environ)
        run = run_of_rank(
            rank,
            found,
            run_id,
            partial(_started, found, named, capture=parts - {Part.SYSTEM}),
            add,
            end_at_exit=end_at_exit,
            samples=Part.SYSTEM in parts,
        )
        say_started(run, quiet=quiet)
        return run
    if old := run_to_resume(found, named, resume, run_id, display_name):
        _say_what_is_not_used(old, experiment, None)
        add = partial(_add, old, values, tags, display_name, snapshot_directory)
        go_on(old, f"init(resume={resume!r})", add, end_at_exit=end_at_exit)
        if Part.CONSOLE in parts_of(capture, IN_INIT, os.environ):
            session_of(old.experiment.workspace).writable().open_console(old.id)
        note_run(old)
        say_started(old, quiet=quiet, again=True)
        return old
    run = _started(
        found,
        named,
        config=values,
        tags=as_pairs(tags, "tag"),
        display_name=display_name,
        snapshot_directory=snapshot_directory,
        capture=capture,
        run_id=run_id,
        end_at_exit=end_at_exit,
    )
    note_run(run)
    say_started(run, quiet=quiet)
    return run


def _one_of(option: str, value: str | None, other: str, same: str | None) -> str | None:
    if value is not None and same is not None:
        raise InvalidType(
            f"init() got {option}={value!r:.80} and {other}={same!r:.80}, which are the same "
            f"option; give {option}"
        )
    return same if value is None else value


def _started(workspace: Workspace, experiment: str, **options: Any) -> Run:
    from runlore.engine.runs.creation import start_run

    parent = Experiment(workspace, experiment)
    session = session_of(parent.workspace)
    return run_of(
        parent,
        start_run(session, parent.id, parent.name, outputs=False, in_init=True, **options),
    )


# --- the run that this process is ---------------------------------------------------------------


def _add(
    run: Run,
    config: Mapping[str, Any],
    tags: Mapping[str, Any] | None,
    display_name: str | None,
    snapshot_directory: str | os.PathLike[str] | None,
) -> None:
    if config:
        run.add_config(config)
    if tags:
        run.set_tags(tags)
    if display_name is not None:
        run.display_name = display_name
    if snapshot_directory is not None and run.get_snapshot_id() is None:
        run.take_snapshot(snapshot_directory)


def _say_what_is_not_used(
    run: Run, experiment: str | None, workspace: str | os.PathLike[str] | None
) -> None:
    """On stderr, in one line: it is no mistake that a script that is submitted names others."""
    unused = []
    if experiment not in (None, run.experiment.name):
        unused.append(f"experiment {experiment!r}")
    if workspace is not None and locate(workspace).uri != run.experiment.workspace.uri:
        unused.append(f"workspace {os.fspath(workspace)!r}")
    if unused:
        sys.stderr.write(
            f"runlore: init() joined run {run.id} of experiment {run.experiment.name!r}, which "
            f"this process executes; {' and '.join(unused)} not used\n"
        )


# --- the workspace of a new run -----------------------------------------------------------------


def _workspace(
    given: str | os.PathLike[str] | None, artifacts: str | os.PathLike[str] | None
) -> Workspace:
    address = given if given is not None else os.environ.get("RUNLORE_WORKSPACE_URI") or None
    if address is None:
        address = nearest_workspace()
    if address is None:
        address = Path.cwd() / _FOLDER
        if os.path.lexists(address):  # Perhaps a folder that somebody made for it to be filled.
            may_use(address, [address], Path.cwd(), start=Path.cwd())
    try:
        return Workspace.open(address, artifacts=artifacts)
    except WorkspaceNotFound:
        # Another process may be creating it as well: with the same name, and with exist_ok.
        name = _name(locate(address))
        return Workspace.create(name, path=address, exist_ok=True, artifacts=artifacts)


def _name(place: LogLocation) -> str:
    if place.folder is not None and place.name == _FOLDER:
        return workspace_of_folder(place.folder.parent.name)
    return workspace_of_folder(place.name)
