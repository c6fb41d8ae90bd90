"""Azure's `azureml.core.compute`: the names of compute targets."""

from __future__ import annotations

from typing import ClassVar

from runlore.compute_target import ComputeTarget as ComputeTarget
from runlore.compute_target import ComputeTargetException as ComputeTargetException
from runlore.out_of_scope import _Uncovered


class AmlCompute(metaclass=_Uncovered):
    """Not covered: runlore makes no machines."""

    what: ClassVar[str] = "managed clusters"
    instead: ClassVar[str] = "run your script where you are, with experiment.start_logging()"
