"""The runs that filters find, now and as of a position."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runlore import Experiment, Run, Workspace
from runlore.engine.runs.going_on import add_config, archive
from runlore.projections.filters import RunFilter
from runlore.run.run import handle_of
from runlore.workspace import session_of
from tests.workspaces import in_memory, start

HOSTILE = "x' OR 1=1; DROP TABLE store.runs --`\"\\"


def _run(
    ws: Workspace,
    name: str,
    *,
    experiment: str = "nets",
    config: dict[str, Any] | None = None,
    **options: Any,
) -> Run:
    run = start(Experiment(ws, experiment), display_name=name, **options)
    if config:
        add_config(handle_of(run), config)
    return run


@pytest.fixture(scope="module")
def filled() -> Iterator[Workspace]:
    """Six runs, `a` to `f`, that differ in all that filters ask about."""
    with _filled() as ws:
        yield ws


@contextmanager
def _filled() -> Iterator[Workspace]:
    with in_memory("lab") as ws:
        a = _run(
            ws,
            "a",
            config={"lr": 0.1, "net": {"depth": 3}, "seed": None},
            tags={"model": "ResNet-50", "fold": "1"},
        )
        a.log_batch("loss", [3.0, 1.0, 2.0])
        a.complete()
        b = _run(ws, "b", config={"lr": "0.10", "debug": True}, tags={"model": "vit", "fold": "10"})
        b.log_batch("loss", [2.0, math.nan])
        b.fail("out of memory", error_code="OOM")
        c = _run(ws, "c", config={"lr": "high", "debug": "true"}, tags={"fold": "2", "debug": None})
        c.log("loss", math.nan)
        c.log("note", "it diverged")
        c.cancel()
        d = _run(ws, "d", experiment="trees")
        d.add_properties({"git": "abc", HOSTILE: HOSTILE})
        d.log("val loss.min", 7)
        d.description = "Zwei Bäume"
        e = d.child_run()
        e.display_name = "e"
        e.tag(HOSTILE, HOSTILE)
        f = _run(ws, "f", tags={"model": "vit"})
        archive(handle_of(f))
        session_of(ws).flush()
        yield ws


FOUND = {
    "status = completed": "a",
    "status != completed": "bcde",
    "status in (failed, canceled)": "bc",
    "not status in (failed, canceled)": "ade",
    "experiment = trees": "de",
    'name = "a" or name = b': "ab",
    "id = nothing": "",
    "number > 1": "bce",
    "depth = 1": "e",
    "has(parent)": "e",
    "description ~ BÄUME": "d",
    "description !~ nichts": "d",
    "not description ~ nichts": "abcde",
    'error ~ "of memory"': "b",
    "error_code = OOM": "b",
    "lost = false": "abcde",
    "archived = true": "f",
    "archived = false": "abcde",
    "archived = true or name = a": "af",
    "target = local": "abcde",
    "created > yesterday": "abcde",
    "created > '2 hours ago' and created <= now": "abcde",
    "created < 2020-01-01": "",
    "has(ended) and duration < 1h": "abc",
    "duration >= 0": "abcde",
    "t.model = vit": "b",
    "t.model != vit": "a",
    "not t.model = vit": "acde",
    "t.model ~ resnet": "a",
    "t.model !~ resnet": "b",
    "has(t.model)": "ab",
    "not has(t.model)": "cde",
    "t.fold > 1": "bc",
    "t.fold = 1.0": "a",
    't.fold = "1.0"': "",
    't.fold < "2"': "ab",
    "t.fold in (1, 2)": "ac",
    "has(t.debug)": "c",
    't.debug = ""': "",
    "p.git = abc": "d",
    "p.git > 1": "",
    "c.lr = 0.1": "ab",
    'c.lr = "0.1"': "a",
    'c.lr = "0.10"': "b",
    "c.lr < 1": "ab",
    "c.lr ~ h": "c",
    "c.net.depth >= 3": "a",
    "c.seed = null": "a",
    "c.debug = true": "b",
    'c.debug = "true"': "bc",
    "has(c.seed)": "a",
    "m.loss < 2": "",
    "m.loss = 2": "a",
    "m.loss.first >= 2": "ab",
    "m.loss.min <= 2": "ab",
    "m.loss.max > 2": "a",
    "m.loss.mean = 2": "ab",
    "m.loss.n > 1": "ab",
    "m.loss = nan": "bc",
    "m.loss != nan": "a",
    "m.loss > 0": "a",
    "m.loss < inf": "a",
    "not m.loss < 0": "abcde",
    "has(m.loss)": "abc",
    'm.note = "it diverged"': "c",
    "m.note ~ DIVERGED": "c",
    "m.`val loss.min` = 7": "d",
    "m.`val loss.min`.max = 7": "d",
    "m.unknown < 1": "",
    "has(m.unknown)": "",
    f"t.`{HOSTILE.replace('`', '``')}` = {HOSTILE!r}": "e",
    f"p.`{HOSTILE.replace('`', '``')}` ~ {HOSTILE[:12]!r}": "d",
    f"name = {HOSTILE!r} or m.`{HOSTILE.replace('`', '``')}` > 1": "",
}


def found_in(ws: Workspace, where: str, position: int | None = None) -> str:
    reader = session_of(ws).reader()
    reader = reader if position is None else reader.at(position)
    which = RunFilter(where=where, include_children=True)
    names = [
        handle_of(ws.get_run(row.run_id)).fetch().display_name or "" for row in reader.runs(which)
    ]
    return "".join(sorted(names))


@pytest.mark.parametrize("where", FOUND)
def test_a_filter_finds_its_runs(filled: Workspace, where: str) -> None:
    assert found_in(filled, where) == FOUND[where]


def test_filters_find_the_same_runs_as_of_a_position() -> None:
    with _filled() as ws:
        position = session_of(ws).log.last_position()
        for row in list(session_of(ws).reader().runs()):
            run = ws.get_run(row.run_id)
            run.set_tags({"model": "other", "fold": "77", "debug": "x"})
            run.log_batch("loss", [-5.0, 1e9])
            run.log("note", "later")
            run.flush()
        assert found_in(ws, "t.fold = 77 and m.loss.max = 1e9 and m.note = later") == "abcd"
        for where, found in FOUND.items():
            assert found_in(ws, where, position) == found


def test_a_filter_narrows_the_other_conditions(filled: Workspace) -> None:
    reader = session_of(filled).reader()
    (row,) = reader.runs(RunFilter(statuses=["Canceled"], where="has(c.lr)"))
    assert handle_of(filled.get_run(row.run_id)).fetch().display_name == "c"
    assert not list(reader.runs(RunFilter(statuses=["Failed"], where="status = Completed")))
