"""The slow libraries that importing a module loads, and those that a lazy import saves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from tests.architecture.source import Checkout, Import, Module

SLOW_TO_IMPORT = {
    "_duckdb",
    "argparse",
    "botocore",
    "arro3",
    "click",
    "cryptography",
    "difflib",
    "duckdb",
    "eventsourcing",
    "getpass",
    "html",
    "importlib.metadata",
    "jmespath",
    "matplotlib",
    "msgpack",
    "numpy",
    "obstore",
    "pandas",
    "pathspec",
    "polars",
    "psutil",
    "pyarrow",
    "pydantic",
    "pydantic_core",
    "rich",
    "runlore.domain.run_state",  # own ones that take as long as a library
    "runlore.configuration.runconfig",
    "runlore.domain.filtering.fields",
    "runlore.run.run",
    "shlex",
    "runlore.domain.secrets",  # its patterns
    "sqlite3",
    "traceback",
    "subprocess",
    "tempfile",
    "yaml",
    "zstandard",
}


class StartUp:
    """Answers from the source: what `import m` runs, without imports for types or in functions."""

    def __init__(self, checkout: Checkout) -> None:
        self._checkout = checkout
        self._loaded: dict[str, set[str]] = {}

    def saved_by(self, lazy: Import) -> set[str]:
        """The slow libraries that the importer would load if the import stood at its top."""
        return self.libraries(lazy.imported) - self.libraries(lazy.importer)

    def libraries(self, name: str) -> set[str]:
        """The slow libraries that importing the module loads."""
        if name not in self._checkout.modules:
            return {name} & SLOW_TO_IMPORT
        if name not in self._loaded:
            self._loaded[name] = self._reached(name) & SLOW_TO_IMPORT
        return self._loaded[name]

    def _reached(self, start: str) -> set[str]:
        reached = {start, *_packages_of(start)}
        pending = list(reached)
        while pending:
            for name in self._at_import.get(pending.pop(), set()) - reached:
                reached.add(name)
                pending.append(name)
        return reached

    @cached_property
    def _at_import(self) -> dict[str, set[str]]:
        """For each module the modules and libraries that its own import statements run."""
        types_only = {
            (module.name, line)
            for module in self._checkout.modules.values()
            for line in _lines_for_types_only(module)
        }
        arrows: dict[str, set[str]] = {name: set() for name in self._checkout.modules}
        for found in self._checkout.imports:
            if not found.in_function and (found.importer, found.line) not in types_only:
                arrows[found.importer] |= {found.imported, *_packages_of(found.imported)}
        return arrows


def _packages_of(name: str) -> Iterator[str]:
    """The packages that run before a module does, without the outermost, which is always there."""
    parts = name.split(".")
    for length in range(2, len(parts)):
        yield ".".join(parts[:length])


def _lines_for_types_only(module: Module) -> Iterator[int]:
    for node in module.nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                yield from (
                    inner.lineno
                    for inner in ast.walk(statement)
                    if isinstance(inner, ast.Import | ast.ImportFrom)
                )
