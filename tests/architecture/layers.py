"""The layers that a checkout's pyproject.toml declares for import-linter."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.architecture.source import PACKAGE


def declared_layers(root: Path) -> list[list[str]]:
    """The rooms of each layer, the highest layer first."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    [layers] = [
        contract["layers"]
        for contract in pyproject["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    return [[f"{PACKAGE}.{name}" for name in re.findall(r"\w+", layer)] for layer in layers]
