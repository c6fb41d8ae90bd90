"""The contract suite of recorders: what `EventLog` promises, sentence by sentence.

A test module of any package subclasses it and says how its log is made:

    class TestMyLog(EventLogContract):
        @pytest.fixture
        def log(self, clock: Clock, tmp_path: Path) -> Iterator[EventLog]:
            log = MyLog(tmp_path, clock=clock)
            yield log
            log.close()

A log whose runs can be erased takes `ErasableLogContract` of `erasable_recorders` instead. Tests
that fork have the mark `processes`; register it in the settings of pytest.
"""

from __future__ import annotations

from runlore.testing.log_contract.appending import AppendingContract
from runlore.testing.log_contract.deciding import DecidingContract
from runlore.testing.log_contract.keeping import KeepingContract
from runlore.testing.log_contract.reading import ReadingContract
from runlore.testing.log_contract.sharing import SharingContract
from runlore.testing.log_contract.times import TimesContract


class EventLogContract(
    AppendingContract,
    DecidingContract,
    ReadingContract,
    TimesContract,
    SharingContract,
    KeepingContract,
):
    """Tests of the contract of `EventLog`; a subclass overrides the fixture `log`."""
