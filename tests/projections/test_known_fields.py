"""The fields that runs have, beside SQL over the views and beside the table of all columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import Experiment, Workspace
from runlore.domain.errors import FilterError, InvalidInput
from runlore.projections.filters import RunFilter
from runlore.projections.reader import RunsReader
from runlore.workspace import session_of
from tests.workspaces import in_memory, start

HOSTILE = "x' OR 1=1; -- %_"


@pytest.fixture(scope="module")
def ws() -> Iterator[Workspace]:
    """Two experiments of four runs, whose tags come and go."""
    with in_memory("lab") as made:
        nets, trees = (Experiment(made, name) for name in ("nets", "trees"))
        first = start(nets, run_id="first", tags={"model": "vit", "Mode": "a"})
        first.add_config({"lr": 0.1, "net": {"depth": 3}})
        first.log_batch("loss", [1.0, 2.0])
        first.log("val loss.min", 1.0)
        first.log_row("roc", fpr=0.1)
        second = start(nets, run_id="second", tags={"model": "cnn"})
        second.add_config({"lr": 0.2})
        second.log("loss", 3.0)
        second.log("note", "text")
        third = start(trees, run_id="third", tags={"model": "oak", HOSTILE: HOSTILE})
        third.add_properties({"git": "abc", HOSTILE: HOSTILE})
        third.child_run(run_id="fourth").tag("model", "ash")
        second.remove_tags(["model"])
        session_of(made).flush()
        yield made


@pytest.fixture
def reader(ws: Workspace) -> RunsReader:
    return session_of(ws).reader()


VIEWS = {"tags": "tags", "properties": "properties", "config": "config"}


@pytest.mark.parametrize("view", VIEWS)
def test_keys_are_counted_as_the_views_have_them(
    ws: Workspace, reader: RunsReader, view: str
) -> None:
    rows = ws.sql(f"SELECT key, count(DISTINCT run_id) FROM {view} GROUP BY key").fetchall()

    found = {one.field: one.runs for one in reader.fields() if one.field.startswith(f"{view}.")}
    plain = {field.partition(".")[2].strip("`").replace("``", "`"): n for field, n in found.items()}
    assert plain == dict(rows)
    assert found


def test_metrics_are_those_of_numbers(ws: Workspace, reader: RunsReader) -> None:
    found = {one.field: one.runs for one in reader.fields() if one.field.startswith("metrics.")}

    assert found == {"metrics.loss": 2, "metrics.note": 1, "metrics.`val loss.min`": 1}


def test_every_field_is_one_that_a_table_can_show(ws: Workspace, reader: RunsReader) -> None:
    fields = [one.field for one in reader.fields()]

    assert len(fields) == len(set(fields))
    assert reader.runs_table(columns=fields).columns == fields
    table = reader.runs_table(RunFilter(include_children=True))
    assert set(fields) <= set(table.columns)


@pytest.mark.parametrize("position_of", ["run.tag_removed", "run.property_added", "run.created"])
def test_fields_as_of_a_position_are_those_of_then(
    ws: Workspace, reader: RunsReader, position_of: str
) -> None:
    for event in ws.events(topics=position_of):
        for position in (event.position - 1, event.position):
            then = ws.as_of(position)
            rows = then.sql(
                "SELECT 'tags.' || key, count(*) FROM tags WHERE lower(key) LIKE 'mode%' GROUP BY 1"
            ).fetchall()
            found = {
                one.field: one.runs
                for one in reader.at(position).fields("mode")
                if one.field.startswith("tags.")
            }
            assert found == dict(rows)


@pytest.mark.parametrize(
    ("part", "found"),
    [("MODE", ["tags.model", "tags.Mode"]), ("%", [f"tags.`{HOSTILE}`", f"properties.`{HOSTILE}`"]),
     ("net.", ["config.net.depth"]), ("nothing", [])],
    ids=["case", "wildcard", "nested", "nothing"],
)  # fmt: skip
def test_a_part_of_a_name_finds_it(reader: RunsReader, part: str, found: list[str]) -> None:
    assert {one.field for one in reader.fields(part)} == set(found)


def test_the_fields_of_most_runs_come_first_and_are_limited(reader: RunsReader) -> None:
    tags = [one for one in reader.fields(limit=1) if one.field.startswith("tags.")]

    assert [(one.field, one.runs) for one in tags] == [("tags.model", 3)]
    counts = [one.runs for one in reader.fields() if one.field.startswith("config.")]
    assert counts == sorted(counts, reverse=True)


def test_fields_of_an_experiment_are_those_of_its_runs(ws: Workspace, reader: RunsReader) -> None:
    trees = Experiment(ws, "trees").id
    found = {one.field: one.runs for one in reader.fields(experiment_id=trees)}

    assert found["tags.model"] == 2
    assert "metrics.loss" not in found
    assert reader.fields(experiment_id="nowhere") == []


# --- pages of the table -----------------------------------------------------------------------


@pytest.mark.parametrize("sort", [None, "tags.model", "-metrics.loss.min", "name", "-created"])
@pytest.mark.parametrize("children", [False, True], ids=["top", "all"])
def test_pages_of_the_table_are_slices_of_it(
    reader: RunsReader, sort: str | None, children: bool
) -> None:
    which = RunFilter(include_children=children)
    whole = reader.runs_table(which, columns=["id", "tags.model"], sort=sort).fetchall()

    assert reader.count_runs(which) == len(whole)
    for offset in range(len(whole) + 2):
        for limit in (None, 1, 2, 100):
            page = reader.runs_table(
                which, columns=["id", "tags.model"], sort=sort, offset=offset, limit=limit
            )
            end = None if limit is None else offset + limit
            assert page.fetchall() == whole[offset:end]
            counted, total = reader.runs_page(
                which, columns=["id", "tags.model"], sort=sort, offset=offset, limit=limit or 100
            )
            assert counted.fetchall() == whole[offset : offset + (limit or 100)]
            assert total == len(whole)


@pytest.mark.parametrize(
    "where", [None, "has(tags.model)", "metrics.loss.min < 3", "experiment = trees", "id = nobody"]
)
def test_the_number_of_runs_is_that_of_the_table_at_every_position(
    ws: Workspace, reader: RunsReader, where: str | None
) -> None:
    which = RunFilter(where=where, include_children=True)
    for position in (*range(0, ws.position, 3), None):
        seen = reader if position is None else reader.at(position)
        count = len(seen.runs_table(which, columns=["id"]).fetchall())
        assert seen.count_runs(which) == count
        assert seen.runs_page(which, columns=["id"], limit=1)[1] == count


@pytest.mark.parametrize("offset", [-1, 1.0, True, "1", None])
def test_what_is_no_offset_is_refused(reader: RunsReader, offset: object) -> None:
    with pytest.raises(InvalidInput, match="offset"):
        reader.runs_table(offset=offset)  # type: ignore[arg-type]


def test_a_wrong_filter_is_refused_when_runs_are_counted(reader: RunsReader) -> None:
    with pytest.raises(FilterError):
        reader.count_runs(RunFilter(where="lr < 1"))


# --- the search -------------------------------------------------------------------------------

SEARCHES = {
    "value": ("OAK", {"third"}),
    "key": ("model", {"first", "third", "fourth"}),
    "removed": ("cnn", set()),
    "status": ("RUNNING", {"first", "second", "third", "fourth"}),
    "part of a status": ("runnin", set()),
    "experiment": ("nets", {"first", "second"}),
    "id": ("FIRST", {"first"}),
    "hostile": (HOSTILE, {"third"}),
    "wildcard": ("_%", set()),
    "spaces": ("  oak  ", {"third"}),
    "nothing": ("", {"first", "second", "third", "fourth"}),
}


@pytest.mark.parametrize("case", SEARCHES)
def test_a_search_finds_its_runs(reader: RunsReader, case: str) -> None:
    text, found = SEARCHES[case]
    which = RunFilter(search=text, include_children=True)

    rows = reader.runs_table(which, columns=["id"]).fetchall()
    assert {run_id for (run_id,) in rows} == found
    assert reader.count_runs(which) == len(found)


def test_a_search_as_of_a_position_finds_the_tags_of_then(
    ws: Workspace, reader: RunsReader
) -> None:
    (removed,) = [event.position for event in ws.events(topics="run.tag_removed")]

    for position, found in ((removed - 1, [("second",)]), (removed, [])):
        table = reader.at(position).runs_table(RunFilter(search="cnn"), columns=["id"])
        assert table.fetchall() == found


def test_a_search_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="search"):
        RunFilter(search=1)  # type: ignore[arg-type]


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field", ["tags.model", "t.Mode", f"tags.`{HOSTILE}`", "config.lr", "p.git"]
)
def test_values_are_counted_as_the_views_have_them(
    ws: Workspace, reader: RunsReader, field: str
) -> None:
    which = RunFilter(include_children=True)
    column = reader.runs_table(which, columns=[field]).fetchall()
    counted = Counter(str(value) for (value,) in column if value is not None)

    assert dict(reader.field_values(field)) == counted
    assert counted


@pytest.mark.parametrize("field", ["status", "experiment", "name", "user", "id"])
def test_values_of_attributes_are_those_of_all_runs(
    ws: Workspace, reader: RunsReader, field: str
) -> None:
    which = RunFilter(include_children=True, include_archived=True)
    for position in (0, ws.position // 2, None):
        seen = reader if position is None else reader.at(position)
        column = seen.runs_table(which, columns=[field]).fetchall()
        assert dict(seen.field_values(field)) == Counter(value for (value,) in column)


def test_values_are_narrowed_by_part_experiment_and_limit(
    ws: Workspace, reader: RunsReader
) -> None:
    trees = Experiment(ws, "trees").id

    assert reader.field_values("tags.model", "A") == [("ash", 1), ("oak", 1)]
    assert reader.field_values("tags.model", "%") == []
    assert reader.field_values("tags.model", experiment_id=trees) == [("ash", 1), ("oak", 1)]
    assert reader.field_values("experiment", experiment_id=trees) == [("trees", 2)]
    assert reader.field_values("experiment", limit=1) in ([("nets", 2)], [("trees", 2)])


@pytest.mark.parametrize("field", ["metrics.loss", "created", "duration", "number", "archived"])
def test_numbers_and_times_have_no_list_of_values(reader: RunsReader, field: str) -> None:
    with pytest.raises(InvalidInput, match="of texts"):
        reader.field_values(field)
