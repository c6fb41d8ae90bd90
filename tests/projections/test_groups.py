"""Groups of runs: each run is in one, and aggregates are those of its finite numbers."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain.errors import InvalidInput
from runlore.domain.filtering.parser import parse_field
from runlore.projections.filters import ALL_RUNS
from runlore.projections.groups import AGGREGATES, GroupQuestion
from runlore.storage.value_codec import Series
from tests.examples import few
from tests.logged_values import Record
from tests.projections.histories import History, reader_of

MODELS = st.sampled_from([None, "resnet", "vit", "18"])
LOSSES = st.none() | st.sampled_from([0.5, 1.0, 2.5, math.nan, math.inf])
FUNCTIONS: dict[str, Any] = {
    "mean": statistics.fmean, "median": statistics.median, "min": min, "max": max,
    "sum": math.fsum, "std": lambda of: statistics.stdev(of) if len(of) > 1 else None,
}  # fmt: skip


@settings(deadline=None, max_examples=few(15))
@given(
    st.lists(st.tuples(MODELS, LOSSES), max_size=8),
    st.sampled_from(sorted(AGGREGATES)),
    st.integers(0, 2),
    st.integers(1, 3),
)
def test_groups_are_those_of_a_slow_definition(
    runs: list[tuple[str | None, float | None]], aggregate: str, offset: int, limit: int
) -> None:
    history = History()
    history.experiment()
    for number, (model, loss) in enumerate(runs):
        tags = {} if model is None else {"model": model}
        history.run(f"r{number}", tags=tags)
        if loss is not None:
            history.values(f"r{number}", [Record(Series("loss"), 0, 0, loss)])
    fields = [parse_field("metrics.loss"), parse_field("status"), parse_field("id")]
    question = GroupQuestion(parse_field("tags.model"), fields, aggregate, offset, limit)
    with reader_of(history.log) as reader:
        found = reader.groups(ALL_RUNS, question)

    by_model: dict[str | None, list[int]] = {}
    for number, (model, _) in enumerate(runs):
        by_model.setdefault(model, []).append(number)
    order = sorted(by_model, key=lambda model: (-len(by_model[model]), model is None, model or ""))
    page = order[offset : offset + limit]
    assert found.total == len(by_model)
    assert list(found.values) == page
    assert list(found.runs) == [len(by_model[model]) for model in page]
    for place, model in enumerate(page):
        finite = [
            value for n in by_model[model] for value in [runs[n][1]]
            if value is not None and math.isfinite(value)
        ]  # fmt: skip
        wanted = FUNCTIONS[aggregate](finite) if finite else None
        losses, status, ids = found.columns
        assert losses.values[place] == pytest.approx(wanted)
        assert status.values[place] == "Running"
        is_one = len(by_model[model]) == 1
        assert ids.values[place] == (f"r{by_model[model][0]}" if is_one else None)
        assert ids.distinct[place] == len(by_model[model])


def test_an_unknown_aggregate_is_refused() -> None:
    with reader_of(History().log) as reader, pytest.raises(InvalidInput, match="mean, median"):
        reader.groups(ALL_RUNS, GroupQuestion(parse_field("status"), [], "mode"))


def test_no_run_has_no_group() -> None:
    with reader_of(History().log) as reader:
        found = reader.groups(ALL_RUNS, GroupQuestion(parse_field("status"), []))

    assert (found.total, list(found.values), list(found.columns)) == (0, [], [])


def test_groups_with_many_columns_fit_a_small_memory() -> None:
    """The tables are in memory: nothing can be spilled."""
    history = History()
    history.experiment()
    for number in range(400):
        history.run(f"r{number}", tags={f"t{place}": str(number) for place in range(60)})
    fields = [parse_field(f"tags.t{place}") for place in range(60)]
    with reader_of(history.log) as reader:
        reader.projection.limit_memory(200_000_000)
        found = reader.groups(ALL_RUNS, GroupQuestion(parse_field("status"), fields, "median"))
    assert [list(column.distinct) for column in found.columns] == [[400]] * 60
