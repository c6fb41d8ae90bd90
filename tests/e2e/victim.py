"""A process that changes a run as fast as it can and says what returned, until it is killed.

    python -m tests.e2e.victim FOLDER RUN_ID POINT NUMBER

With POINT `before`, `inside` or `after` it kills itself at that point of its NUMBER-th append:
before the transaction, between its rows and its commit, or between its commit and the return.
With POINT `never` somebody else kills it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from itertools import count
from typing import Any

from runlore import Workspace
from runlore.storage.event_log import Drained, NewEvent, StoredRow
from runlore.storage.sqlite_log import SqliteLog
from runlore.storage.stamp import Stamped
from runlore.workspace import session_of


class Doomed(SqliteLog):
    """A log that ends its process at one point of one append."""

    point = "never"
    left = 0

    def append(
        self, events: Sequence[NewEvent], *, drained: Drained | None = None
    ) -> tuple[StoredRow, ...]:
        type(self).left -= 1
        self._die_if("before")
        rows = super().append(events, drained=drained)
        self._die_if("after")
        return rows

    def _insert(self, connection: sqlite3.Connection, stamped: Stamped) -> None:
        super()._insert(connection, stamped)
        self._die_if("inside")

    def _die_if(self, point: str) -> None:
        if self.left == 0 and self.point == point:
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: str, run_id: str, point: str, number: int) -> None:
    workspace = Workspace.open(folder)
    log: Any = session_of(workspace).log
    log.__class__ = Doomed
    Doomed.point, Doomed.left = point, number
    run = workspace.get_run(run_id)
    for change in count():
        run.tag(f"{os.getpid()}-{change}", str(change))
        run.add_properties({f"{os.getpid()}-{change}": "p"})
        child = run.child_run() if change % 5 == 0 else None
        os.write(1, f"{change} {child.id if child else '-'}\n".encode())
        if change % 7 == 0:
            list(run.get_children())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
