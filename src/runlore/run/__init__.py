"""A run, in its parts."""

from runlore.azure.run_status import POST_PROCESSING_STATES as POST_PROCESSING_STATES
from runlore.azure.run_status import RUNNING_STATES as RUNNING_STATES
from runlore.azure.run_status import RunStatus as RunStatus
from runlore.run.run import OfflineRun as _OfflineRun
from runlore.run.run import RegisteredModel as RegisteredModel
from runlore.run.run import Run as Run
from runlore.run.run import ScriptRun as ScriptRun
from runlore.run.run import get_run as get_run

for public in (RegisteredModel, Run, ScriptRun, _OfflineRun, get_run):
    public.__module__ = __name__  # The public path, for pickles and reprs.
del public
