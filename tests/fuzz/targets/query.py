"""A JMESPath expression of `--query`: it selects something, or the command line says why not."""

from __future__ import annotations

import csv
import io
from random import Random
from typing import Any, Final

import click

from runlore.cli.output.queries import compiled_query, selected
from runlore.cli.output.separated import as_csv, as_tsv
from tests.fuzz.mutations import TEXTS, mutated_bytes, mutated_text
from tests.fuzz.target import Broken, Target

_RUNS: Final[Any] = [
    {
        "run_id": f"r{number}",
        "status": "Completed",
        "tags": {"lr": "0.1", "=1+1": None},
        "metrics": {"loss": [0.5, float("nan"), None, 2**70]},
        "parent": None,
    }
    for number in range(3)
]
_WORDS: Final = (
    *TEXTS,
    *("[?", "]", "[*]", "[]", "[0]", "[::-1]", "[1:2:0]", ".", "*", "@", "&", "&&", "||", "!", "|"),
    *(
        "==",
        "<",
        ">=",
        "`1`",
        "`[1`",
        "'x'",
        '"tags"',
        "{a: ",
        "}",
        ",",
        "(",
        ")",
        "run_id",
        "tags",
    ),
    *("metrics.loss", "status", "sort_by(@, &run_id)", "length(@)", "max(", "to_number(", "join("),
    *("not_null(", "reverse(", "type(", "map(&", "`null`", "`NaN`", "`1e999`", '`"\\ud800"`'),
)


def seeds() -> list[bytes]:
    """Expressions that the documentation has, and mistakes."""
    texts = ["[?status=='Completed'].[run_id, status]", "[0].tags.lr", "sort_by(@, &run_id)[-1]"]
    texts += ["[?contains(run_id, 'r')].{id: run_id, l: length(metrics.loss)}", '"Workspace name"']
    texts += ["[", "", "max_by(@, &metrics.loss[0]).run_id", '`{"a": [1, 2]}`.a | [::-1]', "a.b("]
    return [text.encode() for text in texts]


def mutate(data: bytes, random: Random) -> bytes:
    """An expression of other parts."""
    if random.random() < 0.05:
        return mutated_bytes(data, random)
    return mutated_text(data.decode(errors="replace"), random, _WORDS).encode()


def check(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    try:
        found = selected(compiled_query(text), _RUNS)
    except click.ClickException as error:
        error.format_message()
        return
    tsv = csv.reader(io.StringIO(as_tsv(found)), "excel-tab")
    for cell in (cell for row in (*csv.reader(io.StringIO(as_csv(found))), *tsv) for cell in row):
        if cell.startswith(("=", "@")):
            raise Broken(f"a spreadsheet would calculate {cell!r:.200}")


TARGET: Final = Target(
    "query",
    check,
    seeds,
    mutate,
    regressions={"a slice whose step is zero": b"[1:2:0]"},
    max_nbytes=1_000,
    quick=1_500,
)
