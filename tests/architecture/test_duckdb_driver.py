"""What only the package `duckdb` has is used where the package is surely imported.

Tests import it, so none of them would miss it: in a short command it would be missing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.house import HERE

OF_THE_PACKAGE: Final = {"register", "sql"}
CONNECTIONS: Final = {"connection", "cursor", "logged", "shown", "writing"}


def imports_package(body: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Import) and any(alias.name == "duckdb" for alias in node.names)
        for node in body.body
    )


def incomplete(tree: ast.Module) -> Iterator[str]:
    """The functions that use the package without having imported it."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
            uses = any(
                isinstance(call, ast.Attribute)
                and call.attr in OF_THE_PACKAGE
                and isinstance(call.value, ast.Name)
                and call.value.id in CONNECTIONS
                for call in calls
            )
            if uses and not any(isinstance(c, ast.Name) and c.id == "complete" for c in calls):
                yield function.name


def offences(source: str) -> list[str]:
    tree = ast.parse(source)
    return [] if imports_package(tree) else [*incomplete(tree)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(connection):\n    connection.sql('FROM t')", ["f"]),
        ("def f(connection):\n    connection.register('t', 1)", ["f"]),
        ("def f(connection):\n    complete()\n    connection.sql('FROM t')", []),
        ("import duckdb\ndef f(connection):\n    connection.sql('FROM t')", []),
        ("def f(connection):\n    connection.execute('FROM t')", []),
    ],
)
def test_a_use_of_the_package_is_seen(source: str, found: list[str]) -> None:
    assert offences(source) == found


def test_relations_and_registered_tables_have_the_package() -> None:
    files = sorted(Path(HERE, "projections").rglob("*.py"))
    assert len(files) > 40
    found = {path.name: offences(path.read_text(encoding="utf-8")) for path in files}
    assert {name: functions for name, functions in found.items() if functions} == {}
