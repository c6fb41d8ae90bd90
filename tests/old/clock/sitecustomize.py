"""Sets the clock of every process back by two years, as old workspaces are old; see `make.py`."""

import time

_now_ns = time.time_ns
time.time_ns = lambda: _now_ns() - 2 * 365 * 86_400 * 10**9
