"""The house keeps its rooms: no new circle, no reaching in, no arrow up, no full folder."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture import lazy_imports
from tests.architecture.house import House
from tests.architecture.source import Module
from tests.architecture.start_up import StartUp

# The counts below may only fall.
PRIVATE_USES = 0
CIRCLES = 1
LARGEST_CIRCLE = 5
ARROWS_UP = 7
FULL_FOLDERS = 0
NEEDLESS_LAZY_IMPORTS = 34


@pytest.fixture(scope="module")
def house() -> House:
    return House()


def test_no_module_uses_a_private_name_of_another(house: House) -> None:
    assert len(house.private_uses) <= PRIVATE_USES, "\n".join(map(str, house.private_uses))


def test_modules_do_not_import_each_other_in_circles(house: House) -> None:
    assert len(house.circles) <= CIRCLES, house.circles
    assert all(len(circle) <= LARGEST_CIRCLE for circle in house.circles), house.circles


def test_imports_run_down(house: House) -> None:
    assert len(house.arrows_up) <= ARROWS_UP, house.arrows_up


def test_no_folder_holds_more_modules_than_one_takes_in_at_a_glance(house: House) -> None:
    assert len(house.full_folders) <= FULL_FOLDERS, house.full_folders


def test_an_import_inside_a_function_saves_a_slow_library(house: House) -> None:
    start_up = StartUp(house.checkout)
    needless = {
        (lazy.importer, lazy.imported)
        for lazy in house.checkout.imports
        if lazy.in_function and not start_up.saved_by(lazy)
    }
    assert len(needless) <= NEEDLESS_LAZY_IMPORTS, sorted(needless)


def test_only_the_classes_that_exist_for_azure_are_imported_from_exceptions(house: House) -> None:
    tree = house.checkout.modules["runlore.exceptions"].tree
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    others = [
        found
        for found in house.checkout.imports
        if found.imported == "runlore.exceptions" and found.name not in classes
    ]
    assert others == []


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
