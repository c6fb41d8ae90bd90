"""How many events there were when: all are counted once, and time does not run backwards."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import few
from tests.projections.histories import History, asked, reader_of


@settings(deadline=None, max_examples=few(15))
@given(
    st.lists(st.sampled_from([0, 1, 10**3, 10**6, 10**12]), max_size=30),
    st.integers(1, 40),
    st.none() | st.integers(0, 30),
)
def test_spans_grow_and_count_every_event_once(
    pauses: list[int], buckets: int, as_of: int | None
) -> None:
    history = History()
    for number, pause in enumerate(pauses):
        history.clock.now += pause
        history.experiment(f"e{number}", f"lab{number}")
    with reader_of(history.log) as reader:
        seen = reader if as_of is None else reader.at(as_of)
        spans = seen.timeline(buckets)
        known = asked(reader, "SELECT position, recorded_at FROM store.events ORDER BY position")

    events = [(position, at) for position, at in known if as_of is None or position <= as_of]
    assert len(spans) <= buckets
    assert sum(span.events for span in spans) == len(events)
    assert [span.position for span in spans] == sorted({span.position for span in spans})
    assert [span.ends_at for span in spans] == sorted({span.ends_at for span in spans})
    times = dict(events)
    first = 0
    for span in spans:
        assert span.events == sum(first < position <= span.position for position, _ in events)
        assert span.ends_at == times[span.position]
        first = span.position


@pytest.mark.parametrize("buckets", [1, 2, 10])
def test_an_empty_log_has_no_spans(buckets: int) -> None:
    with reader_of(History().log) as reader:
        assert reader.timeline(buckets) == []


def test_spans_have_equal_lengths() -> None:
    history = History()
    began = history.clock.now
    for after in (0, 1_000, 5_000, 9_000):
        history.clock.now = began + after
        history.experiment(f"e{after}", f"lab{after}")
    with reader_of(history.log) as reader:
        spans = reader.timeline(2)

    assert [(span.position, span.events) for span in spans] == [(2, 2), (4, 2)]
