"""Tables after an erasure are those of a projection that never saw what was erased."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.domain.ids import run_stream
from runlore.domain.run_state import fold
from runlore.projections.projection import DataErased
from runlore.projections.runner import catch_up
from runlore.storage.codec import fact_of
from runlore.storage.open_sqlite import open_sqlite
from tests.examples import few
from tests.projections.histories import (
    RUNS,
    Happening,
    History,
    histories,
    projection_in_memory,
    reader_of,
    rebuilt,
    tables_of,
)


def erased(history: History, run_id: str) -> bool:
    """Erases a run, if there is one."""
    facts = map(fact_of, history.log.read_stream(run_stream(run_id)))
    state = fold(None, [fact for fact in facts if fact.event_id is not None])
    if state is None or state.erased:
        return False
    history.say(
        run_stream(run_id),
        ev.RunErased(
            run_id=run_id,
            experiment_id=state.experiment_id,
            experiment_name=state.experiment_name,
            parent_id=state.parent_id,
            root_id=state.root_id,
            status=state.status,
            started_at=state.started_at,
            ended_at=state.ended_at,
        ),
    )
    return True


@settings(deadline=None, max_examples=few(4))
@given(histories, st.data())
def test_any_interleaving_of_events_erasures_and_catch_ups_gives_the_tables_of_a_rebuild(
    appends: list[list[Happening]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(open_sqlite(Path(folder) / "log.sqlite", erasable=True))
        with reader_of(history.log) as reader:
            for append in appends:
                history.add(*append)
                if data.draw(st.booleans(), "catches up"):
                    reader.projection.refresh()
                run_id = data.draw(st.none() | st.sampled_from(RUNS), "erased")
                if run_id is not None and erased(history, run_id):
                    # A process that knows nothing of it yet may still write.
                    history.say(f"run/{run_id}/values/late", ev.TagSet(key="a", value="late"))

            assert tables_of(reader) == rebuilt(history.log)
        history.log.close()


def test_who_applied_what_was_erased_is_told_to_begin_anew(tmp_path: Path) -> None:
    history = History(open_sqlite(tmp_path / "log.sqlite", erasable=True))
    history.experiment()
    history.run("r0", tags={"a": "secret"})
    with projection_in_memory() as projection:
        catch_up(projection, history.log)
        erased(history, "r0")

        with pytest.raises(DataErased):
            catch_up(projection, history.log)
    history.log.close()


def test_an_erased_run_keeps_its_number_and_its_children(tmp_path: Path) -> None:
    history = History(open_sqlite(tmp_path / "log.sqlite", erasable=True))
    history.experiment()
    history.run("r0")
    history.run("r1", parent_id="r0")
    with reader_of(history.log, tmp_path / "projections") as reader:
        reader.projection.refresh()
        erased(history, "r0")

        shown = reader.sql("SELECT run_id, number, parent_id, erased FROM runs ORDER BY number")
        assert shown.fetchall() == [("r0", 1, None, True), ("r1", 2, "r0", False)]
    history.log.close()
