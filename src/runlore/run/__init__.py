"""A run, in its parts."""

from runlore.run.run import Run as Run
from runlore.run.run import get_run as get_run
