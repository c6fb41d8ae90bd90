"""Lists of runs and experiments, now and as-of: those of a plain model of the log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.domain.errors import InvalidInput, RunNotFound
from runlore.domain.status import Status
from runlore.projections.filters import RunFilter
from runlore.projections.queries import PAGE, run_page
from runlore.projections.run_conditions import run_conditions
from runlore.projections.runner import catch_up
from tests.examples import few
from tests.projections.histories import (
    EXPERIMENTS,
    RUNS,
    Happening,
    History,
    histories,
    history_of,
    projection_in_memory,
    reader_of,
    run_created,
)
from tests.projections.model import Model
from tests.strategies import few_keys, few_pairs, statuses

KEY = "worth another look"

filters = st.none() | few_keys | st.lists(few_keys, max_size=2) | few_pairs

wanted = st.fixed_dictionaries(
    {
        "type": st.none() | st.sampled_from(["hyperdrive", "azureml.scriptrun"]),
        "tags": filters,
        "properties": filters,
        "statuses": st.lists(statuses.map(str), max_size=2),
    }
)
"""Filters of run lists, all four together; most are None."""

ANYTHING: dict[str, Any] = {"type": None, "tags": None, "properties": None, "statuses": ()}


@settings(deadline=None, max_examples=few(20))
@given(histories, st.lists(wanted, min_size=1, max_size=6), st.data())
def test_filtered_lists_and_their_order_are_those_of_a_plain_model(
    appends: list[list[Happening]], filters: list[dict[str, Any]], data: st.DataObject
) -> None:
    history = history_of(appends)
    model = Model(history.log)
    with reader_of(history.log) as reader:
        for chosen in (ANYTHING, *filters):
            within: dict[str, Any] = {
                "experiment_id": data.draw(st.none() | st.sampled_from(EXPERIMENTS)),
                "include_children": data.draw(st.booleans()),
                "include_archived": data.draw(st.booleans()),
            }
            listed = list(reader.runs(RunFilter(**within, **chosen)))
            assert listed == model.run_rows(**within, **chosen)
            if model.runs:
                run_id = data.draw(st.sampled_from(sorted(model.runs)))
                recursive = data.draw(st.booleans())
                below = RunFilter(below_run=run_id, include_children=recursive, **chosen)
                expected = model.children(run_id, recursive=recursive, **chosen)
                assert list(reader.runs(below)) == expected
            named: dict[str, Any] = {
                "view": data.draw(st.sampled_from(["active", "archived", "all"]))
            }
            named["name"] = data.draw(st.none() | st.sampled_from(EXPERIMENTS))
            found_ = reader.experiments(**named, tags=chosen["tags"])
            assert found_ == model.experiment_rows(**named, tags=chosen["tags"])
        for run in model.runs.values():
            assert reader.run_number(run.run_id) == run.number


@pytest.mark.long
@settings(deadline=None, max_examples=few(7))
@given(histories, wanted)
def test_every_list_as_of_a_position_is_what_was_shown_when_the_log_ended_there(
    appends: list[list[Happening]], chosen: dict[str, Any]
) -> None:
    history = history_of(appends)
    with reader_of(history.log) as reader, projection_in_memory() as earlier:
        for position in range(history.log.head().position + 1):
            then = Model(history.log, position)
            catch_up(earlier, history.log, upto_position=position)
            for filters in (ANYTHING, chosen):
                which = RunFilter(**filters, include_children=True)
                connection = earlier.view.connection
                conditions = run_conditions(connection, which, as_of=None, experiment_no=None)
                shown = run_page(connection, conditions, offset=0)
                now = list(reader.at(position).runs(which))
                assert now == shown
                assert now == then.run_rows(experiment_id=None, include_children=True, **filters)
                for run_id in then.runs.keys() & {"r0", "r1"}:
                    below = list(reader.at(position).runs(replace(which, below_run=run_id)))
                    assert below == then.children(run_id, recursive=True, **filters)
                for view in ("active", "archived", "all"):
                    tags = filters["tags"]
                    experiments = reader.at(position).experiments(view=view, tags=tags)
                    assert experiments == then.experiment_rows(view=view, tags=tags)


def test_the_newest_start_comes_first_and_ties_go_to_the_later_created() -> None:
    history = History()
    history.experiment()
    history.run("waiting", status=Status.NOT_STARTED)
    history.run("early")
    created = [run_created(run_id) for run_id in ("first", "second", "third")]
    history.add(*[Happening(f"run/{one.run_id}", one) for one in created])
    history.say("run/waiting", ev.RunStarted())

    with reader_of(history.log) as reader:
        found = [row.run_id for row in reader.runs()]

    assert found == ["waiting", "third", "second", "first", "early"]


def test_a_type_is_also_found_in_the_property_that_azure_keeps_it_in() -> None:
    history = History()
    history.experiment()
    history.run("a", run_type="sweep")
    history.run("b", properties={"azureml.runsource": "sweep"})
    history.run("c", tags={"azureml.runsource": "sweep"})

    with reader_of(history.log) as reader:
        assert [row.run_id for row in reader.runs(RunFilter(type="sweep"))] == ["b", "a"]


def test_keys_with_quotes_and_zero_bytes_are_only_texts() -> None:
    history = History()
    history.experiment()
    strange = {"it's": 'a "quote"', "nul\0": "\0", KEY: None, "%_": "?", "🏃": "$1"}
    history.run("a", tags=strange)

    with reader_of(history.log) as reader:
        assert [row.run_id for row in reader.runs(RunFilter(tags=strange))] == ["a"]
        assert [row.run_id for row in reader.runs(RunFilter(tags=list(strange)))] == ["a"]
        assert list(reader.runs(RunFilter(tags={"%_": "x"}))) == []


@pytest.mark.parametrize(
    "filters",
    [
        {"type": 5},
        {"statuses": [5]},
        {"tags": 5},
        {"tags": b"key"},
        {"tags": {"key": 5}},
        {"tags": {5: "value"}},
        {"tags": ["key", None]},
        {"properties": 1.5},
        {"properties": [("key", "value")]},
    ],
    ids=str,
)
def test_a_filter_of_another_type_raises_when_it_is_made(filters: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="Unknown filter type"):
        RunFilter(**filters)


def test_experiments_refuse_filters_of_another_type_and_unknown_views() -> None:
    with reader_of(History().log) as reader:
        with pytest.raises(InvalidInput, match="active, archived, all"):
            reader.experiments(view="gone")
        with pytest.raises(InvalidInput, match="Unknown filter type"):
            reader.experiments(tags=b"key")  # type: ignore[arg-type]  # What is tested.
        with pytest.raises(InvalidInput, match="Unknown filter type"):
            reader.experiments(name=5)  # type: ignore[arg-type]  # What is tested.


def test_enumerations_and_other_subclasses_of_text_filter_like_their_text() -> None:
    class Name(str):
        pass

    history = History()
    history.experiment()
    history.run("a", tags={KEY: "yes"})

    with reader_of(history.log) as reader:
        found = reader.runs(RunFilter(statuses=[Status.RUNNING], tags={Name(KEY): Name("yes")}))
        assert [row.run_id for row in found] == ["a"]
        assert [row.run_id for row in reader.runs(RunFilter(tags=Name(KEY)))] == ["a"]


def test_children_and_number_of_an_unknown_run_raise() -> None:
    history = History()
    history.experiment()
    with reader_of(history.log) as reader:
        for recursive in (False, True):
            with pytest.raises(RunNotFound, match="nobody"):
                next(reader.runs(RunFilter(below_run="nobody", include_children=recursive)))
        with pytest.raises(RunNotFound, match="nobody"):
            reader.run_number("nobody")


def test_a_run_is_not_found_as_of_a_position_before_it_was_created() -> None:
    history = History()
    history.experiment()
    before = history.log.head().position
    history.run("r0")
    history.run("r1", parent_id="r0")

    with reader_of(history.log) as reader:
        with pytest.raises(RunNotFound):
            list(reader.at(before).runs(RunFilter(below_run="r0")))
        with pytest.raises(RunNotFound):
            reader.at(before).run_number("r0")
        assert reader.at(before).ids_that_start_with("r", 9) == []


def test_all_pages_show_the_log_as_the_first_one_did() -> None:
    history = History()
    history.experiment()
    births = [run_created(f"r{number}") for number in range(2 * PAGE + 1)]
    history.add(*[Happening(f"run/{one.run_id}", one) for one in births])

    with reader_of(history.log) as reader:
        pages = reader.runs(RunFilter(experiment_id="e1", statuses=["Running"]))
        found = [next(pages)]
        for number in range(2 * PAGE + 1):
            history.say(f"run/r{number}", ev.RunCompleted())
        history.run("late")
        found += pages

        assert [row.run_id for row in found] == [one.run_id for one in reversed(births)]
        assert {row.status for row in found} == {"Running"}
        assert [row.run_id for row in reader.runs(RunFilter(statuses=["Running"]))] == ["late"]


def test_a_filter_that_is_changed_between_pages_is_still_the_first_one() -> None:
    history = History()
    history.experiment()
    births = [run_created(f"r{number}", tags={KEY: None}) for number in range(PAGE + 1)]
    history.add(*[Happening(f"run/{one.run_id}", one) for one in births])
    tags = [KEY]

    with reader_of(history.log) as reader:
        pages = reader.runs(RunFilter(tags=tags))
        next(pages)
        tags.append("another")
        assert len(list(pages)) == PAGE


@pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1])
def test_no_row_is_lost_or_shown_twice_at_the_border_of_a_page(count: int) -> None:
    history = History()
    history.experiment()
    births = [run_created(f"r{number}") for number in range(count)]
    history.add(*[Happening(f"run/{one.run_id}", one) for one in births])

    with reader_of(history.log) as reader:
        assert [row.run_id for row in reader.runs()] == [one.run_id for one in reversed(births)]


@pytest.mark.parametrize("count", [2 * PAGE - 1, 2 * PAGE, 5 * PAGE])
def test_a_tree_of_several_pages_shows_each_run_once_and_as_the_first_page_did(
    count: int,
) -> None:
    history = History()
    history.experiment()
    history.run("root")
    below = {"parent_id": "root", "root_id": "root"}
    births = [run_created(f"r{number}", **below) for number in range(count)]
    history.add(*[Happening(f"run/{one.run_id}", one) for one in births])

    with reader_of(history.log) as reader:
        pages = reader.runs(RunFilter(below_run="root"), first_page=2 * PAGE)
        found = [next(pages)]
        history.add(Happening("run/late", run_created("late", **below)))
        found += pages

    assert [row.run_id for row in found] == [one.run_id for one in reversed(births)]


def test_a_list_that_is_never_read_reads_nothing() -> None:
    history = History()
    history.experiment()
    with reader_of(history.log) as reader:
        reader.runs()
        assert reader.projection.events_read == 0
        assert RUNS[0] not in {row.run_id for row in reader.runs()}
        assert reader.projection.events_read == 1
