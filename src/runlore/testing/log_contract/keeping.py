"""What a log keeps beside its events, and that it verifies."""

from __future__ import annotations

import pytest

from runlore.storage.errors import VersionConflict
from runlore.storage.event_log import (
    Drained,
    DrainedMark,
    EventLog,
)
from runlore.storage.verification import verify_log
from runlore.testing.log_contract.basis import LogContract
from runlore.testing.logs import (
    new_event,
    new_events,
)


class KeepingContract(LogContract):
    """Tests of drained marks, of the erasable kind, and of verification."""

    # --- spools -------------------------------------------------------------------------------

    def test_how_far_a_spool_is_drained_is_kept_with_the_events_that_say_so(
        self, log: EventLog
    ) -> None:
        assert log.drained_marks() == {}
        log.append([new_event("run/r", 1)])
        log.append([new_event("run/r/values/w", 1)], drained=Drained("w", 3, 40))
        log.append_decided(
            lambda _: [new_event("run/r/values/v", n) for n in (1, 2)], drained=Drained("v", 1, 5)
        )
        log.append([new_event("run/r/values/w", 2)], drained=Drained("w", 4, 0))
        assert log.drained_marks() == {
            "v": DrainedMark(1, 5, log.head().position - 1),
            "w": DrainedMark(4, 0, log.head().position),
        }

    def test_a_mark_of_events_that_were_refused_is_not_kept(self, log: EventLog) -> None:
        log.append([new_event("run/r/values/w", 1)], drained=Drained("w", 1, 1))
        with pytest.raises(VersionConflict):
            log.append([new_event("run/r/values/w", 1)], drained=Drained("w", 1, 9))
        assert log.drained_marks()["w"][:2] == (1, 1)

    # --- erasing ------------------------------------------------------------------------------

    def test_a_log_says_whether_it_is_erasable(self, log: EventLog) -> None:
        assert log.erasable is self.is_erasable
        assert log.last_erasure() == 0
        if not log.erasable:
            with pytest.raises(NotImplementedError, match="not erasable"):
                log.key_of("r")

    # --- verification -------------------------------------------------------------------------

    def test_a_log_verifies(self, log: EventLog) -> None:
        log.append(new_events("run/a", range(1, 6)))
        log.append([new_event("run/b", 1)])

        found = verify_log(log)

        assert found.findings == ()
        assert (found.size, found.root) == (6, log.head().frontier.root)
