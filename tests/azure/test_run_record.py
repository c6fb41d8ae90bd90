from __future__ import annotations

import pytest

from runlore import Experiment, Run, Workspace
from runlore.azure.records import minimal, nested
from runlore.domain.errors import ExperimentNotFound, InvalidInput, RunNotFound
from tests.fresh_python import run_python
from tests.records import KEYS
from tests.workspaces import seen_again, start


def ids(records: object) -> list[str]:
    assert isinstance(records, list)
    return [record["run_id"] for record in records]


@pytest.fixture
def many(exp: Experiment) -> Workspace:
    """Runs of all kinds in two experiments."""
    plain = start(exp, run_id="plain")
    plain.complete()
    rich = start(exp, run_id="rich", display_name="a name", description="*text*", name="old")
    rich.set_tags({"quality": "fantastic run", "worth another look": None, "a": ""})
    rich.add_properties({"author": "azureml-user", "b": None})
    failed = rich.child_run(run_id="failed")
    failed.fail(ValueError("no such file"), error_code="DataError")
    failed.child_run(name="grandchild", run_id="grandchild").cancel()
    start(exp, run_id="stays")
    start(Experiment(exp.workspace, "other"), run_id="elsewhere", tags={"quality": "poor"})
    return exp.workspace


def test_the_record_has_the_keys_of_azures_run_dto(run: Run) -> None:
    assert list(run.get_record()) == KEYS


def test_tags_and_properties_are_never_null(exp: Experiment, run: Run) -> None:
    [record] = exp.workspace.get_run_records(exp.name)

    assert (record["tags"], record["properties"]) == ({}, {})
    assert (run.get_record()["tags"], run.get_record()["properties"]) == ({}, {})


def test_the_fold_and_the_projection_say_the_same(many: Workspace) -> None:
    records = many.get_run_records(include_children=True)

    assert len(records) == 6
    for record in records:
        assert many.get_run(record["run_id"]).get_record() == record


def test_the_fold_and_the_projection_give_their_keys_in_the_same_order(many: Workspace) -> None:
    for record in many.get_run_records(include_children=True):
        folded = many.get_run(record["run_id"]).get_record()
        assert [list(folded[key]) for key in ("tags", "properties")] == [
            list(record[key]) for key in ("tags", "properties")
        ]


def test_the_number_counts_the_runs_of_the_experiment_alone(many: Workspace) -> None:
    numbers = {
        record["run_id"]: record["run_number"]
        for record in many.get_run_records(include_children=True)
    }

    assert numbers["elsewhere"] == 1
    assert numbers["stays"] == 5
    assert all(many.get_run(run_id).number == number for run_id, number in numbers.items())


def test_records_are_newest_first_and_without_children(many: Workspace) -> None:
    assert ids(many.get_run_records("explore-runs")) == ["stays", "rich", "plain"]
    assert ids(many.get_run_records("explore-runs", last=1)) == ["stays"]
    assert ids(many.get_run_records("explore-runs", last=0)) == []


def test_records_can_be_filtered(many: Workspace) -> None:
    def found(**filters: object) -> list[str]:
        return sorted(ids(many.get_run_records(include_children=True, **filters)))  # type: ignore[arg-type]  # whatever the test asks

    assert found(tags="quality") == ["elsewhere", "rich"]
    assert found(tags={"quality": "poor"}) == ["elsewhere"]
    assert found(tags={"quality": ..., "a": ""}) == ["rich"]
    assert found(properties={"author": "azureml-user", "b": None}) == ["rich"]
    assert found(statuses=["Failed", "Canceled"]) == ["failed", "grandchild"]
    assert found(target="local", statuses=["Completed"]) == ["plain"]
    assert found(target="gpu-cluster") == []


def test_children_of_a_run_and_all_its_descendants(many: Workspace) -> None:
    assert ids(many.get_run_records(parent_run_id="rich")) == ["failed"]
    below = ids(many.get_run_records(parent_run_id="rich", include_children=True))
    assert sorted(below) == ["failed", "grandchild"]


def test_records_can_be_sorted_either_way(many: Workspace) -> None:
    up = ids(many.get_run_records("explore-runs", sort="run_id"))
    assert up == ["plain", "rich", "stays"]
    assert ids(many.get_run_records("explore-runs", sort="-run_id")) == up[::-1]


def test_invalid_arguments_are_refused(many: Workspace) -> None:
    with pytest.raises(InvalidInput, match="cannot sort by 'nothing'; it takes one of"):
        many.get_run_records(sort="nothing")
    with pytest.raises(InvalidInput, match="last must be 0 or more, got -1"):
        many.get_run_records(last=-1)
    with pytest.raises(ExperimentNotFound, match="nope"):
        many.get_run_records("nope")
    with pytest.raises(RunNotFound, match="nope"):
        many.get_run_records(parent_run_id="nope")


def test_records_of_an_archived_experiment_can_still_be_read(many: Workspace) -> None:
    Experiment(many, "other").archive()
    assert ids(many.get_run_records("other")) == ["elsewhere"]

    again = start(Experiment(many, "other"), run_id="again")
    assert ids(many.get_run_records("other")) == [again.id]


def test_minimal_is_azures(many: Workspace) -> None:
    assert minimal(many.get_run("rich").get_record()) == {
        "RunId": "rich",
        "RunType": None,
        "Status": "Running",
        "StartTime": many.get_run("rich").get_record()["start_time_utc"],
        "EndTime": None,
        "Target": "local",
        "Tags": {"a": "", "quality": "fantastic run", "worth another look": None},
    }


def test_nested_puts_children_below_their_parents(many: Workspace) -> None:
    trees = nested(many.get_run_records("explore-runs", include_children=True))

    assert ids(trees) == ["stays", "rich", "plain"]
    [failed] = trees[1]["children"]
    assert ids(failed["children"]) == ["grandchild"]


def test_a_run_is_found_by_the_beginning_of_its_id(many: Workspace) -> None:
    assert many.find_run("gr").id == "grandchild"
    assert many.find_run("rich").id == "rich"


def test_an_id_that_is_also_the_beginning_of_others_is_found(exp: Experiment) -> None:
    start(exp, run_id="run_1")
    start(exp, run_id="run_10")

    assert exp.workspace.find_run("run_1").id == "run_1"


def test_an_ambiguous_beginning_of_an_id_lists_the_candidates(exp: Experiment) -> None:
    for number in range(12):
        start(exp, run_id=f"run_{number:02}")

    with pytest.raises(InvalidInput, match=r"one of: run_00, .*run_09, \.\.\.$"):
        exp.workspace.find_run("run_")
    with pytest.raises(InvalidInput, match=r"one of: run_10, run_11$"):
        exp.workspace.find_run("run_1")


@pytest.mark.parametrize("run_id", ["nope", "no/such", ""])
def test_a_beginning_that_fits_no_id_is_not_found(exp: Experiment, run_id: str) -> None:
    with pytest.raises((RunNotFound, InvalidInput)):
        exp.workspace.find_run(run_id)


def test_a_record_shows_what_others_changed(run: Run) -> None:
    seen_again(run).tag("by", "another")

    assert run.get_record()["tags"] == {"by": "another"}


@pytest.mark.processes
def test_the_record_of_one_run_loads_no_duckdb(many: Workspace, tmp_path: object) -> None:
    if many.path is None:
        return  # No other process can read a workspace in memory.
    printed = run_python(
        f"import sys, runlore\nrun = runlore.Workspace.open({str(many.path)!r}).find_run('rich')\n"
        "print(run.get_record()['run_number'], 'duckdb' in sys.modules)",
        cwd=many.path.parent,
    )

    assert printed == "2 False\n"


def test_none_is_no_condition_for_any_filter(exp: Experiment) -> None:
    run = start(exp)

    records = exp.workspace.get_run_records(
        None, parent_run_id=None, type=None, tags=None, properties=None, statuses=None, target=None
    )

    assert [record["run_id"] for record in records] == [run.id]
