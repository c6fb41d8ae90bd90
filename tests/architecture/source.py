"""The modules of a checkout and the imports between them, read from the source, never imported."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "runlore"


@dataclass(frozen=True)
class Import:
    """One import statement of one name."""

    importer: str
    imported: str  # a module of the package, or the top name of another library
    name: str | None  # the name taken out of the module; None for `import module`
    line: int
    in_function: bool


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    name: str
    path: Path
    is_package: bool

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), str(self.path))

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree."""
        return list(ast.walk(self.tree))

    @property
    def room(self) -> str:
        """The child of the package that the module is or lies in."""
        return ".".join(self.name.split(".")[:2])


class Checkout:
    """The package's modules by name, with every import: top level, in functions, for types only."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules = {module.name: module for module in _modules(root / "src" / PACKAGE)}

    @cached_property
    def imports(self) -> list[Import]:
        """All imports, a name that a package re-exports counting for the module that defines it."""
        return [found for module in self.modules.values() for found in self._imports_of(module)]

    @cached_property
    def arrows(self) -> dict[str, set[str]]:
        """For each module the modules of the package that it imports."""
        arrows: dict[str, set[str]] = {name: set() for name in self.modules}
        for found in self.imports:
            if found.imported in self.modules and found.imported != found.importer:
                arrows[found.importer].add(found.imported)
        return arrows

    @cached_property
    def rooms(self) -> dict[str, list[str]]:
        """The modules of each child of the package."""
        rooms: dict[str, list[str]] = {}
        for module in self.modules.values():
            rooms.setdefault(module.room, []).append(module.name)
        return rooms

    @cached_property
    def room_arrows(self) -> dict[str, set[str]]:
        """For each room the other rooms that it imports from."""
        arrows: dict[str, set[str]] = {room: set() for room in self.rooms}
        for importer, imported in self.arrows.items():
            from_room = self.modules[importer].room
            arrows[from_room] |= {self.modules[name].room for name in imported} - {from_room}
        return arrows

    def _imports_of(self, module: Module) -> Iterator[Import]:
        for node, in_function in _import_statements(module.tree):
            for target, name in _targets(node):
                imported, name = self._defining(target, name)
                yield Import(module.name, imported, name, node.lineno, in_function)

    def _defining(self, target: str, name: str | None) -> tuple[str, str | None]:
        """The module that holds the imported name: a submodule, or where a package has it from."""
        while name is not None and target in self.modules:
            if f"{target}.{name}" in self.modules:
                return f"{target}.{name}", None
            source = self._re_exports.get(target, {}).get(name)
            if source is None:
                break
            target, name = source
        if target == "importlib.metadata":  # All load importlib; its metadata is slow.
            return target, name
        if target.split(".")[0] != PACKAGE:
            return target.split(".")[0], name
        return target, name

    @cached_property
    def _re_exports(self) -> dict[str, dict[str, tuple[str, str | None]]]:
        return {
            module.name: {
                alias.asname or alias.name: (node.module, alias.name)
                for node in module.tree.body
                if isinstance(node, ast.ImportFrom) and node.module is not None
                for alias in node.names
            }
            for module in self.modules.values()
            if module.is_package
        }


def _modules(package: Path) -> Iterator[Module]:
    """Follows the links to the layers that are top-level folders."""
    for folder, folders, files in os.walk(package, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        parts = (PACKAGE, *Path(folder).relative_to(package).parts)
        for file in sorted(files):
            if file == "__init__.py":
                yield Module(".".join(parts), Path(folder, file), is_package=True)
            elif file.endswith(".py"):
                name = ".".join((*parts, file.removesuffix(".py")))
                yield Module(name, Path(folder, file), is_package=False)


def _import_statements(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, in_function = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, in_function
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        pending.extend((child, inside) for child in reversed(list(ast.iter_child_nodes(node))))


def _targets(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str | None]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, None
    elif node.module is not None:
        for alias in node.names:
            yield node.module, alias.name
