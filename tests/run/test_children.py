from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import GeneratorType
from typing import Any

import numpy as np
import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import InvalidInput, InvalidType
from runlore.exceptions import UserErrorException
from runlore.run.run import handle_of
from runlore.storage.log_query import LogQuery
from tests.fresh_python import race
from tests.workspaces import seen_again, start

# --- child_run --------------------------------------------------------------------------------


def test_a_child_is_running_and_knows_its_parent(run: Run) -> None:
    child = run.child_run()

    assert child.get_status() == "Running"
    assert child.parent == run
    assert seen_again(child).parent == run
    assert child.experiment == run.experiment
    assert run.parent is None


def test_the_root_is_the_topmost_run(run: Run) -> None:
    grandchild = run.child_run().child_run()

    assert grandchild.root == seen_again(grandchild).root == run
    assert run.root == run


def test_the_root_is_found_as_the_seed_does(run: Run) -> None:
    def root_run(self: Run) -> Run:
        if self.parent is None:
            return self
        return root_run(self.parent)

    grandchild = run.child_run().child_run()

    root_run(grandchild).log("MyMetric", f"Data from child run {grandchild.id}")

    assert run.get_metrics() == {"MyMetric": f"Data from child run {grandchild.id}"}


def test_a_child_keeps_its_id_and_name(exp: Experiment) -> None:
    parent = start(exp)

    child = parent.child_run(name="fold 1", run_id="child-1")

    assert child.id == "child-1"
    assert child.name == f"run_{parent.id}>fold 1"
    assert child.child_run().name == f"run_{parent.id}>fold 1>"


def test_a_child_keeps_no_folder_unless_it_is_asked_to(run: Run, project: Path) -> None:
    child = run.child_run()
    child.complete()
    assert not (project / "outputs").exists()

    keeping = run.child_run(outputs="results")
    (project / "results" / "a.txt").write_text("a")
    keeping.complete()
    assert keeping.get_file_names() == ["results/a.txt"]


def test_a_child_asks_for_no_snapshot_and_no_git(run: Run) -> None:
    assert run.child_run().get_properties() == {}


def test_children_completed_by_with_leave_the_parent_running(exp: Experiment) -> None:
    """The seed's example: five children inside of a parent."""
    with start(exp) as parent_run:
        for c, _count in enumerate(range(5)):
            with parent_run.child_run() as child:
                child.log(name="Hello from child run", value=c)
        assert parent_run.get_status() == "Running"

    children = list(parent_run.get_children())
    assert [child.get_status() for child in children] == ["Completed"] * 5
    assert [child.get_metrics() for child in children] == [
        {"Hello from child run": c} for c in reversed(range(5))
    ]


def test_the_statuses_of_parent_and_children_are_independent(run: Run) -> None:
    completed, failed, canceled, running = (run.child_run() for _ in range(4))

    failed.fail("no convergence")
    canceled.cancel()
    run.complete()
    completed.complete()

    assert run.get_status() == "Completed"
    assert {child.id: child.get_status() for child in run.get_children()} == {
        completed.id: "Completed",
        failed.id: "Failed",
        canceled.id: "Canceled",
        running.id: "Running",
    }


# --- create_children --------------------------------------------------------------------------


def test_create_children_by_count_numbers_them(run: Run) -> None:
    children = run.create_children(count=3)

    assert [child.get_tags() for child in children] == [
        {"azureml.batch_child_number": str(number)} for number in range(3)
    ]
    assert [child.get_status() for child in children] == ["Running"] * 3
    assert [child.parent for child in children] == [run] * 3
    assert list(run.get_children()) == list(reversed(children))


def test_create_children_by_tag_values_tags_them(run: Run) -> None:
    children = run.create_children(tag_key="fruit", tag_values=["Apple", "Banana", "Apple"])

    assert [child.get_tags() for child in children] == [
        {"fruit": "Apple"},
        {"fruit": "Banana"},
        {"fruit": "Apple"},
    ]


def test_tag_values_that_are_no_texts_become_texts_with_a_warning(run: Run) -> None:
    with pytest.warns(UserWarning, match="tag 'alpha' has a value of type float"):
        children = run.create_children(tag_key="alpha", tag_values=(a / 10 for a in (1, 2)))

    assert [child.get_tags() for child in children] == [{"alpha": "0.1"}, {"alpha": "0.2"}]


def test_created_children_go_on_as_other_runs(run: Run) -> None:
    first, second = run.create_children(count=2)

    with first:
        first.log("loss", 0.5)
    second.fail()

    assert first.get_metrics() == {"loss": 0.5}
    assert run.get_metrics(recursive=True) == {first.id: {"loss": 0.5}}
    assert [child.get_status() for child in (first, second)] == ["Completed", "Failed"]


@pytest.mark.slow
def test_ten_thousand_children_are_one_transaction(run: Run) -> None:
    log = handle_of(run).session.log
    before = log.head()

    children = run.create_children(count=10_000)

    after = log.head()
    rows = log.read_log(LogQuery(after_position=before.position, limit=20_000))
    assert after.size - before.size == len(rows) == len(children) == 10_000
    assert len({row.recorded_at for row in rows}) == 1
    assert len({child.id for child in children}) == 10_000
    assert len(list(run.get_children())) == 10_000


def test_a_whole_number_of_numpy_is_a_count(run: Run) -> None:
    assert len(run.create_children(np.int64(2))) == 2


def test_no_children_are_no_transaction(run: Run) -> None:
    before = handle_of(run).session.log.head()

    assert run.create_children(count=0) == []
    assert run.create_children(tag_key="k", tag_values=[]) == []

    assert handle_of(run).session.log.head() == before


ERRORS: list[tuple[dict[str, Any], str]] = [
    ({}, "Either count or tag_key and tag_values must be set"),
    ({"tag_values": ["a"]}, "tag_key must not be null when tag_values is set"),
    ({"tag_key": "a"}, "tag_values must not be null when tag_key is set"),
    (
        {"count": 1, "tag_key": "a", "tag_values": ["a"]},
        "count can not be set when tag_key and tag_values are set",
    ),
]


@pytest.mark.parametrize(("arguments", "text"), ERRORS)
def test_contradicting_arguments_are_refused_in_azures_words(
    run: Run, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(UserErrorException) as raised:
        run.create_children(**arguments)

    assert raised.value.message == text
    assert list(run.get_children()) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"count": -1}, InvalidInput),
        ({"count": 1.5}, InvalidType),
        ({"count": True}, InvalidType),
        ({"count": "3"}, InvalidType),
        ({"tag_key": "k", "tag_values": "abc"}, InvalidType),
        ({"tag_key": "k", "tag_values": 5}, InvalidType),
        ({"tag_key": "", "tag_values": ["a"]}, InvalidInput),
        ({"tag_key": 5, "tag_values": ["a"]}, InvalidType),
        ({"tag_key": "k", "tag_values": ["good", "\ud800"]}, InvalidInput),
    ],
)
def test_bad_arguments_make_no_children(
    run: Run, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        run.create_children(**arguments)

    assert list(run.get_children()) == []


@pytest.mark.processes
def test_processes_that_create_children_at_once_all_succeed(
    folder_ws: Workspace, project: Path
) -> None:
    run = start(Experiment(folder_ws, "e"))

    printed = race(
        f"""
import runlore
run = runlore.Workspace.open({folder_ws.uri!r}).get_run({run.id!r})
go()
for number in range(5):
    for child in run.create_children(count=20):
        print(child.id)
""",
        4,
        cwd=project,
    )

    created = " ".join(printed).split()
    assert len(created) == 400
    assert sorted(child.id for child in run.get_children()) == sorted(created)


# --- get_children -----------------------------------------------------------------------------


@pytest.fixture
def tree(run: Run) -> dict[str, Run]:
    """A root with two branches; tags and ends at all depths."""
    a = run.child_run(run_id="a")
    b = run.child_run(run_id="b")
    aa = a.child_run(run_id="aa")
    aaa = aa.child_run(run_id="aaa")
    ba = b.child_run(run_id="ba")
    for each in (a, aaa, ba):
        each.tag("fold", "0")
    aaa.tag("worth another look")
    b.add_properties({"azureml.runsource": "tuning", "author": "me"})
    aaa.add_properties({"author": "me", "empty": None})
    aa.fail()
    ba.complete()
    return {"a": a, "b": b, "aa": aa, "aaa": aaa, "ba": ba}


def test_get_children_gives_the_children_newest_first(run: Run, tree: dict[str, Run]) -> None:
    children = run.get_children()

    assert isinstance(children, Iterator)
    assert isinstance(children, GeneratorType)
    assert [child.id for child in children] == ["b", "a"]


def test_recursive_children_are_all_descendants_newest_first(
    run: Run, tree: dict[str, Run]
) -> None:
    assert [each.id for each in run.get_children(recursive=True)] == ["ba", "aaa", "aa", "b", "a"]
    assert [each.id for each in tree["a"].get_children(recursive=True)] == ["aaa", "aa"]
    assert list(tree["ba"].get_children(recursive=True)) == []


CHILD_FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"tags": "fold"}, ["ba", "aaa", "a"]),
    ({"tags": {"fold": "0"}}, ["ba", "aaa", "a"]),
    ({"tags": {"fold": "1"}}, []),
    ({"tags": {"fold": "0", "worth another look": None}}, ["aaa"]),
    ({"tags": "worth another look"}, ["aaa"]),
    ({"properties": "author"}, ["aaa", "b"]),
    ({"properties": {"author": "me", "empty": None}}, ["aaa"]),
    ({"type": "tuning"}, ["b"]),
    ({"status": "Failed"}, ["aa"]),
    ({"status": "Running", "tags": "fold"}, ["aaa", "a"]),
]


@pytest.mark.parametrize(("filters", "expected"), CHILD_FILTERS)
def test_filters_apply_to_each_descendant_by_itself(
    run: Run, tree: dict[str, Run], filters: dict[str, Any], expected: list[str]
) -> None:
    found = [each.id for each in run.get_children(recursive=True, **filters)]
    direct = [each.id for each in run.get_children(**filters)]

    assert found == expected
    assert direct == [name for name in expected if name in "ab"]


@pytest.mark.parametrize("filters", [{"tags": 5}, {"properties": {"a": 1}}, {"type": 5}])
def test_a_filter_of_another_type_is_refused_at_once(run: Run, filters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Unknown filter type"):
        run.get_children(**filters)


def test_a_listed_child_leads_to_its_parent(run: Run, tree: dict[str, Run]) -> None:
    parents = {each.id: each.parent for each in run.get_children(recursive=True)}

    assert parents == {
        "a": run,
        "b": run,
        "aa": tree["a"],
        "aaa": tree["aa"],
        "ba": tree["b"],
    }


def test_a_deep_tree_is_found_whole(run: Run) -> None:
    deepest = run
    for _ in range(60):
        deepest = deepest.child_run()

    assert len(list(run.get_children(recursive=True))) == 60
    assert seen_again(deepest).root == run
