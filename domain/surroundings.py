"""The parts of a run's recorded surroundings that lists and queries show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

COMMIT_PROPERTY: Final = "azureml.git.commit"
"""The property that holds the commit of a run with a snapshot, as in Azure ML."""


def script_in(environment: Mapping[str, Any] | None) -> str | None:
    """The script or notebook that the surroundings name. Anybody may have written them.

    >>> script_in({"script": "train.py"}), script_in({"script": 3}), script_in(None)
    ('train.py', None, None)
    """
    return _text(environment, "script")


def commit_in(environment: Mapping[str, Any] | None) -> str | None:
    """The git commit that the surroundings name.

    >>> commit_in({"git": {"commit": "c0ffee"}}), commit_in({"git": "c0ffee"})
    ('c0ffee', None)
    """
    git = (environment or {}).get("git")
    return _text(git, "commit") if isinstance(git, Mapping) else None


def _text(document: Mapping[str, Any] | None, key: str) -> str | None:
    value = (document or {}).get(key)
    return value if isinstance(value, str) else None
