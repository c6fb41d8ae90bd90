"""What the system said of a file, behind an error of DuckDB."""

from __future__ import annotations

import errno
import os

from runlore.projections.driver import duckdb
from runlore.storage.system_errors import Fault, fault_of


def as_the_system_says_it(error: duckdb.IOException) -> OSError:
    """The system's error behind one of DuckDB about a file, which quotes its text."""
    text = str(error)
    found = next((code for code in errno.errorcode if os.strerror(code) in text), errno.EIO)
    return OSError(found, os.strerror(found))


def fault_in(error: duckdb.Error) -> Fault | None:
    """The fault of the system behind an error of DuckDB, if it names one."""
    text = str(error)
    named = (fault_of(OSError(code, "")) for code in errno.errorcode if os.strerror(code) in text)
    return next((fault for fault in named if fault is not None), None)
