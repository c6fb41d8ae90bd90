"""The mutants that are made of a module, and how tests are found to reach its blocks."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.mutants.__main__ import equivalents
from tests.mutants.operators import mutants_of
from tests.mutants.reached import FILE, Block, Reached, instrument
from tests.mutants.tests_of import ReachedMap
from tests.mutants.trees import AREAS, ROOT, environment_of, modules_in


@pytest.mark.parametrize(
    ("line", "mutants"),
    [
        ("return a < b", ["return (a <= b)", "return None"]),
        ("return not a", ["return (a)", "return None"]),
        ("x = a and b", ["x = (a or b)", "x = (a)", "x = (b)"]),
        ("x = a + 1", ["x = (a - 1)", "x = a + (2)", "x = a + (0)"]),
        ("f(a, b)", ["f(b, a)", "pass"]),
        ("a.b = c", ["pass"]),
        ("raise f(a)", ["pass"]),
        ("if a: return", ["if False: return", "if not (a): return"]),
        ("while a: break", ["while not (a): break", "while a: continue"]),
        ("try: a\n    finally: b()", ["try: a\n    finally: pass"]),
        (
            "try: a\n    except E: b()",
            ["try: a\n    except E: raise", "try: a\n    except E: pass"],
        ),
        ("assert a < b", []),
        ("x: a | b = c", []),
        ("return", []),
    ],
)
def test_a_line_has_these_mutants(tmp_path: Path, line: str, mutants: list[str]) -> None:
    source = f"def g():\n    {line}\n"
    (tmp_path / "m.py").write_text(source)
    made = [m.applied_to(source.encode()).decode() for m in mutants_of(tmp_path, "m.py")]
    bare = [text.removeprefix("def g():\n    ").removesuffix("\n") for text in made]
    assert {ast.dump(ast.parse(f"def g():\n    {text}")) for text in bare} == {
        ast.dump(ast.parse(f"def g():\n    {text}")) for text in mutants
    }
    assert len(bare) >= len(mutants)


def test_mutants_of_the_log_are_programs() -> None:
    path = "storage/sqlite_log.py"
    source = (ROOT / path).read_bytes()
    made = mutants_of(ROOT, path)
    assert len(made) > 100
    for mutant in made[::20]:
        ast.parse(mutant.applied_to(source))


def test_mutants_are_made_in_each_area() -> None:
    for area in AREAS:
        assert modules_in(ROOT, area)


def test_each_equivalent_mutant_has_a_reason() -> None:
    for name, reason in equivalents().items():
        assert "→" in name
        assert reason, name


_MODULE = '''\
"""A docstring."""
from __future__ import annotations

def f(a):
    """Documented."""
    if a:
        return 1
    return 2

def never():
    return 3
'''


@pytest.mark.processes
def test_a_block_that_a_killed_process_has_reached_counts(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "m.py").write_text(_MODULE)
    blocks = instrument(tmp_path, ["m.py"])
    hits = tmp_path / "hits"
    hits.write_bytes(bytes(len(blocks)))

    code = "import m, os; assert m.f.__doc__ == 'Documented.'; m.f(0); os.kill(os.getpid(), 9)"
    environment = {**os.environ, **environment_of(tmp_path, tmp_path), FILE: str(hits)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == -9

    reached = [(b.first, b.last) for b, hit in zip(blocks, hits.read_bytes(), strict=True) if hit]
    assert reached == [(4, 8), (8, 8)]


def test_what_no_test_reaches_is_left_to_the_tests_of_its_area() -> None:
    hit, not_hit = zlib.compress(b"\1"), zlib.compress(b"\0")
    tests = ReachedMap(
        "",
        {},
        [Block("storage/a.py", 2, 9)],
        [
            Reached("tests/run/test_r.py::r", 1.0, True, hit),
            Reached("tests/storage/test_s.py::s", 1.0, True, not_hit),
        ],
    )

    def found(path: str) -> list[str]:
        mutant = next(m for m in mutants_of(ROOT, "storage/sqlite_log.py"))
        parts = tests.tests_for(mutant._replace(path=path, line=3), 9.0)
        return [test for names, _seconds in parts for test in names]

    assert found("storage/a.py") == ["tests/run/test_r.py::r"]
    assert found("storage/limits.py") == ["tests/storage/test_s.py::s"]
