"""The imports inside functions, by the slow library that they keep out of the start-up.

    python -m tests.architecture.lazy_imports

writes the list to lazy_imports.txt beside this file, which a test compares with the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.architecture.house import HERE
from tests.architecture.source import Checkout, Import
from tests.architecture.start_up import StartUp

LIST = Path(__file__).with_name("lazy_imports.txt")

# An import is listed under the first of these that it saves.
_SLOWEST_FIRST = (
    "duckdb",
    "_duckdb",
    "pyarrow",
    "numpy",
    "matplotlib",
    "pandas",
    "polars",
    "cryptography",
    "botocore",
    "obstore",
    "rich",
    "yaml",
    "jmespath",
    "pathspec",
    "psutil",
    "zstandard",
    "eventsourcing",
    "sqlite3",
    "pydantic",
    "pydantic_core",
    "msgpack",
    "arro3",
    "importlib.metadata",
    "argparse",
    "traceback",
    "difflib",
    "getpass",
    "shlex",
    "runlore.configuration.runconfig",
    "runlore.domain.filtering.fields",
    "runlore.domain.run_state",
    "runlore.run.run",
    "html",
    "tempfile",
    "click",
)
NOTHING_SAVED = "no library: between Azure's objects"


def listed(checkout: Checkout) -> str:
    """All imports inside functions as the list has them."""
    start_up = StartUp(checkout)
    groups: dict[str, set[tuple[str, str]]] = {}
    for lazy in checkout.imports:
        if lazy.in_function:
            group = groups.setdefault(_saves(start_up, lazy), set())
            group.add((lazy.importer, lazy.imported))
    return "\n".join(_lines(groups))


def _saves(start_up: StartUp, lazy: Import) -> str:
    saved = start_up.saved_by(lazy)
    return next((library for library in _SLOWEST_FIRST if library in saved), NOTHING_SAVED)


def _lines(groups: dict[str, set[tuple[str, str]]]) -> Iterator[str]:
    for library in (*_SLOWEST_FIRST, NOTHING_SAVED):
        if library in groups:
            yield f"# {library}"
            for importer, imported in sorted(groups[library]):
                yield f"{importer} -> {imported}"
            yield ""


if __name__ == "__main__":
    LIST.write_text(listed(Checkout(HERE)))
