"""The text of a project's `config.json`, which names its workspace.

It gives the folder or URI of a workspace, or one of runlore's errors. Nothing is written.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from random import Random
from typing import Final

from runlore.azure.config_file import Config, address_in, find_config, is_azures, name_in
from runlore.domain.errors import RunloreError
from tests.fuzz.mutations import JSON_VALUES, TEXTS, mutated_bytes, mutated_text, mutated_tree
from tests.fuzz.target import Broken, Target

_WORDS: Final = (
    *TEXTS,
    *('"Path": ', '"Scope": ', '"workspace_name": ', '"subscription_id": ', '"resource_group": '),
    *("{", "}", "[", "]", ",", '"', "\\u0000", "\\ud800", "NaN", "Infinity", "true", "[" * 2_000),
    *(
        "sqlite:///lab",
        "sqlite://",
        "file:///x",
        "postgresql://u:p@h/db",
        "://",
        "~",
        "$HOME",
        "lab",
    ),
)


def seeds() -> list[bytes]:
    """Configs of Azure and of runlore."""
    scope = "/subscriptions/s/resourceGroups/g/providers/x/workspaces/lab"
    fields = [
        {"subscription_id": "s", "resource_group": "g", "workspace_name": "lab"},
        {"Id": None, "Scope": scope, "Path": "lab"},
        {"Path": "sqlite:///lab"},
        {"Path": "/nowhere"},
        {"Path": "../x"},
        {"Scope": 5, "Path": None, "workspace_name": ["a"]},
    ]
    return [*[json.dumps(one).encode() for one in fields], b"\xef\xbb\xbf{}", b"[]", b"{"]


def mutate(data: bytes, random: Random) -> bytes:
    """JSON with other values, or other marks."""
    if random.random() < 0.05:
        return mutated_bytes(data, random)
    if random.random() < 0.6:
        try:
            changed = json.dumps(mutated_tree(json.loads(data), random, JSON_VALUES))
            return changed.encode(errors="replace")
        except (ValueError, TypeError, RecursionError):
            pass
    return mutated_text(data.decode(errors="replace"), random, _WORDS).encode()


def check(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        (project / ".azureml").mkdir(parents=True)
        file = project / ".azureml" / "config.json"
        file.write_bytes(data)
        for read in (address_in, name_in, is_azures):
            for is_named in (True, False):
                try:
                    read(Config(file, is_named))
                except RunloreError as error:
                    str(error)
        try:
            find_config(project)
        except RunloreError as error:
            str(error)
        if os.listdir(folder) != ["project"] or os.listdir(project) != [".azureml"]:
            raise Broken("files were made")


TARGET: Final = Target(
    "config",
    check,
    seeds,
    mutate,
    regressions={"a path that no file can have": rb'{"Path": "../x\ud800"}'},
    max_nbytes=1 << 12,
    quick=120,
)
