"""The saved views are those of the events: the last of each name, now and as of a position."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from runlore.domain import events as ev
from runlore.domain.ids import view_stream
from tests.examples import few
from tests.projections.histories import Happening, History, reader_of

NAMES = st.sampled_from(["best", "a/b", "%"])
CHANGES = st.lists(st.tuples(NAMES, st.none() | st.integers(0, 3)), max_size=12)


@settings(deadline=None, max_examples=few(15))
@given(CHANGES, st.none() | st.integers(0, 14))
def test_a_name_has_what_was_saved_last(
    changes: list[tuple[str, int | None]], as_of: int | None
) -> None:
    history, wanted = History(), dict[str, int]()
    for name, number in changes:
        event: ev.Event = ev.ViewDeleted(name=name)
        if number is not None:
            event = ev.ViewSaved(name=name, definition={"url": f"/runs?q={number}"})
        history.add(Happening(view_stream(name), event))
        position = history.log.last_position()
        if as_of is None or position <= as_of:
            wanted.pop(name, None)
            wanted |= {} if number is None else {name: number}
    with reader_of(history.log) as reader:
        seen = reader if as_of is None else reader.at(as_of)
        found = seen.saved_views()

    assert [one.name for one in found] == sorted(wanted)
    assert {one.name: one.definition for one in found} == {
        name: {"url": f"/runs?q={number}"} for name, number in wanted.items()
    }
