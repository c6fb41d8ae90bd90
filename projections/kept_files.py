"""The files of runs whose content is kept in the artifact store."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple


class KeptFile(NamedTuple):
    """A file with its digest and size, the time since which it is kept, and its run's status."""

    run_id: str
    name: str
    sha256: str
    nbytes: int
    kept_at: datetime
    status: str


KEPT: Final = """
SELECT a.run_id, a.name, a.sha256, a.nbytes, a.set_at, r.status
FROM artifacts a JOIN runs r USING (run_id)
WHERE a.uri IS NULL AND a.sha256 IS NOT NULL AND a.pruned_at IS NULL
  AND ($1 IS NULL OR r.experiment = $1)
"""
"""The query for them over the views, of one experiment if its name is given, in no order."""
