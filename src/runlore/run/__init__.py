"""A run, in its parts."""

from runlore.run.run import Run as Run
from runlore.run.run import ScriptRun as ScriptRun
from runlore.run.run import get_run as get_run

for public in (Run, ScriptRun, get_run):
    public.__module__ = __name__  # The public path, for pickles and reprs.
del public
