"""Only `make test-slurm` collects these tests: they need its cluster."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("RUNLORE_TEST_SLURM") else ["test_*.py"]
