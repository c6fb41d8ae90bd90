"""The contract suite of recorders whose runs can be erased; see `runlore.testing.recorders`."""

from __future__ import annotations

import os
from typing import Final

from runlore.domain import events as ev
from runlore.domain.run_state import fold
from runlore.domain.status import Status
from runlore.storage.codec import decode_event, encode_event, fact_of
from runlore.storage.event_log import EventLog, NewEvent
from runlore.testing.logs import all_rows, check_head
from runlore.testing.recorders import EventLogContract

SECRET: Final = b"the patient is Ann"


def append(log: EventLog, stream: str, version: int, event: ev.Event) -> None:
    state = encode_event(event)
    log.append([NewEvent(stream, version, event.topic, state, os.urandom(16), {"writer": "w"})])


def create(log: EventLog, run_id: str = "r") -> None:
    append(log, f"run/{run_id}", 1, created(run_id))


def created(run_id: str = "r") -> ev.RunCreated:
    return ev.RunCreated(
        run_id=run_id,
        experiment_id="e",
        experiment_name="lab",
        status=Status.RUNNING,
        root_id=run_id,
        description=SECRET.decode(),
    )


def erased(run_id: str = "r") -> ev.RunErased:
    return ev.RunErased(
        run_id=run_id,
        experiment_id="e",
        experiment_name="lab",
        parent_id=None,
        root_id=run_id,
        status=Status.COMPLETED,
        started_at=1,
        ended_at=2,
    )


class ErasableLogContract(EventLogContract):
    """Tests of the contract of an erasable `EventLog`; a subclass overrides the fixture `log`."""

    is_erasable = True

    def test_payloads_of_runs_are_stored_sealed_and_read_in_the_clear(self, log: EventLog) -> None:
        create(log)

        [row] = log.read_stream("run/r")
        assert decode_event(row.topic, row.state) == created().__dict__ | {"outputs": []}
        [stored] = log.as_stored().read_stream("run/r")
        assert (stored.position, stored.leaf) == (row.position, row.leaf)
        assert SECRET in row.state and SECRET not in stored.state

    def test_events_of_no_run_are_stored_as_they_are(self, log: EventLog) -> None:
        append(log, "experiment/lab", 1, ev.ExperimentCreated(experiment_id="e", name="lab"))

        assert all_rows(log) == all_rows(log.as_stored())

    def test_the_head_is_made_over_what_is_stored_and_holds_after_an_erasure(
        self, log: EventLog
    ) -> None:
        create(log)
        before = check_head(log)
        append(log, "run/r", 2, erased())

        after = check_head(log)
        assert after.size == before.size + 1

    def test_an_erased_run_reads_as_what_its_erasure_says(self, log: EventLog) -> None:
        create(log)
        append(log, "run/r", 2, ev.TagSet(key="k", value="v"))
        append(log, "run/r", 3, erased())

        rows = log.read_stream("run/r")
        left, tag, end = [fact_of(row) for row in rows]
        assert left.data == ev.remains_of(erased().__dict__) | {"outputs": []}
        assert tag.data is None
        assert end.data == erased().__dict__

    def test_readers_of_before_and_after_an_erasure_have_the_same_state(
        self,
        log: EventLog,
    ) -> None:
        create(log)
        append(log, "run/r", 2, ev.TagSet(key="k", value="v"))
        append(log, "run/r", 3, ev.RunCompleted())
        had = fold(None, map(fact_of, log.read_stream("run/r")))
        append(log, "run/r", 4, erased())

        new = map(fact_of, log.read_stream("run/r", after_version=3))
        assert fold(had, new) == fold(None, map(fact_of, log.read_stream("run/r")))

    def test_what_is_appended_to_an_erased_run_is_gone_at_once(self, log: EventLog) -> None:
        create(log)
        append(log, "run/r", 2, erased())
        append(log, "run/r/values/w", 1, ev.TagSet(key="k", value="late"))

        [late] = log.read_stream("run/r/values/w")
        assert fact_of(late).data is None
        check_head(log)

    def test_a_run_keeps_the_key_that_it_gets_first(self, log: EventLog) -> None:
        key = log.key_of("r")
        assert key is not None
        create(log)

        assert log.key_of("r") == key != log.key_of("other")

    def test_an_erasure_destroys_the_key_for_good(self, log: EventLog) -> None:
        create(log)
        assert log.last_erasure() == 0
        append(log, "run/r", 2, erased())

        assert log.key_of("r") is None
        assert log.last_erasure() == log.head().position
        assert log.scrub(1.0)
