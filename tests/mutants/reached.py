"""Which tests reach which blocks of the code, processes that are killed included.

`instrument` puts a probe at the start of each block of a copy of the tree: a store into a mapped
file, which a forked or started process shares. As a plugin of pytest, this module empties the file
before each test and keeps what was stored after it.
"""

from __future__ import annotations

import ast
import mmap
import os
import pickle
import tempfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.mutants.trees import AREAS

FILE: Final = "MUTANTS_HITS"
"""The variable with the mapped file of this process and its children."""
OUT: Final = "MUTANTS_REACHED"
"""The variable with the folder for the results."""

_MODULE: Final = "_mutants_hits"
_SOURCE: Final = f"""
import mmap, os
try:
    with open(os.environ["{FILE}"], "r+b") as file:
        hits = mmap.mmap(file.fileno(), 0)
except (KeyError, OSError):
    hits = bytearray({{nbytes}})
"""


class Block(NamedTuple):
    """Lines of a module that are reached together; the smallest block around a line counts."""

    path: str
    first: int
    last: int


class Reached(NamedTuple):
    """A test, how long it took, whether it passed, and a byte for each block, compressed."""

    test: str
    seconds: float
    passed: bool
    packed: bytes

    def has_hit(self, blocks: Sequence[int]) -> bool:
        """Whether the test reached one of the blocks."""
        hits = zlib.decompress(self.packed)
        return any(hits[number] for number in blocks)


# --- instrumenting ------------------------------------------------------------------------------


def instrument(root: Path, paths: Sequence[str]) -> list[Block]:
    """Put probes into the modules of a copy of the tree; returns their blocks, in order."""
    blocks: list[Block] = []
    for path in paths:
        tree = ast.parse((root / path).read_bytes())
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            number = len(blocks)
            function.body = _probed(function.body, path, blocks)
            header = min([function.lineno, *(each.lineno for each in function.decorator_list)])
            if len(blocks) > number:  # It has more than a docstring.
                blocks[number] = blocks[number]._replace(first=header)
        place = sum(1 for _ in takewhile(_is_opening, tree.body))
        tree.body[place:place] = ast.parse(f"from {_MODULE} import hits as {_MODULE}").body
        (root / path).write_text(ast.unparse(ast.fix_missing_locations(tree)))
    (root / "src" / f"{_MODULE}.py").write_text(_SOURCE.format(nbytes=len(blocks)))
    return blocks


def _probed(body: list[ast.stmt], path: str, blocks: list[Block]) -> list[ast.stmt]:
    """The statements with a probe before them, and after each that may leave the block."""
    probed: list[ast.stmt] = []
    is_new = True
    for node in body:
        if is_new and not _is_opening(node):
            probed += ast.parse(f"{_MODULE}[{len(blocks)}] = 1").body
            blocks.append(Block(path, node.lineno, body[-1].end_lineno or node.lineno))
        is_new = _is_opening(node) or bool(list(_bodies(node)))
        for inner in _bodies(node):
            inner[:] = _probed(inner, path, blocks)
        probed.append(node)
    return probed


def _bodies(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return  # Functions in functions have their own turn.
    for name in ("body", "orelse", "finalbody"):
        inner = getattr(node, name, None)
        if inner:
            yield inner
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield part.body


def _is_opening(node: ast.stmt) -> bool:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


# --- the plugin ---------------------------------------------------------------------------------

_hits: mmap.mmap | None = None
_kept: list[Reached] = []


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before runlore is imported: the file whose name this process and its children find."""
    global _hits
    blocks = pickle.loads((Path(os.environ[OUT]) / "blocks").read_bytes())
    with tempfile.NamedTemporaryFile(dir=os.environ[OUT], delete=False) as file:
        file.write(bytes(len(blocks)))
        file.flush()
        os.environ[FILE] = file.name
        _hits = mmap.mmap(file.fileno(), 0)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long: tests that start processes, but of the areas that are changed."""
    folders = tuple(f"tests/{Path(area).name}/" for area in AREAS)
    left_out = [item for item in items if _is_slow(item) and not item.nodeid.startswith(folders)]
    config.hook.pytest_deselected(items=left_out)
    known = set(left_out)
    items[:] = [item for item in items if item not in known]


def _is_slow(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("processes", "on_disk"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    assert _hits is not None
    _hits[:] = bytes(len(_hits))
    _kept.append(Reached(item.nodeid, 0.0, True, b""))
    result = yield
    _kept[-1] = _kept[-1]._replace(packed=zlib.compress(_hits[:], 1))
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if _kept and _kept[-1].test == report.nodeid:
        seconds, passed = _kept[-1].seconds + report.duration, _kept[-1].passed
        _kept[-1] = _kept[-1]._replace(seconds=seconds, passed=passed and report.passed)


def pytest_sessionfinish() -> None:
    """Also in each process of xdist."""
    if _kept:
        out = Path(os.environ[OUT]) / f"reached-{os.getpid()}"
        out.write_bytes(pickle.dumps([tuple(each) for each in _kept]))
