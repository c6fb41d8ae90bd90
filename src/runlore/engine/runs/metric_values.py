"""The values logged under one metric name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ARTIFACT_KINDS = frozenset(
    {"image", "confusion_matrix", "accuracy_table", "residuals", "predictions"}
)


@dataclass(frozen=True, slots=True)
class MetricValues:
    """All values of a metric in the order in which they were logged.

    `steps` has shape (n,) and dtype int64, `times` shape (n,) and dtype datetime64[us] (UTC),
    each of `columns` shape (n,): float64 or int64 if all values are, else object. A row without a
    column has None there. `kind` is `scalar`, `row` or that of an artifact.
    """

    name: str
    kind: str
    steps: NDArray[np.int64]
    times: NDArray[np.datetime64]
    columns: dict[str, NDArray[Any]]

    @property
    def values(self) -> NDArray[Any]:
        """The values of a scalar metric; of a table, its first column."""
        return next(iter(self.columns.values()))

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """`steps, times, values = run.values(name)`."""
        return iter((self.steps, self.times, self.values))

    def _repr_html_(self) -> str:
        """The first and the last values, as a table of a notebook."""
        from runlore.shown.value_tables import values_table

        return values_table(self.name, self.steps, self.times, self.columns)

    def as_azure(self) -> Any:
        """The values as `get_metrics` shows them: a single one as itself, several as a list."""
        if self.kind != "row":
            values = self.values.tolist()
            return values[0] if len(values) == 1 else values
        if len(self) == 1:
            return {name: column.tolist()[0] for name, column in self.columns.items()}
        return {name: column.tolist() for name, column in self.columns.items()}
