"""Matching runs in their trees: all runs above them are kept, and each stands below its parent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain.events import TagSet
from runlore.domain.ids import run_stream
from runlore.projections.filters import RunFilter
from runlore.projections.reader import RunsReader
from runlore.projections.run_trees import ALL_OPEN, Branches
from tests.examples import few
from tests.projections.histories import History, reader_of

# Each run's parent is one of the runs before it, or none; and whether it matches.
FORESTS = st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=9)
MATCHING = RunFilter(where="has(tags.hit)", include_children=True)


def planted(history: History, forest: list[tuple[int, bool]]) -> dict[str, str | None]:
    """Creates the runs; returns the parents by run."""
    history.experiment()
    parents: dict[str, str | None] = {}
    for number, (choice, matches) in enumerate(forest):
        run_id = f"r{number}"
        parent = None if choice % (number + 1) == number else f"r{choice % (number + 1)}"
        history.run(run_id, parent_id=parent, root_id=root_of(parents, parent) or run_id)
        parents[run_id] = parent
        if matches:
            history.say(run_stream(run_id), TagSet(key="hit", value="1"))
    return parents


def root_of(parents: dict[str, str | None], run_id: str | None) -> str | None:
    while run_id is not None and parents[run_id] is not None:
        run_id = parents[run_id]
    return run_id


def slowly(
    parents: dict[str, str | None],
    forest: list[tuple[int, bool]],
    branches: Branches = ALL_OPEN,
    *,
    descending: bool = True,
) -> list[str]:
    """The rows of the table: siblings by their numbers, each run before those below it."""
    kept = set()
    for (run_id, _), (_, matches) in zip(parents.items(), forest, strict=True):
        above: str | None = run_id if matches else None
        while above is not None:
            kept.add(above)
            above = parents[above]

    def below(run_id: str | None) -> list[str]:
        children = [child for child, parent in parents.items() if parent == run_id]
        ordered = reversed(children) if descending else children
        return [one for child in ordered for one in walked(child)]

    def walked(run_id: str) -> list[str]:
        is_open = (run_id in branches.other) is branches.closed
        return [run_id, *(below(run_id) if is_open else [])]

    return [one for one in below(None) if one in kept]


def ids(reader: RunsReader, branches: Branches = ALL_OPEN, **options: Any) -> list[str]:
    table = reader.runs_table(MATCHING, columns=["id"], in_trees=branches, **options)
    return [run_id for (run_id,) in table]


@pytest.mark.long
@settings(deadline=None, max_examples=few(20))
@given(FORESTS)
def test_runs_above_matching_ones_are_kept_and_children_stand_below_their_parents(
    forest: list[tuple[int, bool]],
) -> None:
    history = History()
    wanted = slowly(planted(history, forest), forest)
    with reader_of(history.log) as reader:
        assert ids(reader) == wanted
        pages = [one for at in range(0, len(forest), 2) for one in ids(reader, offset=at, limit=2)]
        assert pages == wanted
        for at in (0, 2, len(wanted), len(wanted) + 1):
            page, total = reader.runs_page(
                MATCHING, columns=["id"], offset=at, limit=2, in_trees=ALL_OPEN
            )
            assert ([one for (one,) in page], total) == (wanted[at : at + 2], len(wanted))


@pytest.mark.long
@settings(deadline=None, max_examples=few(20))
@given(FORESTS, st.booleans(), st.sets(st.integers(0, 9)), st.booleans())
def test_runs_below_closed_branches_are_left_out_and_siblings_are_sorted(
    forest: list[tuple[int, bool]], closed: bool, other: set[int], descending: bool
) -> None:
    history = History()
    parents = planted(history, forest)
    branches = Branches(closed, tuple(f"r{number}" for number in sorted(other)))
    wanted = slowly(parents, forest, branches, descending=descending)
    with reader_of(history.log) as reader:
        assert ids(reader, branches, sort="-id" if descending else "id") == wanted
        page = reader.runs_page(MATCHING, columns=["id"], limit=1, in_trees=branches)
        assert page[1] == len(wanted)


@settings(deadline=None, max_examples=few(10))
@given(FORESTS)
def test_runs_of_the_table_below_each_are_counted(forest: list[tuple[int, bool]]) -> None:
    history = History()
    parents = planted(history, forest)
    rows = slowly(parents, forest)
    below = dict.fromkeys(rows, 0)
    for run_id in rows:
        above = parents[run_id]
        while above is not None:
            below[above] += 1
            above = parents[above]
    with reader_of(history.log) as reader:
        assert reader.runs_below(MATCHING, rows) == {one: n for one, n in below.items() if n}


def test_roots_are_sorted_and_trees_are_those_of_the_position() -> None:
    history = History()
    planted(history, [(0, False), (0, True), (2, False)])  # r0 with its child r1, and r2.
    history.say(run_stream("r2"), TagSet(key="hit", value="1"))
    before = history.log.head().position
    history.say(run_stream("r0"), TagSet(key="hit", value="1"))
    with reader_of(history.log) as reader:
        assert ids(reader) == ["r2", "r0", "r1"]
        assert ids(reader, sort="id") == ["r0", "r1", "r2"]
        past = reader.at(before)
        assert ids(past) == ["r2", "r0", "r1"]  # r0 is there for r1.
        assert ids(reader.at(before - 1)) == ["r0", "r1"]
