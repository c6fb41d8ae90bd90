"""A map from blocks of the code to the tests that reach them; made once for a state of the code.

Tests that start processes are in it if they are of an area that is changed; those of others would
take most of the time. So a rate of mutants is what the rest of the tests shows, at least.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Final, NamedTuple

from tests.mutants.operators import Mutant
from tests.mutants.reached import OUT, Block, Reached, instrument
from tests.mutants.trees import (
    AREAS,
    compiled,
    copied_tree,
    digest_of_sources,
    digests_of_tests,
    environment_of,
    modules_in,
)

FOLDERS: Final = (
    *("tests/audit", "tests/conformance", "tests/contracts", "tests/domain", "tests/engine"),
    *("tests/entry", "tests/execution", "tests/hostile", "tests/projections", "tests/run"),
    "tests/storage",
)
_DOCTESTS: Final = "src"
_FIRST_TESTS: Final = 12
_FIRST_FILES: Final = 3


class ReachedMap(NamedTuple):
    """The blocks of the code and the tests, with the digests of the code and of the tests."""

    sources: str
    files: dict[str, str]
    blocks: list[Block]
    reached: list[Reached]

    def tests_for(self, mutant: Mutant, budget_s: float) -> list[tuple[list[str], float]]:
        """The tests that reach the mutant, in parts, each with its time in seconds.

        The first part has a few tests that are likely to notice it. In all they take no longer
        than the budget: where more tests come by, the slowest are left out. Code that no test was
        seen to reach, as a module without functions, is left to the tests of its area.
        """
        around = self._blocks_around(mutant)
        passed = [each for each in self.reached if each.passed]
        found = [each for each in passed if each.has_hit(around)]
        found = found or [each for each in passed if _is_of_the_area(each.test, mutant.path)]
        found.sort(key=lambda each: (not _is_of(each.test, mutant.path), each.seconds))
        kept: list[Reached] = []
        left_s = budget_s
        for each in found:
            left_s -= each.seconds
            if left_s < 0 and kept:
                break
            kept.append(each)
        first = _first_of(kept)
        parts = (first, [each for each in kept if each not in first])
        return [([e.test for e in part], sum(e.seconds for e in part)) for part in parts if part]

    def _blocks_around(self, mutant: Mutant) -> list[int]:
        """The innermost block; all of the module, for a line outside of its functions."""
        own = [number for number, block in enumerate(self.blocks) if block.path == mutant.path]
        around = [n for n in own if self.blocks[n].first <= mutant.line <= self.blocks[n].last]
        if not around:
            return own
        return [min(around, key=lambda n: (self.blocks[n].last - self.blocks[n].first, -n))]


def tests_of_the_code(folder: Path, jobs: int) -> ReachedMap:
    """The map, as kept in the folder, after the tests that it does not know were run."""
    kept = folder / "map"
    sources = digest_of_sources()
    files = {**dict(digests_of_tests(FOLDERS)), _DOCTESTS: sources}
    old = _read(kept)
    if old is None or old.sources != sources:
        old = ReachedMap(sources, {}, [], [])
    fresh = [name for name, digest in files.items() if old.files.get(name) != digest]
    known = [each for each in old.reached if _file_of(each.test) in files.keys() - set(fresh)]
    blocks, reached = _reached_by(fresh, jobs) if fresh else (old.blocks, [])
    made = ReachedMap(sources, files, blocks, known + reached)
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(pickle.dumps(tuple(made)))
    return made


def _read(kept: Path) -> ReachedMap | None:
    try:
        sources, files, blocks, reached = pickle.loads(kept.read_bytes())
    except FileNotFoundError:
        return None
    return ReachedMap(sources, files, [Block(*b) for b in blocks], [Reached(*r) for r in reached])


def _reached_by(files: Sequence[str], jobs: int) -> tuple[list[Block], list[Reached]]:
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = copied_tree(Path(folder) / "tree")
        blocks = instrument(tree, [path for area in AREAS for path in modules_in(tree, area)])
        compiled(tree)
        (Path(folder) / "blocks").write_bytes(pickle.dumps([tuple(block) for block in blocks]))
        environment = {**os.environ, **environment_of(tree, Path(folder)), OUT: folder}
        options = ["-q", "--tb=line", "-p", "no:cacheprovider", "-p", "tests.mutants.reached"]
        options += ["-n", str(jobs), "--dist=worksteal", "-m", "not slow", "--doctest-modules"]
        options += ["--hypothesis-profile=check", "--hypothesis-seed=0"]
        command = [sys.executable, "-m", "pytest", *options, "--", *files]
        subprocess.run(command, cwd=tree, env=environment, check=False, stdout=sys.stderr)
        found = [pickle.loads(path.read_bytes()) for path in Path(folder).glob("reached-*")]
        return blocks, [Reached(*each) for part in found for each in part]


def _first_of(tests: Sequence[Reached]) -> list[Reached]:
    """The first tests, of few files: their imports take time."""
    first: list[Reached] = []
    files: set[str] = set()
    for each in tests:
        if len(first) < _FIRST_TESTS and len(files | {_file_of(each.test)}) <= _FIRST_FILES:
            first.append(each)
            files.add(_file_of(each.test))
    return first


def _file_of(test: str) -> str:
    file = test.partition("::")[0]
    return _DOCTESTS if file.startswith(f"{_DOCTESTS}/") else file


def _is_of(test: str, path: str) -> bool:
    """Whether a test is in the file that bears the module's name."""
    return PurePath(_file_of(test)).stem == f"test_{PurePath(path).stem}"


def _is_of_the_area(test: str, path: str) -> bool:
    """Whether a test is in the folder of tests that bears the name of the module's area."""
    area = next(PurePath(area).name for area in AREAS if path.startswith(f"{area}/"))
    return test.startswith(f"tests/{area}/")
