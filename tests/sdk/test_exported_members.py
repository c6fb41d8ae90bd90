from __future__ import annotations

from types import ModuleType

import pytest

import runlore
import runlore.exceptions


@pytest.mark.parametrize("module", [runlore, runlore.exceptions], ids=lambda m: m.__name__)
def test_all_names_what_is_there(module: ModuleType) -> None:
    there = {
        name
        for name, member in vars(module).items()
        if not name.startswith("_") and not isinstance(member, ModuleType) and name != "annotations"
    }

    assert set(module.__all__) - {"__version__"} == there


@pytest.mark.parametrize("module", [runlore, runlore.exceptions], ids=lambda m: m.__name__)
def test_all_is_sorted(module: ModuleType) -> None:
    def constants_then_classes_then_functions(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert module.__all__ == sorted(module.__all__, key=constants_then_classes_then_functions)


@pytest.mark.parametrize("module", [runlore, runlore.exceptions], ids=lambda m: m.__name__)
def test_what_is_exported_has_a_docstring(module: ModuleType) -> None:
    undocumented = [
        name
        for name in module.__all__
        if callable(getattr(module, name)) and not getattr(module, name).__doc__
    ]

    assert undocumented == []
