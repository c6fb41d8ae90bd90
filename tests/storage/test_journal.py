"""The journal: optimistic appends, lost acknowledgements, lost races, and who writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from runlore.domain import run, run_commands
from runlore.domain.decision import Decision
from runlore.domain.errors import InvalidInput, PropertyConflict, RunEnded
from runlore.domain.events import (
    Event,
    PropertyAdded,
    RunCreated,
    RunStarted,
    TagSet,
    WriterOpened,
)
from runlore.domain.ids import run_stream, values_stream, writer_stream
from runlore.domain.run_state import RunState, fold
from runlore.domain.status import Status
from runlore.storage.codec import fact_of
from runlore.storage.database import Database
from runlore.storage.driver_errors import InterfaceError, OperationalError
from runlore.storage.errors import DiskFailed, LogBusy, VersionConflict
from runlore.storage.event_log import Drained, EventLog, NewEvent, ReadStream, StoredRow
from runlore.storage.journal import Batch, Beside, Journal, Pending, StreamState
from runlore.storage.memory_log import MemoryLog
from runlore.storage.open_sqlite import open_sqlite
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.value_codec import Series
from runlore.testing.logs import all_rows, check_head
from tests.logged_values import Record, batch_of
from tests.processes import LIMIT_S, in_child

CREATED = RunCreated(
    run_id="r", experiment_id="e", experiment_name="lab", status=Status.RUNNING, root_id="r"
)


def introduce(actor: str = "ann") -> WriterOpened:
    return WriterOpened(
        actor=actor, host="node1", boot_id="b", pid=7, process="train.py", client_version="0"
    )


def journal_of(log: EventLog, actor: str = "ann") -> Journal:
    return Journal(log, lambda: introduce(actor))


def run_folded() -> StreamState[RunState | None]:
    return StreamState(run_stream("r"), fold, None)


def deciding(
    journal: Journal, command: run_commands.Command
) -> Callable[[RunState | None], Decision]:
    return lambda state: run.decide(state, command, journal.writer_id)


def add(journal: Journal, folded: StreamState[RunState | None], **properties: str) -> None:
    journal.change(folded, deciding(journal, run_commands.AddProperties(properties)))


def story(log: EventLog, stream: str = "run/r") -> list[str]:
    return [row.topic for row in log.read_stream(stream)]


class InMemory(SqliteLog):
    """The SQLite log without a file; the tests below make it misbehave."""

    def __init__(self) -> None:
        super().__init__(Database(":memory:"))
        self.create_table()


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    log = MemoryLog() if request.param == "memory" else open_sqlite(tmp_path / "log.db")
    yield log
    log.close()


# --- who writes ---------------------------------------------------------------------------


def test_a_writer_is_introduced_once_and_before_its_first_event(log: EventLog) -> None:
    journal = journal_of(log)
    journal.append([Pending("run/r", 1, CREATED)])
    journal.append([Pending("run/r", 2, TagSet(key="k", value=None))])

    assert [row.topic for row in all_rows(log)] == ["writer.opened", "run.created", "run.tag_set"]
    assert all_rows(log)[0].stream == writer_stream(journal.writer_id)
    assert {fact.writer_id for fact in journal.facts("run/r")} == {journal.writer_id}


def test_reading_leaves_no_trace(log: EventLog) -> None:
    def never() -> WriterOpened:
        raise AssertionError("nobody writes here")

    journal = Journal(log, never)
    folded = run_folded()

    assert journal.facts("run/r") == []
    assert journal.refresh(folded) is None
    assert journal.change(folded, lambda state: Decision()) == ()
    journal.append([])
    assert all_rows(log) == []


def test_two_journals_are_two_writers(log: EventLog) -> None:
    one, other = journal_of(log), journal_of(log)
    assert one.writer_id != other.writer_id
    assert len(one.writer_id) == 32
    assert one.writer_id == one.writer_id


@pytest.mark.processes
def test_a_forked_child_is_another_writer_and_says_so(tmp_path: Path) -> None:
    log = open_sqlite(tmp_path / "log.db")
    journal = journal_of(log)
    journal.append([Pending("run/r", 1, CREATED)])

    def child() -> str:
        journal.append([Pending("run/r", 2, TagSet(key="k", value=None))])
        return journal.writer_id

    child_id = in_child(child)

    assert child_id != journal.writer_id
    assert [f.writer_id for f in journal.facts("run/r")] == [journal.writer_id, child_id]
    assert story(log, writer_stream(child_id)) == ["writer.opened"]
    journal.append([Pending("run/r", 3, RunStarted())])
    assert story(log, writer_stream(journal.writer_id)) == ["writer.opened"]


def test_threads_that_write_first_together_introduce_their_writer_once(log: EventLog) -> None:
    together = threading.Barrier(2)

    def identify() -> WriterOpened:
        with suppress(threading.BrokenBarrierError):
            together.wait(0.2)  # Both are here at once, if both get here.
        return introduce()

    journal = Journal(log, identify)
    errors: list[BaseException] = []

    def append(stream: str) -> None:
        try:
            journal.append([Pending(stream, 1, CREATED)])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=append, args=(f"run/{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)

    assert errors == []
    assert sorted(row.topic for row in all_rows(log)) == [
        "run.created",
        "run.created",
        "writer.opened",
    ]


def ids_asked_together(journal: Journal) -> list[str]:
    start = threading.Barrier(4)
    ids: list[str] = []

    def ask() -> None:
        start.wait(LIMIT_S)
        ids.append(journal.writer_id)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    return ids


def test_threads_that_ask_first_together_get_one_writer_id() -> None:
    for _ in range(50):
        journal = journal_of(MemoryLog())
        assert ids_asked_together(journal) == [journal.writer_id] * 4


def test_writers_have_names_that_people_read(log: EventLog) -> None:
    journal = journal_of(log)
    assert journal.name_of(None) == "an unknown writer"
    assert journal.name_of("0123456789abcdef") == "writer 01234567"
    assert journal.name_of(journal.writer_id) == f"writer {journal.writer_id[:8]}"

    journal.append([Pending("run/r", 1, CREATED)])

    assert journal.name_of(journal.writer_id) == "ann@node1 (pid 7)"
    assert journal_of(log).name_of(journal.writer_id) == "ann@node1 (pid 7)"


# --- appending ----------------------------------------------------------------------------


def test_a_reason_goes_into_the_envelope(log: EventLog) -> None:
    journal = journal_of(log)
    journal.append([Pending("run/r", 1, CREATED)], reason="tidying")
    [fact] = journal.facts("run/r")
    assert fact.reason == "tidying"
    assert journal.facts(writer_stream(journal.writer_id))[0].reason is None


def test_a_taken_version_is_a_conflict(log: EventLog) -> None:
    journal = journal_of(log)
    journal.append([Pending("run/r", 1, CREATED)])
    with pytest.raises(VersionConflict):
        journal.append([Pending("run/s", 1, CREATED), Pending("run/r", 1, CREATED)])
    assert story(log, "run/s") == []


def test_facts_are_read_within_bounds(log: EventLog) -> None:
    journal = journal_of(log)
    journal.append([Pending("run/r", n, TagSet(key=f"k{n}", value=None)) for n in range(1, 5)])
    facts = journal.facts("run/r")
    assert [fact.version for fact in facts] == [1, 2, 3, 4]
    assert journal.facts("run/r", after_version=2) == facts[2:]
    assert journal.facts("run/r", upto_position=facts[1].position) == facts[:2]


# --- lost acknowledgements ----------------------------------------------------------------


class Forgetful(InMemory):
    """Commits, and then says that something went wrong, for the first few calls."""

    def __init__(self, error: BaseException, losses: int) -> None:
        super().__init__()
        self.error = error
        self.losses = losses
        self.calls = 0

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        rows = super().append(events, drained=drained)
        return self._lose(rows)

    def _lose(self, rows: tuple[StoredRow, ...]) -> tuple[StoredRow, ...]:
        self.calls += 1
        if self.losses:
            self.losses -= 1
            raise self.error
        return rows


@pytest.mark.parametrize(
    "error", [OperationalError("lost"), InterfaceError("lost"), DiskFailed("lost")], ids=repr
)
@pytest.mark.parametrize("losses", [1, 2])
def test_a_lost_acknowledgement_is_a_success(error: BaseException, losses: int) -> None:
    log = Forgetful(error, losses)
    journal = journal_of(log)
    folded = run_folded()

    facts = journal.change(folded, lambda state: Decision((CREATED,)))
    add(journal, folded, lr="0.1")

    assert [fact.topic for fact in facts] == ["run.created"]
    assert story(log) == ["run.created", "run.property_added"]
    assert len(all_rows(log)) == 3
    assert folded.version == 2
    check_head(log)


def test_an_outcome_that_stays_unknown_is_raised_and_the_journal_goes_on() -> None:
    log = Forgetful(OperationalError("lost"), 3)
    journal = journal_of(log)

    with pytest.raises(OperationalError, match="lost"):
        journal.append([Pending("run/r", 1, CREATED)])
    journal.append([Pending("run/r", 2, RunStarted())])

    assert log.calls >= 4
    assert story(log) == ["run.created", "run.started"]
    assert story(log, writer_stream(journal.writer_id)) == ["writer.opened"]


def test_an_interrupt_after_the_commit_leaves_the_journal_working() -> None:
    log = Forgetful(KeyboardInterrupt(), 1)
    journal = journal_of(log)
    folded = run_folded()

    with pytest.raises(KeyboardInterrupt):
        journal.change(folded, lambda state: Decision((CREATED,)))
    add(journal, folded, lr="0.1")

    assert story(log) == ["run.created", "run.property_added"]
    assert folded.state is not None
    assert folded.state.properties["lr"].value == "0.1"


def test_an_error_that_says_that_nothing_was_stored_is_not_tried_again() -> None:
    log = Forgetful(LogBusy("busy"), 1)
    with pytest.raises(LogBusy):
        journal_of(log).append([Pending("run/r", 1, CREATED)])
    assert log.calls == 1


# --- races --------------------------------------------------------------------------------


class Contested(InMemory):
    """Before each append of the journal, a rival's event takes the next version of the run."""

    def __init__(self) -> None:
        super().__init__()
        self.rivals: list[Event] = []
        self.appends = 0
        self.decided = 0

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        self.appends += 1
        if self.rivals:
            rival = Journal(_Plain(self), lambda: introduce("rival"))
            version = len(self.read_stream("run/r")) + 1
            rival.append([Pending("run/r", version, self.rivals.pop(0))])
        return super().append(events, drained=drained)

    def append_decided(
        self,
        decide: Callable[[ReadStream], Sequence[NewEvent]],
        *,
        drained: Drained | None = None,
    ) -> tuple[StoredRow, ...]:
        self.decided += 1
        return super().append_decided(decide, drained=drained)


class _Plain(SqliteLog):
    """The same database without the rivals."""

    def __init__(self, log: SqliteLog) -> None:
        super().__init__(log.database)


def contested(*rivals: Event) -> tuple[Contested, Journal, StreamState[RunState | None]]:
    log = Contested()
    journal = journal_of(log)
    folded = run_folded()
    journal.change(folded, lambda state: Decision((CREATED,)))
    log.rivals = list(rivals)
    log.appends = log.decided = 0
    return log, journal, folded


def tag(key: str) -> TagSet:
    return TagSet(key=key, value=None)


def test_a_lost_race_is_decided_again_on_the_newer_state() -> None:
    log, journal, folded = contested(tag("rival"))
    seen: list[int] = []

    def decide(state: RunState | None) -> Decision:
        assert state is not None
        seen.append(state.version)
        return Decision((tag("ours"),))

    journal.change(folded, decide)

    assert seen == [1, 2]
    assert story(log) == ["run.created", "run.tag_set", "run.tag_set"]
    assert folded.state is not None
    assert list(folded.state.tags) == ["rival", "ours"]


class CountsReads(InMemory):
    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def read_stream(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> Sequence[StoredRow]:
        self.reads += 1
        return super().read_stream(stream, after_version=after_version, upto_position=upto_position)


def test_who_holds_the_newest_state_reads_nothing_to_change_it() -> None:
    log = CountsReads()
    journal, folded = journal_of(log), run_folded()
    journal.change(folded, lambda state: Decision((CREATED,)))
    log.reads = 0

    for key in ("a", "b", "c"):
        journal.change(folded, deciding(journal, run_commands.SetTags({key: None})))

    assert log.reads == 0
    assert folded.state is not None
    assert list(folded.state.tags) == ["a", "b", "c"]


def held_before_a_rival(log: EventLog) -> tuple[Journal, StreamState[RunState | None]]:
    """A run at version 1, of which version 2 is in the log already."""
    journal, folded = journal_of(log), run_folded()
    journal.change(folded, lambda state: Decision((CREATED,)))
    journal_of(log, "rival").append([Pending("run/r", 2, tag("theirs"))])
    return journal, folded


def test_what_an_old_state_refuses_is_decided_on_the_newest(log: EventLog) -> None:
    journal, folded = held_before_a_rival(log)

    def decide(state: RunState | None) -> Decision:
        assert state is not None
        if state.version == 1:
            raise InvalidInput("not as it is held")
        return Decision((tag("ours"),))

    journal.change(folded, decide)

    assert folded.state is not None
    assert list(folded.state.tags) == ["theirs", "ours"]


def test_what_changes_nothing_of_an_old_state_is_decided_on_the_newest(log: EventLog) -> None:
    journal, folded = held_before_a_rival(log)

    def decide(state: RunState | None) -> Decision:
        assert state is not None
        return Decision() if state.version == 1 else Decision((tag("ours"),))

    journal.change(folded, decide)

    assert folded.state is not None
    assert list(folded.state.tags) == ["theirs", "ours"]


def test_who_was_slower_reads_before_the_next_change_and_not_before_the_one_after() -> None:
    log = CountsReads()
    ours, theirs = run_folded(), run_folded()
    journal, rival = journal_of(log), journal_of(log, "rival")
    journal.change(ours, lambda state: Decision((CREATED,)))
    rival.change(theirs, lambda state: Decision((tag("theirs"),)))

    def reads(key: str) -> int:
        log.reads = 0
        journal.change(ours, lambda state: Decision((tag(key),)))
        return log.reads

    assert reads("lost at first") == 1
    assert reads("read first") == 1
    assert reads("alone again") == 0


def test_a_change_that_turns_out_to_be_none_leaves_no_trace(log: EventLog) -> None:
    journal_of(log).append([Pending("run/r", 1, CREATED)])
    ours, journal = run_folded(), journal_of(log, "ours")
    journal.refresh(ours)
    journal_of(log, "rival").append([Pending("run/r", 2, tag("a"))])
    size = log.head().size

    journal.change(ours, deciding(journal, run_commands.SetTags({"a": None})))

    assert log.head().size == size
    journal.change(ours, deciding(journal, run_commands.SetTags({"b": None})))
    assert story(log, writer_stream(journal.writer_id)) == ["writer.opened"]


def test_after_three_lost_rounds_it_decides_inside_the_transaction() -> None:
    log, journal, folded = contested(*[tag(f"rival{n}") for n in range(10)])

    facts = journal.change(folded, lambda state: Decision((tag("ours"),)))

    assert log.appends == 3
    assert len(log.rivals) == 7
    assert [fact.version for fact in facts] == [5]
    assert folded.version == 5
    assert folded.state is not None
    assert list(folded.state.tags) == ["rival0", "rival1", "rival2", "ours"]
    check_head(log)


def test_values_go_along_when_it_decides_inside_the_transaction() -> None:
    log, journal, folded = contested(tag("a"), tag("b"), tag("c"))
    values = values_of(journal)

    facts = journal.change(folded, lambda state: Decision((tag("ours"),)), values=Batch(values))

    assert [fact.topic for fact in facts] == ["run.tag_set"]
    assert [row.topic for row in all_rows(log)][-2:] == ["run.values_logged", "run.tag_set"]
    assert folded.version == 5


def test_a_refusal_inside_the_transaction_is_written_and_raised() -> None:
    log, journal, folded = contested(
        tag("a"), tag("b"), PropertyAdded(key="lr", value="theirs"), tag("never")
    )

    with pytest.raises(PropertyConflict, match=r"set by rival@node1 \(pid 7\)"):
        add(journal, folded, lr="ours")

    assert story(log)[-2:] == ["run.property_added", "run.change_refused"]
    assert folded.version == len(story(log))


def test_nothing_to_do_inside_the_transaction_writes_nothing() -> None:
    log, journal, folded = contested(tag("a"), tag("b"), PropertyAdded(key="lr", value="0.1"))
    add(journal, folded, lr="0.1")
    assert story(log)[-1] == "run.property_added"
    assert folded.state is not None
    assert folded.state.properties["lr"].value == "0.1"


def test_a_lost_acknowledgement_inside_the_transaction_is_a_success() -> None:
    class Both(Contested):
        def append_decided(
            self,
            decide: Callable[[ReadStream], Sequence[NewEvent]],
            *,
            drained: Drained | None = None,
        ) -> tuple[StoredRow, ...]:
            rows = super().append_decided(decide, drained=drained)
            if any(row.topic == "run.property_added" for row in rows) and self.decided < 5:
                raise OperationalError("lost")
            return rows

    log = Both()
    journal = journal_of(log)
    folded = run_folded()
    journal.change(folded, lambda state: Decision((CREATED,)))
    log.rivals = [tag("a"), tag("b"), tag("c")]
    log.decided = 0

    add(journal, folded, lr="0.1")

    assert story(log).count("run.property_added") == 1
    assert folded.version == len(story(log)) == 5


def test_a_decision_is_never_appended_behind_a_state_that_it_was_not_made_on() -> None:
    """Two threads share a run object: one decides while the other changes the run."""
    log, journal, folded = contested()
    first = True

    def decide(state: RunState | None) -> Decision:
        nonlocal first
        if first:
            first = False
            add(journal, folded, lr="theirs")
        return run.decide(state, run_commands.AddProperties({"lr": "ours"}), journal.writer_id)

    with pytest.raises(PropertyConflict):
        journal.change(folded, decide)

    assert story(log) == ["run.created", "run.property_added", "run.change_refused"]
    assert folded.state is not None
    assert folded.state.properties["lr"].value == "theirs"


def test_threads_that_share_a_run_object_lose_no_change(log: EventLog) -> None:
    journal = journal_of(log)
    folded = run_folded()
    journal.change(folded, lambda state: Decision((CREATED,)))

    def set_tags(thread: int) -> None:
        for n in range(20):
            command = run_commands.SetTags({f"{thread}-{n}": str(n)})
            journal.change(folded, deciding(journal, command))

    threads = [threading.Thread(target=set_tags, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)

    state = journal.refresh(folded)
    assert state is not None
    assert len(state.tags) == 80
    assert state == fold(None, journal.facts("run/r"))
    assert state.version == 81


# --- refusals, values ---------------------------------------------------------------------


def values_of(journal: Journal, version: int = 1) -> list[Pending]:
    batch = batch_of(journal.writer_id, 0, [Record(Series("loss"), 0, 0, 1.0)])
    return [Pending(values_stream("r", journal.writer_id), version, batch)]


def test_a_refused_change_is_written_and_then_raised(log: EventLog) -> None:
    journal = journal_of(log)
    folded = run_folded()
    journal.change(folded, lambda state: Decision((CREATED,)))
    journal.change(folded, deciding(journal, run_commands.ChangeStatus(Status.COMPLETED)))

    with pytest.raises(RunEnded):
        journal.change(folded, deciding(journal, run_commands.ChangeStatus(Status.FAILED)))
    with pytest.raises(RunEnded):
        journal.change(folded, deciding(journal, run_commands.ChangeStatus(Status.FAILED)))

    assert story(log) == ["run.created", "run.completed", "run.change_refused"]
    assert folded.version == 3


def test_a_conflict_names_who_holds_the_value(log: EventLog) -> None:
    bob = journal_of(log, "bob")
    bob.change(run_folded(), lambda state: Decision((CREATED, PropertyAdded(key="k", value="1"))))
    with pytest.raises(PropertyConflict, match=r"set by bob@node1 \(pid 7\)"):
        add(journal_of(log), run_folded(), k="2")


def test_invalid_input_writes_nothing(log: EventLog) -> None:
    journal = journal_of(log)
    folded = run_folded()
    journal.change(folded, lambda state: Decision((CREATED,)))
    before = log.head()

    with pytest.raises(InvalidInput):
        journal.change(
            folded,
            deciding(journal, run_commands.SetTags({"": "x"})),
            values=Batch(values_of(journal)),
        )

    assert log.head() == before


def test_values_stand_before_the_decided_events_in_one_transaction(log: EventLog) -> None:
    journal = journal_of(log)
    folded = run_folded()
    journal.change(folded, lambda state: Decision((CREATED,)))

    facts = journal.change(
        folded,
        deciding(journal, run_commands.ChangeStatus(Status.COMPLETED)),
        values=Batch(values_of(journal)),
    )

    assert [fact.topic for fact in facts] == ["run.completed"]
    assert [row.topic for row in all_rows(log)][-2:] == ["run.values_logged", "run.completed"]
    assert folded.version == 2


def test_values_are_written_where_nothing_else_is_or_where_the_change_is_refused(
    log: EventLog,
) -> None:
    journal = journal_of(log)
    folded = run_folded()
    journal.change(folded, lambda state: Decision((CREATED,)))
    complete = deciding(journal, run_commands.ChangeStatus(Status.COMPLETED))
    journal.change(folded, complete)

    assert journal.change(folded, complete, values=Batch(values_of(journal, 1))) == ()
    with pytest.raises(RunEnded):
        journal.change(
            folded,
            deciding(journal, run_commands.ChangeStatus(Status.FAILED)),
            values=Batch(values_of(journal, 2)),
        )

    stream = values_stream("r", journal.writer_id)
    assert story(log, stream) == ["run.values_logged", "run.values_logged"]
    assert folded.version == 3


# --- folding on ---------------------------------------------------------------------------


def test_a_folded_stream_reads_only_what_is_new(log: EventLog) -> None:
    journal, rival = journal_of(log), journal_of(log)
    ours, theirs = run_folded(), run_folded()
    journal.change(ours, lambda state: Decision((CREATED,)))
    seen: list[int] = []

    def counting(state: RunState | None, facts: Sequence[object]) -> RunState | None:
        seen.append(len(facts))
        return fold(state, facts)  # type: ignore[arg-type]  # Counts first, and so asks for a Sequence.

    reader = StreamState("run/r", counting, None)  # type: ignore[arg-type]  # As above.
    journal.refresh(reader)
    add(rival, theirs, a="1")
    add(rival, theirs, b="2")
    state = journal.refresh(reader)
    journal.refresh(reader)

    assert seen == [1, 2]
    assert state is not None
    assert set(state.properties) == {"a", "b"}
    assert (reader.version, reader.stream) == (3, "run/r")


# --- decisions beside values --------------------------------------------------------------------


def beside(known: StreamState[list[str]], topic: str = "run.tag_set") -> Beside:
    """A tag for the run, unless it has an event of the topic already."""
    tag = TagSet(key="beside", value=None)
    return Beside(known, lambda topics: Decision(() if topic in topics else (tag,)))


def topics_known(stream: str) -> StreamState[list[str]]:
    return StreamState(stream, lambda state, facts: [*state, *(f.topic for f in facts)], [])


def test_events_decided_beside_values_come_before_them_in_one_commit(log: EventLog) -> None:
    journal = journal_of(log)
    journal.append([Pending("run/r", 1, CREATED)])
    known = topics_known("run/r")
    journal.refresh(known)
    values = Pending("run/r/values/w", 1, TagSet(key="stands for values", value=None))
    journal.write(Batch([values], None, [beside(known)]))
    assert [row.stream for row in all_rows(log)][-2:] == ["run/r", "run/r/values/w"]
    assert known.state == ["run.created", "run.tag_set"]
    journal.write(Batch([values._replace(version=2)], None, [beside(known)]))
    assert known.version == 2


def test_a_decision_beside_values_is_made_again_if_another_writer_was_faster(log: EventLog) -> None:
    journal = journal_of(log)
    journal.append([Pending("run/r", 1, CREATED)])
    known = topics_known("run/r")
    journal.refresh(known)
    journal.append([Pending("run/r", 2, TagSet(key="k", value=None))])
    values = Pending("run/r/values/w", 1, TagSet(key="stands for values", value=None))
    journal.write(Batch([values], None, [beside(known)]))
    streams = [row.stream for row in all_rows(log)]
    assert streams[-3:] == ["run/r", "run/r", "run/r/values/w"]


def test_values_whose_version_is_taken_are_refused_whatever_is_decided_beside_them(
    log: EventLog,
) -> None:
    journal = journal_of(log)
    journal.append([Pending("run/r", 1, CREATED)])
    known = topics_known("run/r")
    journal.refresh(known)
    taken = Pending("run/r", 1, CREATED)
    with pytest.raises(VersionConflict):
        journal.write(Batch([taken], None, [beside(known)]))
    assert len(all_rows(log)) == 2  # The introduction and the creation.


def test_a_reason_belongs_to_the_change_and_not_to_what_is_decided_beside_it(log: EventLog) -> None:
    journal = journal_of(log)
    for run_id in ("r", "s"):
        created = RunCreated.of_stored({**vars(CREATED), "run_id": run_id})
        journal.append([Pending(f"run/{run_id}", 1, created)])
    known, changed = topics_known("run/r"), topics_known("run/s")
    journal.refresh(known)
    batch = Batch((), None, [beside(known)])
    tag = Decision((TagSet(key="k", value=None),))
    journal.change(changed, lambda _: tag, values=batch, reason="as asked")
    reasons = {fact.stream: fact.reason for fact in map(fact_of, all_rows(log))}
    assert reasons["run/s"] == "as asked"
    assert reasons["run/r"] is None


class ReadsOfOneRun(MemoryLog):
    """How often a stream was read."""

    reads = 0

    def read_stream(
        self, stream: str, *, after_version: int = 0, upto_position: int | None = None
    ) -> Sequence[StoredRow]:
        self.reads += stream == run_stream("r")
        return super().read_stream(stream, after_version=after_version, upto_position=upto_position)


def test_a_fresh_stream_is_read_only_if_somebody_else_has_it() -> None:
    log = ReadsOfOneRun()
    journal = journal_of(log)
    first, second = run_folded(), run_folded()
    first.is_fresh = second.is_fresh = True

    journal.change(first, lambda state: Decision(() if state else (CREATED,)))
    assert log.reads == 0
    journal.change(second, lambda state: Decision(() if state else (CREATED,)))

    assert log.reads == 1
    assert story(log) == ["run.created"]
    assert second.version == 1
