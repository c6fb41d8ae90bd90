"""Creating runs: one with its source and its folders, or many at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from runlore.domain.errors import InvalidInput, InvalidType, UserError
from runlore.domain.ids import check_run_id
from runlore.domain.run import (
    decide,
)
from runlore.domain.run_commands import (
    CreateRun,
)
from runlore.domain.status import Status
from runlore.engine.capture.parts import BY_DEFAULT, IN_INIT, Capture, Part, parts_of
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.sources import source_evidence
from runlore.storage.collector import collector_paused
from runlore.storage.journal import Pending

if TYPE_CHECKING:
    from runlore.domain.run_state import RunState
    from runlore.engine.session import Session

Outputs = bool | str | os.PathLike[str] | Sequence[str] | None

_DEFAULT_OUTPUTS: Final = "outputs"


def start_run(
    session: Session,
    experiment_id: str,
    experiment_name: str,
    *,
    name: str | None = None,
    run_id: str | None = None,
    outputs: Outputs = None,
    snapshot_directory: str | os.PathLike[str] | None = None,
    display_name: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str | None] | None = None,
    properties: Mapping[str, str | None] | None = None,
    config: Mapping[str, Any] | None = None,
    parent: RunHandle | None = None,
    capture: Capture = None,
    in_init: bool = False,
    end_at_exit: bool = True,
) -> RunHandle:
    """Create a run that is Running, with its snapshot and output folders, in one commit.

    What takes time to find of its surroundings follows later. `in_init` keeps the console as well.
    The run ends with this process, unless `end_at_exit` is False, for it or for its parent.
    """
    session = session.writable()
    default = session.captures.parts_of(parent.id) if parent else IN_INIT if in_init else BY_DEFAULT
    parts = parts_of(capture, default, os.environ)
    run = RunHandle(session, check_run_id(str(uuid4()) if run_id is None else run_id))
    watched = watched_folders(outputs)
    command = CreateRun(
        run_id=run.id,
        experiment_id=experiment_id,
        experiment_name=experiment_name,
        status=Status.RUNNING,
        parent_id=parent.id if parent else None,
        root_id=parent.state.root_id if parent else run.id,
        target="local",
        name=name,
        display_name=display_name,
        description=description,
        outputs=tuple(watched),
        tags=tags or {},
        properties=properties or {},
        config=config or {},
    )
    decide(None, command, None)  # Raises for invalid arguments, before any file is kept.
    source, events = source_evidence(session, run.id, snapshot_directory)
    make_folders(watched)
    captured = session.captures.at_start(run, parts)
    command = command.with_fields(properties={**source, **command.properties})
    run.create(command, (*events, *captured.events), is_fresh=run_id is None)
    run.values(fresh=True)
    run.watched = watched
    session.captures.after_start(captured)
    is_part_of_own = parent is not None and session.participation.executes(parent.id)
    if Part.SYSTEM in parts and not is_part_of_own:
        session.sample_system(run.id)
    if Part.CONSOLE in parts and not is_part_of_own:
        session.open_console(run.id)
    stays_open = parent is not None and session.participation.stays_open(parent.id)
    run.end_with_process(end_at_exit and not stays_open)
    return run


def start_children(
    parent: RunHandle, children_tags: Sequence[Mapping[str, str | None]]
) -> list[RunHandle]:
    """Create children that are Running, one per dict of tags, in that order, in one commit.

    They wait to begin: this process may only hand them out, and others execute them.
    """
    session = parent.session.writable()
    state = parent.state
    with collector_paused():
        runs = [RunHandle(session, str(uuid4())) for _ in children_tags]
        pending = [
            Pending(run.stream.stream, 1, event)
            for run, tags in zip(runs, children_tags, strict=True)
            for event in decide(None, _child(run.id, state, tags), None).events
        ]
        session.journal.append(pending)
        session.participation.made(run.id for run in runs)
    return runs


def _child(run_id: str, parent: RunState, tags: Mapping[str, str | None]) -> CreateRun:
    return CreateRun(
        run_id=run_id,
        experiment_id=parent.experiment_id,
        experiment_name=parent.experiment_name,
        status=Status.RUNNING,
        parent_id=parent.run_id,
        root_id=parent.root_id,
        target="local",
        tags=tags,
        begun=False,
    )


def watched_folders(outputs: Outputs) -> dict[str, Path]:
    """The output folders as absolute paths, by the prefix of their files' names.

    The prefix is the path below the working folder; of a folder elsewhere, its last part.
    """
    watched: dict[str, Path] = {}
    for folder in map(Path, _listed(outputs)):
        elsewhere = folder.is_absolute() or ".." in folder.parts
        name = folder.name if elsewhere else folder.as_posix()
        if name in ("", ".", ".."):
            raise InvalidInput(f"outputs cannot be {str(folder)!r}; give a separate folder")
        if watched.setdefault(name, folder.absolute()) != folder.absolute():
            raise InvalidInput(f"outputs names two folders {name!r}; their files would mix")
    return watched


def make_folders(watched: Mapping[str, Path]) -> None:
    """Create the folders that do not exist, so that a script can write into them at once."""
    for folder in watched.values():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot create the output folder {folder}: {error.strerror}; pass another one as "
                "outputs=, or outputs=False to keep none",
                error,
            ) from error


def _listed(outputs: object) -> Sequence[str | os.PathLike[str]]:
    if outputs is None or outputs is True:
        return (_DEFAULT_OUTPUTS,)
    if outputs is False:
        return ()
    if isinstance(outputs, str | os.PathLike):
        return (outputs,)
    if isinstance(outputs, Sequence) and all(isinstance(o, str | os.PathLike) for o in outputs):
        return outputs
    raise InvalidType(
        f"outputs takes True, False, a folder or a list of folders, got {outputs!r:.80}"
    )
