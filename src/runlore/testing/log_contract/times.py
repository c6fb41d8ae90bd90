"""What the head and the times promise, whatever the clock does."""

from __future__ import annotations

from random import Random
from typing import Final

import msgpack
import pytest

from runlore.domain.errors import MomentInFuture
from runlore.storage.event_log import (
    EventLog,
)
from runlore.storage.log_head import LogHead
from runlore.storage.stamp import observed_at
from runlore.storage.verification import verify_log
from runlore.testing.log_contract.basis import LogContract
from runlore.testing.logs import (
    NOON,
    Clock,
    all_rows,
    check_head,
    new_event,
    new_events,
)

HOUR: Final = 3_600_000_000
TEN_YEARS: Final = 3_650 * 24 * HOUR


class TimesContract(LogContract):
    """Tests of `head`, `position_at` and settled times."""

    def test_an_empty_log_has_an_empty_head(self, log: EventLog) -> None:
        assert log.head() == LogHead()
        assert (log.head().position, log.head().size) == (0, 0)

    def test_the_head_equals_what_the_leaves_of_all_rows_give(self, log: EventLog) -> None:
        for n in range(1, 34):
            log.append(new_events(f"run/{n % 3}", range(n * 10, n * 10 + n % 4)))
            check_head(log)
        assert log.head().size == len(all_rows(log))

    def test_times_never_decrease_when_the_clock_jumps_back(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append([new_event("run/a", 1)])
        clock.now = NOON - 3_600_000_000
        log.append(new_events("run/a", [2, 3]))
        clock.now = NOON + 5
        log.append([new_event("run/a", 4)])

        rows = all_rows(log)

        assert [row.recorded_at for row in rows] == [NOON, NOON, NOON, NOON + 5]
        assert [msgpack.unpackb(row.metadata or b"").get("observed_at") for row in rows] == [
            None,
            NOON - 3_600_000_000,
            NOON - 3_600_000_000,
            None,
        ]
        check_head(log)

    def test_the_position_at_a_time_is_the_last_observed_until_then(
        self, log: EventLog, clock: Clock
    ) -> None:
        assert log.position_at(NOON) == 0
        first = log.append(new_events("run/a", [1, 2]))
        clock.now += 10
        second = log.append(new_events("run/a", [3, 4]))

        assert log.position_at(NOON - 1) == 0
        assert log.position_at(NOON) == first[-1].position
        assert log.position_at(NOON + 9) == first[-1].position
        assert log.position_at(NOON + 10) == second[-1].position
        assert log.position_at(NOON + 10**12) == second[-1].position

    @pytest.mark.filterwarnings("ignore:this machine's clock says:RuntimeWarning")
    def test_an_event_of_a_clock_ten_years_ahead_counts_from_the_next_one_on(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now = NOON + TEN_YEARS
        ahead = log.append(new_events("run/b", [1, 2]))
        clock.now = NOON + 20
        assert log.position_at(NOON + 20) == 1
        assert log.position_at(NOON + TEN_YEARS) == ahead[-1].position

        [after] = log.append(new_events("run/a", [2]))

        assert after.recorded_at == NOON + TEN_YEARS
        assert observed_at(after) == NOON + 20
        assert log.position_at(NOON + 19) == 1
        assert log.position_at(NOON + 20) == after.position
        assert log.position_at(NOON + TEN_YEARS) == after.position
        check_head(log)

    @pytest.mark.filterwarnings("ignore:this machine's clock says:RuntimeWarning")
    def test_answers_as_of_settled_times_are_those_of_the_definition_for_ever(
        self, log: EventLog, clock: Clock
    ) -> None:
        """Against a model: the definition in `runlore.storage.as_of_times`, event by event."""
        random = Random(13)
        hosts = [0, 3, -40, TEN_YEARS, -TEN_YEARS]  # What each host's clock is off by.
        now, count, settled = NOON, 0, 0
        as_of: list[int] = []  # Of each event.
        answers: dict[int, int] = {}

        def model(time: int) -> int:
            return max((p for p, since in enumerate(as_of, 1) if since <= time), default=0)

        for _ in range(150):
            now += random.choice((0, 0, 1, 5))
            clock.now = now + random.choice(hosts)
            events = random.randint(1, 3)
            rows = log.append(new_events("run/a", range(count + 1, count + events + 1)))
            count += events
            as_of += [max(clock.now, settled + 1)] * events
            assert [observed_at(row) for row in rows] == [clock.now] * events

            clock.now = now + random.choice((0, 3, -40))
            times = [now - random.choice((0, 1, 4, 30)), random.choice((NOON, now)) - TEN_YEARS]
            asked = random.choice([*times, None, None, None])
            if asked is not None and asked <= clock.now:
                log.settle(asked)
                settled = max(settled, asked)
                answers.setdefault(asked, model(asked))
            for time in (*times, now + TEN_YEARS, *answers):
                assert log.position_at(time) == model(time)
            assert {time: log.position_at(time) for time in answers} == answers

        assert len(answers) > 20
        assert len(set(answers.values())) > 10
        check_head(log, settled_until=settled)
        assert verify_log(log, clock=lambda: now + TEN_YEARS).findings == ()

    def test_what_was_until_a_settled_time_never_changes_though_clocks_are_behind(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now = NOON + 100
        log.settle(NOON + 60)
        answers = [log.position_at(NOON + later) for later in range(61)]

        clock.now = NOON + 30  # Another host's, say.
        [row] = log.append(new_events("run/a", [2]))

        assert row.recorded_at == NOON + 61
        assert observed_at(row) == NOON + 30
        assert [log.position_at(NOON + later) for later in range(61)] == answers

    def test_a_time_at_which_something_was_observed_is_settled_so_that_nothing_joins_it(
        self, log: EventLog, clock: Clock
    ) -> None:
        [first] = log.append(new_events("run/a", [1]))
        log.settle(NOON)

        [second] = log.append(new_events("run/a", [2]))

        assert second.recorded_at == NOON + 1
        assert observed_at(second) == NOON
        assert log.position_at(NOON) == first.position

    def test_a_time_before_a_settled_one_is_settled_already(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        log.settle(NOON)
        head = log.head()
        clock.now = NOON - 10  # It jumped back: even so NOON - 1 is over, as far as the log goes.

        log.settle(NOON - 1)

        assert log.head() == head

    def test_a_time_that_has_not_passed_cannot_be_settled(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        head = check_head(log)

        with pytest.raises(MomentInFuture, match="has not passed"):
            log.settle(NOON + 1)

        assert log.head() == head

    @pytest.mark.filterwarnings("ignore:this machine's clock says:RuntimeWarning")
    def test_a_time_before_the_last_event_has_passed_even_if_this_clock_is_slow(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now = NOON - 10

        log.settle(NOON - 1)

        clock.now = NOON + TEN_YEARS
        log.append(new_events("run/a", [2]))
        clock.now = NOON + 5
        with pytest.raises(MomentInFuture, match="has not passed"):
            log.settle(NOON + TEN_YEARS - 1)  # It would bind all writers for ten years.

    def test_a_clock_that_is_days_behind_the_last_event_warns_once_and_is_not_refused(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now -= 23 * HOUR
        log.append(new_events("run/a", [2]))
        clock.now -= 100 * HOUR

        with pytest.warns(RuntimeWarning, match="4 days behind the clock") as warned:
            log.append(new_events("run/a", [3]))
        log.append(new_events("run/a", [4]))
        clock.now -= 100 * HOUR
        log.append(new_events("run/a", [5]))

        assert len(warned) == 1
        assert len(all_rows(log)) == 5

    def test_a_clock_after_a_rest_of_months_does_not_warn_but_after_one_of_ten_years(
        self, log: EventLog, clock: Clock
    ) -> None:
        log.append(new_events("run/a", [1]))
        clock.now += 9_000 * HOUR
        log.append(new_events("run/a", [2]))
        clock.now += TEN_YEARS
        with pytest.warns(RuntimeWarning, match="days ahead of the clock"):
            log.append(new_events("run/a", [3]))
