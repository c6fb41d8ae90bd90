from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Run, ViewType, Workspace
from runlore.domain.errors import AlreadyExists, ExperimentNotFound, InvalidInput, InvalidType
from runlore.exceptions import OutOfScope, UserErrorException
from tests.fresh_python import race
from tests.workspaces import start

# --- get or create ----------------------------------------------------------------------------


def test_asking_for_a_name_twice_gives_the_same_experiment(ws: Workspace) -> None:
    first, second = Experiment(ws, "explore-runs"), Experiment(ws, "explore-runs")

    assert first == second
    assert hash(first) == hash(second)
    assert first.id == second.id
    assert [found.id for found in Experiment.list(ws)] == [first.id]


def test_another_name_is_another_experiment(ws: Workspace) -> None:
    assert Experiment(ws, "a") != Experiment(ws, "b")
    assert Experiment(ws, "a") != "a"


def test_an_experiment_is_the_same_in_each_workspace_object_of_a_folder(
    folder_ws: Workspace,
) -> None:
    with Workspace.open(folder_ws.uri) as other:
        assert Experiment(folder_ws, "a") == Experiment(other, "a")


def test_an_experiment_knows_its_workspace_and_name(ws: Workspace) -> None:
    exp = Experiment(workspace=ws, name="explore-runs")

    assert exp.workspace is ws
    assert exp.name == "explore-runs"
    assert exp.archived_time is None
    assert exp.tags == {}


@pytest.mark.parametrize("name", ["", " ", "\n", "x" * 501, "\ud800"])
def test_a_bad_name_is_refused_and_makes_nothing(ws: Workspace, name: str) -> None:
    with pytest.raises(InvalidInput, match="experiment name"):
        Experiment(ws, name)

    assert Experiment.list(ws) == []


@pytest.mark.parametrize("name", ["a", "A-1_b", "x" * 500, "9lives", "größe", "-a", "a b/c.d"])
def test_a_good_name_is_kept_as_it_is(ws: Workspace, name: str) -> None:
    assert Experiment(ws, name).name == name


def test_a_name_that_is_no_text_is_refused(ws: Workspace) -> None:
    with pytest.raises(InvalidType, match="experiment name must be a str, got int 5"):
        Experiment(ws, 5)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.processes
def test_processes_that_ask_for_a_new_name_at_once_get_the_same_experiment(
    folder_ws: Workspace, project: Path
) -> None:
    code = f"""
import runlore
ws = runlore.Workspace.open({folder_ws.uri!r})
go()
for number in range(5):
    print(runlore.Experiment(ws, f"e{{number}}").id)
"""

    printed = race(code, 6, cwd=project)

    assert len(set(printed)) == 1
    assert sorted(printed[0].split()) == sorted(e.id for e in Experiment.list(folder_ws))


# --- archive ----------------------------------------------------------------------------------


def test_an_archived_experiment_is_hidden_and_its_name_is_free(ws: Workspace) -> None:
    before = datetime.now(UTC)
    old = Experiment(ws, "e")
    run = start(old)

    old.archive()

    assert ws.experiments == {}
    assert old.archived_time is not None
    assert before <= old.archived_time <= datetime.now(UTC)
    new = Experiment(ws, "e")
    assert new.id != old.id
    assert new.archived_time is None
    assert list(new.get_runs()) == []
    assert list(old.get_runs()) == [run]


def test_archive_twice_is_once(ws: Workspace) -> None:
    exp = Experiment(ws, "e")
    exp.archive()
    archived = exp.archived_time

    exp.archive()

    assert exp.archived_time == archived


def test_a_new_run_of_an_archived_experiment_goes_to_a_new_one_of_its_name(ws: Workspace) -> None:
    old = Experiment(ws, "e")
    old.archive()

    run = start(old)

    assert run.experiment != old
    assert run.experiment == Experiment(ws, "e")
    assert list(old.get_runs()) == []


def test_reactivate_brings_an_experiment_back(ws: Workspace) -> None:
    exp = Experiment(ws, "e")
    exp.archive()

    exp.reactivate()

    assert exp.archived_time is None
    assert ws.experiments == {"e": exp}


def test_reactivate_is_refused_while_the_name_is_held(ws: Workspace) -> None:
    old = Experiment(ws, "e")
    old.archive()
    new = Experiment(ws, "e")

    with pytest.raises(AlreadyExists, match=f"its name is taken by {new.id}; archive that"):
        old.reactivate()


def test_reactivate_takes_no_new_name(ws: Workspace) -> None:
    exp = Experiment(ws, "e")
    exp.archive()

    with pytest.raises(UserErrorException, match="an experiment keeps its name"):
        exp.reactivate(new_name="f")


def test_views_tell_active_and_archived_experiments_apart(ws: Workspace) -> None:
    active, archived = Experiment(ws, "a"), Experiment(ws, "b")
    archived.archive()

    assert Experiment.list(ws) == [active]
    assert Experiment.list(ws, view_type=ViewType.ActiveOnly) == [active]
    assert Experiment.list(ws, view_type=ViewType.ArchivedOnly) == [archived]
    assert Experiment.list(ws, view_type=ViewType.All) == [active, archived]
    assert Experiment.list(ws, "b", ViewType.All) == [archived]
    assert Experiment.list(ws, "nobody") == []


def test_an_unknown_view_is_refused(ws: Workspace) -> None:
    with pytest.raises(InvalidInput, match="view_type is 'Some'; it takes one of"):
        Experiment.list(ws, view_type="Some")


# --- tags -------------------------------------------------------------------------------------


def test_tags_of_an_experiment_are_set_replaced_and_removed(ws: Workspace) -> None:
    exp = Experiment(ws, "e")

    exp.tag("team", "vision")
    exp.tag("worth another look")
    exp.set_tags({"team": "speech", "stage": "draft"})
    exp.remove_tags(["stage", "never there"])

    assert exp.tags == {"team": "speech", "worth another look": None}
    exp.refresh()
    assert Experiment(ws, "e").tags == exp.tags


def test_keys_of_an_experiment_may_come_one_by_one_whatever_was_read(ws: Workspace) -> None:
    exp = Experiment(ws, "e")
    assert exp.tags == {}
    Experiment(ws, "e").set_tags({"a": "1", "b": "2"})

    exp.remove_tags(key for key in ["a"])  # type: ignore[arg-type]  # Not in the signature.

    assert Experiment(ws, "e").tags == {"b": "2"}


def test_experiments_are_listed_by_tags(ws: Workspace) -> None:
    one, two = Experiment(ws, "one"), Experiment(ws, "two")
    one.set_tags({"team": "vision"})
    two.set_tags({"team": "speech", "done": None})

    assert Experiment.list(ws, tags="team") == [one, two]
    assert Experiment.list(ws, tags={"team": "vision"}) == [one]
    assert Experiment.list(ws, tags={"team": "speech", "done": None}) == [two]


# --- how it looks -----------------------------------------------------------------------------


def test_repr_is_azures(ws: Workspace) -> None:
    assert repr(Experiment(ws, "e")) == "Experiment(Name: e,\nWorkspace: lab)"


def test_the_portal_url_is_the_command_that_lists_the_runs(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "a/b c")

    assert exp.get_portal_url() == f"runlore run list -e 'a/b c' -w {folder_ws.path}"


def test_what_is_not_covered_says_what_to_do_instead(exp: Experiment) -> None:
    with pytest.raises(OutOfScope, match=r"experiment\.archive\(\)"):
        Experiment.delete(exp.workspace, exp.id)


# --- its runs ---------------------------------------------------------------------------------


def test_next_gives_the_newest_run(exp: Experiment) -> None:
    start(exp)
    newest = start(exp)

    assert next(exp.get_runs()) == newest


def test_get_runs_gives_an_iterator_over_the_newest_first(exp: Experiment) -> None:
    runs = [start(exp) for _ in range(5)]

    found = exp.get_runs()

    assert isinstance(found, Iterator)
    assert list(found) == runs[::-1]


def test_a_list_keeps_no_run_that_its_reader_has_let_go(exp: Experiment) -> None:
    for _ in range(3):
        start(exp)

    found = exp.get_runs()
    first = weakref.ref(next(found))
    next(found)

    assert first() is None


def test_get_runs_of_more_than_a_page_gives_each_run_once(exp: Experiment) -> None:
    parent = start(exp)
    children = parent.create_children(count=1_203)

    found = list(exp.get_runs(include_children=True))

    assert found == [*children[::-1], parent]


def test_children_are_left_out_unless_they_are_asked_for(exp: Experiment) -> None:
    parent = start(exp)
    child = parent.child_run()

    assert list(exp.get_runs()) == [parent]
    assert list(exp.get_runs(include_children=True)) == [child, parent]
    assert list(Run.list(exp, include_children=True)) == [child, parent]


def test_runs_of_other_experiments_are_left_out(exp: Experiment) -> None:
    run = start(exp)
    start(Experiment(exp.workspace, "other"))

    assert list(exp.get_runs()) == [run]


@pytest.fixture
def marked(exp: Experiment) -> dict[str, Run]:
    """Three runs with various tags, properties and ends."""
    best = start(exp, tags={"quality": "fantastic run", "worth another look": None})
    best.add_properties({"author": "azureml-user", "azureml.runsource": "notebook"})
    best.complete()
    good = start(exp, tags={"quality": "great run"})
    good.add_properties({"author": "azureml-user", "empty": None})
    plain = start(exp)
    plain.fail()
    return {"best": best, "good": good, "plain": plain}


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["plain", "good", "best"]),
    ({"tags": "quality"}, ["good", "best"]),
    ({"tags": "worth another look"}, ["best"]),
    ({"tags": "nobody"}, []),
    ({"tags": {"quality": "great run"}}, ["good"]),
    ({"tags": {"worth another look": None}}, ["best"]),
    ({"tags": {"quality": None}}, []),
    ({"tags": {"quality": "fantastic run", "worth another look": None}}, ["best"]),
    ({"tags": {}}, ["plain", "good", "best"]),
    ({"properties": "author"}, ["good", "best"]),
    ({"properties": {"author": "azureml-user"}}, ["good", "best"]),
    ({"properties": {"empty": None}}, ["good"]),
    ({"properties": {"author": "azureml-user"}, "tags": {"quality": "fantastic run"}}, ["best"]),
    ({"properties": {"author": "azureml-user"}, "tags": "worth another look"}, ["best"]),
    ({"type": "notebook"}, ["best"]),
    ({"type": "azureml.scriptrun"}, []),
]


@pytest.mark.parametrize(("filters", "expected"), FILTERS)
def test_filters_mean_what_azure_says(
    exp: Experiment, marked: dict[str, Run], filters: dict[str, Any], expected: list[str]
) -> None:
    assert list(exp.get_runs(**filters)) == [marked[name] for name in expected]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("Completed", ["best"]), ("Running", ["good"]), ("Failed", ["plain"]), ("Queued", [])],
)
def test_runs_are_listed_by_status(
    exp: Experiment, marked: dict[str, Run], status: str, expected: list[str]
) -> None:
    assert list(Run.list(exp, status=status)) == [marked[name] for name in expected]


@pytest.mark.parametrize(
    "filters",
    [{"tags": 5}, {"properties": {"a": 5}}, {"type": ["x"]}, {"tags": {5: "x"}}],
    ids=["tags", "property-value", "type", "tag-key"],
)
def test_a_filter_of_another_type_is_refused_at_once(
    exp: Experiment, filters: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="Unknown filter type"):
        exp.get_runs(**filters)


def test_a_status_of_another_type_is_refused_at_once(exp: Experiment) -> None:
    with pytest.raises(ValueError, match="Unknown filter type int for status"):
        Run.list(exp, status=5)  # type: ignore[arg-type]  # wrong on purpose


def test_a_list_shows_the_log_as_its_first_page_did(exp: Experiment) -> None:
    parent = start(exp)
    parent.create_children(count=600)
    found = exp.get_runs(include_children=True)
    first = next(found)

    parent.create_children(count=600)

    assert len([first, *found]) == 601


def test_a_listed_run_reads_what_it_is_asked_for(exp: Experiment) -> None:
    run = start(exp, display_name="my run", tags={"a": "b"})
    run.log("loss", 0.5)

    found = next(exp.get_runs())

    assert found.display_name == "my run"
    assert found.tags == {"a": "b"}
    assert found.status == "Running"
    assert found.get_metrics() == {"loss": 0.5}
    assert found.parent is None
    assert found.number == 1


def test_runs_are_numbered_within_their_experiment(exp: Experiment) -> None:
    first = start(exp)
    start(Experiment(exp.workspace, "other"))
    child = first.child_run()
    second = start(exp)

    assert [run.number for run in (first, child, second)] == [1, 2, 3]


def test_a_type_provider_makes_listed_runs(
    exp: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    class MyRun(Run):
        """A run with more to it."""

    providers: dict[str, Callable[[Experiment, dict[str, Any]], Run]] = {}
    monkeypatch.setattr(Run, "_type_providers", providers)
    Run.add_type_provider("mine", lambda exp, record: MyRun(exp, record["run_id"]))
    run = start(exp)
    run.add_properties({"azureml.runsource": "mine"})

    assert [type(found) for found in exp.get_runs()] == [MyRun]
    with pytest.raises(ValueError, match="run type 'mine' already has a factory"):
        Run.add_type_provider("mine", lambda exp, record: run)


def test_find_creates_no_experiment(folder_ws: Workspace) -> None:
    with pytest.raises(ExperimentNotFound, match="nope"):
        Experiment.find(folder_ws, "nope")

    assert Experiment.list(folder_ws) == []


def test_find_knows_active_and_archived_ones_apart(folder_ws: Workspace) -> None:
    first = Experiment(folder_ws, "e")
    first.archive()
    second = Experiment(folder_ws, "e")

    assert Experiment.find(folder_ws, "e") == second
    assert Experiment.find(folder_ws, "e", archived=True) == first
    second.archive()
    assert Experiment.find(folder_ws, "e", archived=True) == second
