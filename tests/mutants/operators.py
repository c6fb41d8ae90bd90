"""All mutants of a module: small changes that some test should notice.

Left out is what no test can or should notice: annotations, docstrings, texts of messages,
assertions, caches, that records are frozen, branches for other systems, and how long something
waits or tries, which is a constant whose name ends with `_S`.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_LEAVES: Final = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_KEPT_DECORATORS: Final = ("abstractmethod", "cache", "lru_cache", "overload", "override")
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


class Mutant(NamedTuple):
    """One change of a module: `before`, at `start` (a byte of the file), becomes `after`.

    `where` is the function or class around it, `line` the number of its first line, `text` that.
    """

    path: str
    where: str
    line: int
    text: str
    start: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What it is called in lists: it stays the same while other lines change."""
        before, after = " ".join(self.before.split()), " ".join(self.after.split())
        line = "" if before.startswith(self.text) else f" in `{self.text}`"
        return f"{self.path} {self.where}: `{before}` → `{after}`{line}"

    def applied_to(self, source: bytes) -> bytes:
        """The module with the change."""
        stop = self.start + len(self.before.encode())
        assert source[self.start : stop].decode() == self.before, f"{self.path} has changed"
        return source[: self.start] + self.after.encode() + source[stop:]


def mutants_of(root: Path, path: str) -> list[Mutant]:
    """All mutants of the module at this path, in the order of its lines."""
    source = (root / path).read_bytes()
    found = list(_Mutator(path, source).mutants(ast.parse(source), "module"))
    return sorted(set(found), key=lambda mutant: (mutant.start, mutant.after))


class _Mutator:
    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def mutants(self, node: ast.AST, where: str) -> Iterator[Mutant]:
        """The mutants of a node and of all below it."""
        if _is_left_out(node):
            return
        for start, stop, after in self._changes(node):
            before = self._source[start:stop].decode()
            line = self._source.count(b"\n", 0, start) + 1
            text = self._source[self._starts[line - 1] : self._starts[line]].decode().strip()
            yield Mutant(self._path, where, line, text, start, before, after)
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "type_params"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self.mutants(child, _named(where, child))

    def _changes(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        if isinstance(node, ast.expr):
            for changed in _changed_expressions(node):
                yield *self._place(node), f"({ast.unparse(changed)})"
        elif isinstance(node, ast.stmt):
            for after in _changed_statements(node):
                yield *self._place(node), after
        if isinstance(node, ast.If) and isinstance(node.body[-1], _LEAVES) and not node.orelse:
            yield *self._place(node.test), "False"
        if isinstance(node, ast.If | ast.While | ast.IfExp) and not _is_constant(node.test):
            yield *self._place(node.test), f"not ({ast.unparse(node.test)})"
        if isinstance(node, ast.Try) and node.finalbody:
            yield self._start(node.finalbody[0]), self._place(node.finalbody[-1])[1], "pass"
        if isinstance(node, ast.ExceptHandler) and not isinstance(node.body[-1], ast.Raise):
            yield self._start(node.body[0]), self._place(node.body[-1])[1], "raise"
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            for decorator in node.decorator_list:
                if not ast.unparse(decorator).split("(")[0].endswith(_KEPT_DECORATORS):
                    start, stop = self._place(decorator)
                    yield self._source.rindex(b"@", 0, start), stop, ""

    def _start(self, node: ast.stmt | ast.expr) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def _place(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._start(node), self._starts[node.end_lineno - 1] + node.end_col_offset


def _changed_expressions(node: ast.expr) -> Iterator[ast.expr]:
    changed = copy.copy(node)
    if isinstance(node, ast.Compare) and isinstance(changed, ast.Compare):
        changed.ops = [_COMPARISONS[type(node.ops[0])](), *node.ops[1:]]
        yield changed
    elif isinstance(node, ast.BoolOp) and isinstance(changed, ast.BoolOp):
        changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield changed
        yield from node.values if len(node.values) == 2 else ()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.BinOp) and isinstance(changed, ast.BinOp):
        if type(node.op) in _ARITHMETIC and not _is_text(node.left) and not _is_text(node.right):
            changed.op = _ARITHMETIC[type(node.op)]()
            yield changed
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int):
            yield ast.Constant(node.value + 1)
            yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.Call) and isinstance(changed, ast.Call) and node.args[1:]:
        one, two, *others = node.args
        is_even = ast.unparse(node.func) in ("max", "min")
        if not is_even and not isinstance(one, ast.Starred) and not isinstance(two, ast.Starred):
            changed.args = [two, one, *others]
            yield changed


def _changed_statements(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.Return):
        if node.value is not None and not _is_constant(node.value):
            yield "return None"
    elif isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Call):
            yield "pass"
    elif isinstance(node, ast.Assign):
        if isinstance(node.targets[0], ast.Attribute | ast.Subscript):
            yield "pass"
    elif isinstance(node, ast.AugAssign | ast.Raise | ast.Delete):
        yield "pass"
    elif isinstance(node, ast.Break):
        yield "continue"
    elif isinstance(node, ast.Continue):
        yield "break"


def _is_left_out(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dataclass":
        return True
    if isinstance(node, ast.If | ast.IfExp):
        test = ast.unparse(node.test)
        return test == "TYPE_CHECKING" or "sys.platform" in test
    if isinstance(node, ast.AnnAssign | ast.Assign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return isinstance(target, ast.Name) and target.id.endswith(("_S", "__slots__", "__all__"))
    return isinstance(node, _FUNCTIONS) and any(
        ast.unparse(decorator).endswith(("abstractmethod", "overload"))
        for decorator in node.decorator_list
    )


def _named(where: str, child: ast.AST) -> str:
    if not isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
        return where
    return child.name if where == "module" else f"{where}.{child.name}"


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
