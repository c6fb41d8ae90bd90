"""The process that watches a pool's slots for a user whose runs wait for those of other users.

    python -m runlore.entry.queue_watch <uri> <pool> <lock fd>

It is started detached (`execution.launch`), holds the lock of the user's watch, and ends when it is
not needed any more.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing

from runlore.entry.wiring import open_existing
from runlore.execution.targets.pool import Pool
from runlore.storage.open_log import locate


def main(arguments: list[str]) -> None:
    """Start the user's queued runs as slots get free."""
    uri, name, lock_fd = arguments
    os.set_inheritable(int(lock_fd), False)
    with closing(open_existing(locate(uri))) as session:
        pool = Pool.of(session, name)
        if pool is not None:
            pool.watch(int(lock_fd))


if __name__ == "__main__":
    main(sys.argv[1:])
