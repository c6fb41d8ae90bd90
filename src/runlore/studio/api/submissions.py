"""New runs: a script that was submitted before, or one in a folder of this machine."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body

from runlore.domain.definition import Definition
from runlore.domain.errors import InvalidInput
from runlore.entry.script_submission import submit_script
from runlore.execution.submission import Changes, NewRun, submit_again
from runlore.experiment import Experiment
from runlore.run.run import handle_of
from runlore.studio.encoding import Answer
from runlore.studio.parameters import AsOf, RunId, ServedLanes, ThisViewer
from runlore.studio.viewers import NotTheOwner
from runlore.workspace import Workspace, session_of

router = APIRouter()

_Words = Annotated[str | list[str] | None, Body(max_length=10_000)]


@router.get("/runs/{run_id}/definition")
async def definition(lanes: ServedLanes, run_id: RunId, as_of: AsOf = None) -> Answer:
    """What a submitted run executes, and where; null for a run that was not submitted."""

    def question(shown: Workspace) -> dict[str, Any]:
        one = shown.get_run(run_id)
        state = handle_of(one).fetch()
        if state.definition is None:
            return {"id": one.id, "definition": None}
        held = Definition.model_validate(state.definition)
        return {
            "id": one.id,
            "experiment": one.experiment.name,
            "target": state.target,
            "snapshot": state.snapshot_id,
            "definition": {
                "script": held.script,
                "arguments": shlex.join(held.arguments),
                "command": held.command if held.command is None else _line(held.command),
                "processes": held.ranks,
                "secrets": [*held.secret_variables, *held.secret_arguments],
            },
        }

    return await lanes.answer(as_of, question)


@router.post("/runs/{run_id}/resubmit")
async def resubmit(lanes: ServedLanes, viewer: ThisViewer, run_id: RunId) -> Answer:
    """Submit a run again: the same snapshot, arguments and target, in its experiment."""

    def change() -> Answer:
        earlier = lanes.acting_as(viewer).get_run(run_id)
        return Answer({"id": earlier.experiment.submit(earlier).id})

    return await lanes.slow(change)


@router.post("/submissions")
async def submit(
    lanes: ServedLanes,
    viewer: ThisViewer,
    experiment: Annotated[str, Body(max_length=500)],
    target: Annotated[str | None, Body(max_length=100)] = None,
    repeats: Annotated[str | None, Body(max_length=300)] = None,
    folder: Annotated[str | None, Body(max_length=4_000)] = None,
    script: Annotated[str | None, Body(max_length=4_000)] = None,
    arguments: _Words = None,
    run_configuration: Annotated[str | None, Body(max_length=500)] = None,
) -> Answer:
    """Submit a run: of the snapshot of a submitted run, or of a folder of this machine.

    `repeats` is the id of that run; its script gets other `arguments` if some are given. `folder`
    is for the user who serves the Studio alone: whoever gives it executes what they like. It takes
    a script, or the name of a runconfig in `folder/.azureml`. Arguments are words, or a line as a
    shell splits it.
    """
    words = _words(arguments)

    def change() -> Answer:
        workspace = lanes.acting_as(viewer)
        if repeats is not None and folder is None:
            return Answer({"id": _again(workspace, experiment, repeats, Changes(target, words))})
        if folder is None or repeats is not None:
            raise InvalidInput("give either `repeats`, the id of a submitted run, or a `folder`")
        if not viewer.is_owner:
            raise NotTheOwner
        if not Path(folder).is_absolute():
            raise InvalidInput(f"folder is {folder!r:.80}; give an absolute path")
        run = submit_script(
            workspace,
            experiment,
            script or None,
            words or (),
            project=folder,
            run_configuration_name=run_configuration or None,
            target=target,
        )
        return Answer({"id": run.id})

    return await lanes.slow(change)


def _again(workspace: Workspace, name: str, repeats: str, changes: Changes) -> str:
    earlier = handle_of(workspace.get_run(repeats))
    experiment = Experiment(workspace, name)
    new = NewRun(experiment.id, experiment.name)
    return submit_again(session_of(workspace).writable(), new, earlier, changes).id


def _words(arguments: str | list[str] | None) -> tuple[str, ...] | None:
    if not isinstance(arguments, str):
        return None if arguments is None else tuple(arguments)
    try:
        return tuple(shlex.split(arguments))
    except ValueError as error:
        raise InvalidInput(f"arguments {arguments!r:.80} cannot be split: {error}") from error


def _line(command: tuple[str, ...] | str) -> str:
    return command if isinstance(command, str) else shlex.join(command)
