"""Why no run matches: the conditions of a filter, and how many runs match without each."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple

from fastapi import APIRouter, Query

from runlore.domain.filtering.expressions import And, Expression
from runlore.domain.filtering.parser import parse_filter
from runlore.projections.filters import RunFilter
from runlore.projections.reader import RunsReader
from runlore.studio.encoding import Answer
from runlore.studio.parameters import AsOf, ExperimentName, Search, ServedLanes, Where
from runlore.studio.search import page_filter
from runlore.workspace import Workspace

router = APIRouter()

CONDITIONS_MAX: Final = 20
"""Of more, the first ones: each is a question of its own."""


class _Condition(NamedTuple):
    """One of the conditions that must all be true, and the filter and search of the others."""

    text: str
    is_search: bool
    f: str | None
    q: str | None


@router.get("/conditions")
async def conditions(
    lanes: ServedLanes,
    where: Where = None,
    search: Search = None,
    experiment: ExperimentName = None,
    children: Annotated[bool, Query()] = False,
    as_of: AsOf = None,
) -> Answer:
    """The conditions of a filter and a search, those without which most runs match first.

    `without` is the number of runs that match all others, `alone` that of the runs that match this
    one. `f` and `q` are the filter and the search without it. `below` is the number of matching
    runs if those below others count.
    """
    every = _conditions(where, search)

    def question(_: Workspace, reader: RunsReader) -> dict[str, Any]:
        def count(f: str | None, q: str | None, *, below: bool = children) -> int:
            which = RunFilter(where=page_filter(f, experiment), search=q, include_children=below)
            return reader.count_runs(which)

        found: list[dict[str, Any]] = [
            {
                "text": one.text,
                "f": one.f,
                "q": one.q,
                "without": count(one.f, one.q),
                "alone": count(None, one.text) if one.is_search else count(one.text, None),
            }
            for one in every[:CONDITIONS_MAX]
        ]
        found.sort(key=lambda one: (-one["without"], one["alone"]))
        return {"conditions": found, "below": count(where, search, below=True)}

    return await lanes.answer_of_tables(as_of, question)


def _conditions(where: str | None, search: str | None) -> list[_Condition]:
    """The search, then the conditions of the filter. Raises FilterError."""
    is_asked = search is not None and search.strip()
    found = [_Condition(search, True, where, None)] if search and is_asked else []
    parts = _parts(where)
    for place, part in enumerate(parts):
        others = _joined(parts[:place] + parts[place + 1 :])
        found.append(_Condition(str(part), False, others, search))
    return found


def _parts(where: str | None) -> list[Expression]:
    """The conditions that must all be true. Raises FilterError."""
    if where is None or not where.strip():
        return []
    expression = parse_filter(where)
    return list(expression.expressions) if isinstance(expression, And) else [expression]


def _joined(parts: list[Expression]) -> str | None:
    if len(parts) < 2:
        return str(parts[0]) if parts else None
    return str(And(tuple(parts)))
