"""Secrets of a submitted run: kept out of its definition, and handed to its supervisor beside it.

The definition is recorded for good. Of a secret variable it has the name, of a secret argument
`***` in its place. The values travel with the supervisor's environment (see `launch` and
`handover`), so the script gets what was given.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Final

from runlore.domain.definition import Definition
from runlore.domain.secrets import mask_line, mask_words, secret_variables
from runlore.engine.caller_warning import warn_caller
from runlore.storage.user_settings import user_settings

WORDS: Final = "RUNLORE_SUPERVISOR_WORDS"
"""Carries the command line with its secrets, as JSON; the script does not get this variable."""


def masked(
    definition: Definition, not_secret: Collection[str] = ()
) -> tuple[Definition, dict[str, str]]:
    """The definition as it is recorded, and the variables that its supervisor needs.

    `not_secret` and the user's settings name variables and arguments that stay as they are. One
    warning names all that were masked.
    """
    allowed = {*not_secret, *user_settings(warn_caller).not_secret}
    variables = definition.environment_variables
    secret = secret_variables(variables, allowed)
    arguments, names = mask_words(definition.arguments, allowed)
    command = definition.command
    more: tuple[str, ...] = ()
    if isinstance(command, str):
        (command,), more = mask_line(command, allowed)
    elif command is not None:
        command, more = mask_words(command, allowed)
    names = tuple(dict.fromkeys((*more, *names)))
    recorded = definition.model_copy(
        update={
            "environment_variables": {k: v for k, v in variables.items() if k not in secret},
            "secret_variables": secret,
            "arguments": arguments,
            "command": command,
            "secret_arguments": names,
        }
    )
    if secret or names:
        _say((*secret, *names))
    if not names:
        return recorded, dict(variables)
    words = {"arguments": definition.arguments, "command": definition.command}
    return recorded, {**variables, WORDS: json.dumps(words)}


def revealed(
    recorded: Definition, environment: Mapping[str, str]
) -> tuple[Definition, dict[str, str]]:
    """The definition to execute, and the script's environment.

    If the secret arguments were not handed over, the definition still names them.
    """
    environment = dict(environment)
    words = environment.pop(WORDS, None)
    if words is None or not recorded.secret_arguments:
        return recorded, environment
    given = {**recorded.model_dump(), **json.loads(words), "secret_arguments": ()}
    return Definition.model_validate(given), environment


def _say(names: Collection[str]) -> None:
    warn_caller(
        f"the values of {', '.join(names)} look like secrets, so they are not recorded; the script "
        "gets them. If one is no secret, pass its name in not_secret=[...], or add it to "
        "'not_secret' in your settings"
    )
