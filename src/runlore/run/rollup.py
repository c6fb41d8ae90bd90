"""A run and all below it, summed up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runlore.run.part import RunPart

if TYPE_CHECKING:
    from runlore.projections.rollups import Rollup


class RunRollup(RunPart):
    """The part of `Run` that sums up its subtree."""

    def rollup(self, metric: str | None = None, mode: str = "max") -> Rollup:
        """The run and all runs below it, summed up: numbers by status, the worst status, times.

        With a metric, `best` is its greatest finite value, or with `mode="min"` the least, with the
        run and the step; of equal values that of the newest run. Statuses are those recorded. The
        views `run_rollup` and `metric_rollup` show the same of all runs.

        >>> from runlore import init
        >>> with init("sweeps", workspace=getfixture("tmp_path") / "lab") as sweep:
        ...     for accuracy in (0.7, 0.9):
        ...         with sweep.child_run(f"reach {accuracy}") as child:
        ...             child.log("val/acc", accuracy)
        >>> found = sweep.rollup("val/acc")
        >>> found.runs, found.statuses, found.worst_status, found.best.value
        (3, {'Completed': 3}, 'Completed', 0.9)
        """
        return self._session.reader().rollup(self._id, metric, mode)
