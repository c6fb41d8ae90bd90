"""What a run was started with: its config, whose values are set once, and its surroundings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from runlore.domain.config import nested
from runlore.run.config_values import as_config, as_config_value
from runlore.run.part import RunPart


class RunConfig(RunPart):
    """The part of `Run` that keeps its config and its surroundings."""

    @property
    def environment(self) -> Mapping[str, Any]:
        """The surroundings of the run: script, arguments, commit, host, packages and the like.

        Empty if nothing was captured; see docs/capture.md.
        """
        return MappingProxyType(self._handle.fetch().environment or {})

    def get_config(self) -> dict[str, Any]:
        """The run's config now, nested as it was given.

        >>> from runlore import init
        >>> run = init("nets", workspace=getfixture("tmp_path") / "lab")
        >>> run.add_config({"optimizer": {"name": "adam", "lr": 0.1}, "seed": None})
        >>> run.correct_config("optimizer.lr", 0.01, reason="a typo in the notes")
        >>> run.get_config()
        {'optimizer': {'name': 'adam', 'lr': 0.01}, 'seed': None}
        """
        config = self._handle.fetch().config
        return nested({key: json.loads(held.value or "null") for key, held in config.items()})

    def add_config(self, config: object) -> None:
        """Give the run config keys: all, or none if one has another value already.

        Takes a dict or another mapping, an argparse Namespace, a dataclass or a pydantic model,
        also nested. Values are JSON: numbers, text, true, false, null, lists; what JSON does not
        have becomes text, see docs/values.md. Inner keys are named with dots, as `optimizer.lr`.
        The same value again is a no-op.

        Raises ConfigConflict (a UserErrorException) for another value; the history shows the
        attempt. InvalidType for anything else, InvalidInput for more than 1 MiB of JSON.
        """
        from runlore.engine.runs.going_on import add_config

        add_config(self._handle, as_config(config))

    def correct_config(self, key: str, value: object, *, reason: str) -> None:
        """Replace the wrong value of a key such as `optimizer.lr`, with the reason.

        The original stays in the history, and in reads as of earlier moments. Raises InvalidInput
        if the run has no such key, or if the reason is empty.
        """
        from runlore.engine.runs.going_on import correct_config

        correct_config(self._handle, key, as_config_value(key, value), reason)
