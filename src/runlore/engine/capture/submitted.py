"""The surroundings of a submitted run, which its supervisor records: the script may be any program.

The source is the run's own copy, so the git state is that of the folder it was copied from, at the
submission.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from runlore.domain.definition import SUPERVISORS_OWN, Definition
from runlore.domain.run_state import RunState
from runlore.engine.capture.arguments import shown_words
from runlore.engine.capture.document import Recorded, record
from runlore.engine.capture.parts import BY_DEFAULT, Part, parts_of
from runlore.engine.capture.program import program
from runlore.engine.capture.surroundings import found_beside

_GIT: Final = "azureml.git."


def record_submitted(run: Recorded, state: RunState, environ: Mapping[str, str]) -> None:
    """Record the surroundings of a submitted run, whose script has these variables.

    Raises the log's error.
    """
    parts = parts_of(None, BY_DEFAULT, environ)
    assert state.definition is not None, "a submitted run has one"
    # As it is recorded: without the values of secret arguments.
    definition = Definition.model_validate(state.definition)
    beside = parts & {Part.MACHINE}
    if definition.interpreter in (sys.executable, SUPERVISORS_OWN):
        beside |= parts & {Part.PACKAGES}
    document = _program(definition) if Part.PROGRAM in parts else {}
    git = _git(state) if Part.GIT in parts else {}
    record(run, {**document, **git}, found_beside(beside, program()))


def _program(definition: Definition) -> dict[str, Any]:
    python: dict[str, Any] = {"executable": definition.interpreter}
    if definition.interpreter == sys.executable:
        python = dict(program().document["python"])
    document: dict[str, Any] = {"argv": shown_words(definition.arguments), "python": python}
    if definition.script is not None:
        document["script"] = definition.script
    elif isinstance(definition.command, str):
        document["command"] = definition.command
    elif definition.command is not None:
        document["command"] = shown_words(definition.command)
    return document


def _git(state: RunState) -> dict[str, Any]:
    git: dict[str, Any] = {
        key.removeprefix(_GIT): held.value
        for key, held in state.properties.items()
        if key.startswith(_GIT) and held.value is not None
    }
    if "dirty" in git:
        git["dirty"] = git["dirty"] == "True"
    return {"git": git} if git else {}
