"""Uses of private names of other modules, found in the source.

A name is private if it starts with one underscore. Counted are

- `from runlore.m import _x`, and `m._x` for an imported module `m`;
- `x._name` for any other `x` than `self`, `cls` and `super()`, unless `x` is of a class of the same
  module. The type of `x` is read from annotations, from calls of classes and functions of the
  module and from what `self` was given; where they say nothing, the use counts if the module
  itself defines no attribute `_name`;
- `getattr(x, "_name")` and its like, and `vars(x)["_name"]`, for the same `x`.

Not counted: `__dunder__` names, what named tuples offer under private names, and the documented
functions of other libraries in DOCUMENTED.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tests.architecture.source import PACKAGE, Checkout, Module

DOCUMENTED = {"os._exit", "sys._current_frames", "sys._getframe"}

_NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}
_BY_NAME = {"getattr", "setattr", "hasattr", "delattr", "__setattr__", "__getattribute__"}
_OWN = {"self", "cls"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class PrivateUse:
    module: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.text}"


def private_uses(checkout: Checkout) -> list[PrivateUse]:
    """The uses of every module, in the order of the source."""
    return [use for module in checkout.modules.values() for use in private_uses_of(module)]


def private_uses_of(module: Module) -> list[PrivateUse]:
    uses = [*_imported(module), *_Finder(module).uses()]
    return sorted(set(uses), key=lambda use: (use.line, use.text))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and len(name) > 1


def _imported(module: Module) -> Iterator[PrivateUse]:
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                if is_private(alias.name):
                    text = f"from {node.module} import {alias.name}"
                    yield PrivateUse(module.name, node.lineno, text)


class _Finder:
    """Finds the uses in one module; knows its classes and what they define."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._fields: dict[ast.ClassDef, dict[str, str]] = {}
        self._classes = {node.name: node for node in module.nodes if isinstance(node, ast.ClassDef)}
        self._functions = {
            node.name: node for node in module.tree.body if isinstance(node, Function)
        }
        self._imported = {
            alias.asname or alias.name
            for node in module.nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }

    def uses(self) -> Iterator[PrivateUse]:
        yield from self._within(self._module.tree, None, {})

    @cached_property
    def _defined(self) -> set[str]:
        """Private names that the module's classes define: methods, fields, what `self` is given."""
        names: set[str] = set()
        for node in self._module.nodes:
            if isinstance(node, ast.ClassDef):
                names |= _names_of_body(node)
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id in _OWN
            ):
                names.add(node.attr)
        return {name for name in names if is_private(name)}

    def _within(
        self, node: ast.AST, owner: ast.ClassDef | None, types: Mapping[str, str]
    ) -> Iterator[PrivateUse]:
        if isinstance(node, ast.ClassDef):
            owner = node
        elif isinstance(node, Function):
            types = {**types, **self._types_in(node, owner)}
        elif (found := _private_access(node)) is not None:
            target, name = found
            if not self._is_own(target, name, owner, types):
                text = f"{ast.unparse(target)}.{name}"
                if text not in DOCUMENTED:
                    line: int = getattr(node, "lineno", 0)
                    yield PrivateUse(self._module.name, line, text)
        for child in ast.iter_child_nodes(node):
            yield from self._within(child, owner, types)

    def _is_own(
        self, target: ast.expr, name: str, owner: ast.ClassDef | None, types: Mapping[str, str]
    ) -> bool:
        if isinstance(target, ast.Name) and target.id in (*_OWN, *self._classes):
            return True
        if isinstance(target, ast.Name) and target.id in self._imported:
            return False
        if isinstance(target, ast.Call) and _name_of(target.func) == "super":
            return True
        type_ = self._type_of(target, owner, types)
        return name in self._defined if type_ is None else type_ in self._classes

    def _type_of(
        self, target: ast.expr, owner: ast.ClassDef | None, types: Mapping[str, str]
    ) -> str | None:
        """The name of the expression's class, or None if the source does not say it."""
        match target:
            case ast.Name(id=name):
                return types.get(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name) if owner is not None:
                return self._fields_of(owner).get(name)
            case ast.Call(func=ast.Name(id=name)) if name in self._classes:
                return name
            case ast.Call(func=ast.Name(id=name)) if name in self._functions:
                return self._class_in(self._functions[name].returns, owner)
        return None

    def _fields_of(self, owner: ast.ClassDef) -> dict[str, str]:
        """Types of the attributes of `self`: annotated ones, and parameters that are kept."""
        if owner not in self._fields:
            self._fields[owner] = self._read_fields(owner)
        return self._fields[owner]

    def _read_fields(self, owner: ast.ClassDef) -> dict[str, str]:
        fields: dict[str, str] = {}
        for node in ast.walk(owner):
            match node:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                    fields |= self._typed(name, annotation, owner)
                case ast.AnnAssign(
                    target=ast.Attribute(value=ast.Name(id="self"), attr=name),
                    annotation=annotation,
                ):
                    fields |= self._typed(name, annotation, owner)
                case ast.FunctionDef(name="__init__"):
                    fields = {**self._kept_parameters(node, owner), **fields}
                case ast.FunctionDef(name=name, decorator_list=[ast.Name(id="property")]):
                    fields |= self._typed(name, node.returns, owner)
        return fields

    def _kept_parameters(self, init: ast.FunctionDef, owner: ast.ClassDef) -> dict[str, str]:
        types = self._types_in(init, owner)
        kept: dict[str, str] = {}
        for node in ast.walk(init):
            match node:
                case ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value
                ):
                    type_ = self._type_of(value, None, types)
                    if type_ is not None:
                        kept[name] = type_
        return kept

    def _types_in(self, function: Function, owner: ast.ClassDef | None) -> dict[str, str]:
        """Types of a function's parameters and local names, as far as the source says them."""
        arguments = function.args
        types: dict[str, str] = {}
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            types |= self._typed(argument.arg, argument.annotation, owner)
        for node in ast.walk(function):
            match node:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                    types |= self._typed(name, annotation, owner)
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    made = self._made_by(value, owner)
                    if made is not None:
                        types[name] = made
        return types

    def _made_by(self, value: ast.expr, owner: ast.ClassDef | None) -> str | None:
        match value:
            case ast.Call(func=ast.Name(id="cls")) if owner is not None:
                return owner.name
            case ast.Call(func=ast.Attribute(attr="__new__")) if owner is not None:
                return owner.name
        return self._type_of(value, None, {})

    def _typed(
        self, name: str, annotation: ast.expr | None, owner: ast.ClassDef | None
    ) -> dict[str, str]:
        class_ = self._class_in(annotation, owner)
        return {} if class_ is None else {name: class_}

    def _class_in(self, annotation: ast.expr | None, owner: ast.ClassDef | None) -> str | None:
        """`C` in `C`, `"C"`, `m.C`, `C | None` and `C[T]`; None for anything else and for Any."""
        match annotation:
            case ast.Constant(value=str(text)):
                return self._class_in(ast.parse(text, mode="eval").body, owner)
            case ast.BinOp(left=left, right=ast.Constant(value=None)):
                return self._class_in(left, owner)
            case ast.Subscript(value=value):
                return self._class_in(value, owner)
            case ast.Attribute(attr=name) | ast.Name(id=name):
                if name == "Self" and owner is not None:
                    return owner.name
                return None if name in ("Any", "object") else name
        return None


def _private_access(node: ast.AST) -> tuple[ast.expr, str] | None:
    """The object and the private name that the node takes from it, in any of the ways."""
    match node:
        case ast.Attribute(value=target, attr=name) if is_private(name):
            return None if name in _NAMED_TUPLE else (target, name)
        case ast.Call(func=function, args=[target, ast.Constant(value=str(name)), *_]) if (
            _name_of(function) in _BY_NAME and is_private(name) and name not in _NAMED_TUPLE
        ):
            return target, name
        case ast.Subscript(
            value=ast.Call(func=ast.Name(id="vars"), args=[target]),
            slice=ast.Constant(value=str(name)),
        ) if is_private(name):
            return target, name
        case ast.Subscript(
            value=ast.Attribute(value=target, attr="__dict__"), slice=ast.Constant(value=str(name))
        ) if is_private(name):
            return target, name
    return None


def _name_of(function: ast.expr) -> str | None:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


def _names_of_body(class_: ast.ClassDef) -> set[str]:
    names: set[str] = set()
    for node in class_.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names
