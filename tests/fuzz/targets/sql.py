"""A user's SQL on a small workspace: it is answered or refused, and changes nothing.

Whatever the fence lets pass is run. Afterwards the files (tables are in them), and what is defined
and set on the connection are what they were.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from runlore.domain.errors import RunloreError
from runlore.projections.query_limits import QueryLimits
from runlore.projections.reader import RunsReader
from runlore.projections.sql_allowed import FUNCTIONS
from runlore.projections.sql_errors import QueryRefused
from runlore.projections.views import view_names
from runlore.storage.memory_log import MemoryLog
from tests.fuzz.mutations import TEXTS, mutated_bytes, mutated_text
from tests.fuzz.target import Broken, Target
from tests.hostile.sql_attacks import ALLOWED, ATTACKS, COPY, DELETE, INSERT, PLACES, UPDATE
from tests.hostile.witness import stats_of
from tests.projections.histories import History, asked, opened
from tests.projections.test_segments import SMALL, log_some

_LIMITS: Final = QueryLimits(timeout_s=1.0, memory_nbytes=200_000_000)
_CONNECTION: Final = """
SELECT (SELECT sum(hash(name, value)) FROM duckdb_settings()),
    (SELECT sum(hash(name, value::VARCHAR)) FROM duckdb_variables()),
    (SELECT count(*) FROM duckdb_databases()), (SELECT count(*) FROM duckdb_tables()),
    (SELECT sum(hash(view_name, sql)) FROM duckdb_views()),
    (SELECT count(*) FROM duckdb_sequences()), (SELECT count(*) FROM duckdb_functions()),
    (SELECT count(*) FROM duckdb_prepared_statements())
"""
_WORDS: Final = (
    *TEXTS,
    *(f" {name} " for name in view_names()),
    *(f" {name}(" for name in sorted(FUNCTIONS)[::7]),
    *(
        UPDATE,
        INSERT,
        DELETE,
        "(",
        ")",
        ",",
        ";",
        "--",
        "/*",
        "*/",
        "'",
        '"',
        "$$",
        "$x",
        "?",
        "::",
    ),
    *(
        " SELECT ",
        " FROM ",
        " WITH x AS (",
        " JOIN ",
        " WHERE ",
        " UNION ALL ",
        " PIVOT ",
        " LIMIT ",
    ),
    *(" RETURNING ", " store.runs ", " store.run_tags ", " INTO ", " VALUES ", " DROP ", " SET "),
    *(
        "read_text('/etc/passwd')",
        "getenv('HOME')",
        "nextval('s')",
        "query('",
        "COLUMNS(",
        "lambda x: ",
    ),
)


class _Lab(NamedTuple):
    folder: Path
    reader: RunsReader
    connection: Any
    files: Any


@cache
def _lab() -> _Lab:
    """A log in memory with tables on disk. One for all inputs: none may leave a trace."""
    folder = Path(tempfile.mkdtemp(prefix="runlore-fuzz-"))
    history = History(MemoryLog())
    history.experiment()
    for number in range(3):
        history.run(f"r{number}", tags={"quality": "good", f"t{number}": "x"})
    log_some(history, 9)
    (folder / "tables").mkdir()
    reader = opened(history.log, folder / "tables", SMALL)
    reader.sql("SELECT count(data) FROM events", limits=_LIMITS)
    return _Lab(folder, reader, asked(reader, _CONNECTION), stats_of(folder))


def seeds() -> list[bytes]:
    """What is allowed, and what attacks."""
    placed = [place.format(value="getenv('HOME')") for place in PLACES[::3]]
    fixed = [text for text in (*ATTACKS, COPY) if "{" not in text]
    return [text.encode() for text in (*ALLOWED, *fixed, *placed)]


def mutate(data: bytes, random: Random) -> bytes:
    """SQL of other parts."""
    if random.random() < 0.02:
        return mutated_bytes(data, random)
    return mutated_text(data.decode(errors="replace"), random, _WORDS).encode()


def check(data: bytes) -> None:
    lab = _lab()
    query = data.decode(errors="replace")
    try:
        lab.reader.sql(query, limits=_LIMITS)
    except QueryRefused:
        return
    except RunloreError as error:
        str(error)
    if stats_of(lab.folder) != lab.files or list(lab.folder.iterdir()) != [lab.folder / "tables"]:
        raise Broken(f"files were written by {query!r}")
    if asked(lab.reader, _CONNECTION) != lab.connection:
        raise Broken(f"the connection was changed by {query!r}")


TARGET: Final = Target("sql", check, seeds, mutate, max_nbytes=1_000, quick=40)
