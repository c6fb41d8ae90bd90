"""The measures of the house, taken of small sources."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.architecture.circles import best_order, circles, running_up
from tests.architecture.private_uses import private_uses
from tests.architecture.source import Checkout
from tests.architecture.start_up import StartUp


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "src" / "runlore"
    folder.mkdir(parents=True)
    return folder


def checkout(package: Path, modules: dict[str, str]) -> Checkout:
    for file, source in {"__init__.py": "", **modules}.items():
        (package / file).parent.mkdir(exist_ok=True)
        (package / file).write_text(dedent(source))
    return Checkout(package.parents[1])


def uses(package: Path, source: str) -> list[str]:
    return [use.text for use in private_uses(checkout(package, {"m.py": source}))]


@pytest.mark.parametrize(
    "source, found",
    [
        ("from runlore.other import _x", ["from runlore.other import _x"]),
        ("from runlore import other\nother._x", ["other._x"]),
        ("def f(x): x._y", ["x._y"]),
        ("def f(x): x.a.b._y()", ["x.a.b._y"]),
        ("def f(x): x._y = 1", ["x._y"]),
        ("def f(x): getattr(x, '_y')", ["x._y"]),
        ("def f(x): object.__setattr__(x, '_y', 1)", ["x._y"]),
        ("def f(x): vars(x)['_y']", ["x._y"]),
        ("def f(x): x.__dict__['_y']", ["x._y"]),
    ],
)
def test_reaching_into_another_object_is_found(
    package: Path, source: str, found: list[str]
) -> None:
    assert uses(package, source) == found


@pytest.mark.parametrize(
    "source",
    [
        "class C:\n    def f(self): self._y",
        "class C:\n    @classmethod\n    def f(cls): cls._y",
        "class C:\n    def f(self): super()._y()",
        "class C:\n    _y: int\n    def f(self, other): other._y",
        "class C:\n    def __init__(self): self._y = 1\ndef f(c: C): c._y",
        "def f(x): x.__dict__",
        "def f(x): x._replace(a=1)",
        "import os\nos._exit(1)",
        "def f(x): getattr(x, 'y')",
    ],
)
def test_what_a_module_owns_is_its_own(package: Path, source: str) -> None:
    assert uses(package, source) == []


def test_an_annotation_says_that_an_object_is_of_another_module_whatever_its_names(
    package: Path,
) -> None:
    source = """
        from runlore.other import Other

        class C:
            def __init__(self, kept: Other) -> None:
                self._y = 1
                self._kept = kept

            def f(self, given: Other | None, like: "C") -> None:
                given._y
                self._kept._y
                like._y
    """
    assert uses(package, source) == ["given._y", "self._kept._y"]


def test_imports_count_wherever_they_stand(package: Path) -> None:
    found = checkout(
        package,
        {
            "a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import runlore.b\n",
            "b.py": "def f():\n    from runlore.a import g\n",
        },
    )
    assert circles(found.arrows) == [["runlore.a", "runlore.b"]]


def test_a_re_exported_name_counts_for_the_module_that_defines_it(package: Path) -> None:
    found = checkout(
        package,
        {
            "p/__init__.py": "from runlore.p.inner import f as g\n",
            "p/inner.py": "",
            "a.py": "from runlore.p import g\n",
        },
    )
    assert found.arrows["runlore.a"] == {"runlore.p.inner"}


def test_a_chain_is_no_circle_and_a_ring_is() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


@pytest.mark.parametrize("nodes", [3, 7, 12])
def test_one_arrow_of_a_ring_runs_up(nodes: int) -> None:
    ring = {f"{node:02}": {f"{(node + 1) % nodes:02}"} for node in range(nodes)}
    assert len(running_up(best_order(ring, ring), ring)) == 1


def test_importers_stand_above_what_they_import() -> None:
    assert best_order("abc", {"a": set(), "b": {"a"}, "c": {"b"}}) == ["c", "b", "a"]


def test_a_lazy_import_saves_what_the_top_does_not_load_already(package: Path) -> None:
    found = checkout(
        package,
        {
            "a.py": "def f():\n    from runlore import heavy, light\n",
            "b.py": "import numpy\ndef f():\n    from runlore import heavy\n",
            "heavy.py": "import numpy\n",
            "light.py": "import os\n",
        },
    )
    start_up = StartUp(found)
    saved = {
        (lazy.importer, lazy.imported): start_up.saved_by(lazy)
        for lazy in found.imports
        if lazy.in_function
    }
    assert saved == {
        ("runlore.a", "runlore.heavy"): {"numpy"},
        ("runlore.a", "runlore.light"): set(),
        ("runlore.b", "runlore.heavy"): set(),
    }
