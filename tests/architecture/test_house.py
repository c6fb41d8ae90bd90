"""The house keeps its rooms: no new circle, no reaching in, no arrow up, no full folder."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture import lazy_imports
from tests.architecture.house import House
from tests.architecture.source import Module
from tests.architecture.start_up import StartUp

# Scripts go from a run to its experiment, to its workspace and back, as Azure's API is.
AZURES_OBJECTS = [
    "runlore.compute_target",
    "runlore.entry.context",
    "runlore.experiment",
    "runlore.run.run",
    "runlore.workspace",
]
MOST_ARROWS_UP = 8


@pytest.fixture(scope="module")
def house() -> House:
    return House()


def test_no_module_uses_a_private_name_of_another(house: House) -> None:
    assert [str(use) for use in house.private_uses] == []


def test_only_azures_objects_import_each_other_in_a_circle(house: House) -> None:
    assert house.circles == [AZURES_OBJECTS]


def test_imports_run_down(house: House) -> None:
    assert len(house.arrows_up) <= MOST_ARROWS_UP, house.arrows_up


def test_no_folder_holds_too_many_modules(house: House) -> None:
    assert house.full_folders == {}


def test_an_import_inside_a_function_saves_a_slow_library(house: House) -> None:
    start_up = StartUp(house.checkout)
    assert [
        (lazy.importer, lazy.imported)
        for lazy in house.checkout.imports
        if lazy.in_function
        and not start_up.saved_by(lazy)
        and not {lazy.importer, lazy.imported} <= set(AZURES_OBJECTS)
    ] == []


def test_the_list_of_imports_inside_functions_is_complete(house: House) -> None:
    """`python -m tests.architecture.lazy_imports` writes it anew; look at the difference."""
    assert lazy_imports.listed(house.checkout) == lazy_imports.LIST.read_text()


def packages() -> list[Module]:
    return [module for module in House().checkout.modules.values() if module.is_package]


@pytest.mark.parametrize("package", packages(), ids=lambda package: str(package.name))
def test_the_docstring_of_a_package_is_one_sentence(package: Module) -> None:
    docstring = ast.get_docstring(package.tree) or ""
    if package.name == "runlore":  # its docstring is also the help page
        docstring = docstring.split("\n\n")[0]
    assert docstring.endswith(".")
    assert not re.search(r"[.;]\s", docstring)
