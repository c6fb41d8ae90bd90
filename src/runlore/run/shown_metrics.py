"""A run's metrics as Azure ML shows them: `{name: value}`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from runlore.domain.system_metrics import PREFIX, is_sampled
from runlore.engine.runs.files import open_file
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.metric_reads import metrics_of
from runlore.engine.runs.metric_values import ARTIFACT_KINDS, MetricValues
from runlore.storage.collector import collector_paused

_ADDRESS: Final = "aml://artifactId/ExperimentRun/dcid."


def address_of(run_id: str, file: str) -> str:
    """The value logged for a metric that is a file of the run."""
    return f"{_ADDRESS}{run_id}/{file}"


def shown_metrics(run: RunHandle, name: str | None, *, populate: bool) -> dict[str, Any]:
    """The logged metrics, or the one named; `populate` gives files their content (bytes, dict)."""
    with collector_paused():
        return {
            metric.name: _populated(run, metric)
            if populate and metric.kind in ARTIFACT_KINDS
            else metric.as_azure()
            for metric in metrics_of(run, name).values()
            if name is not None or not is_sampled(metric.name)
        }


def system_metrics(run: RunHandle) -> dict[str, Sequence[Any]]:
    """The values of the metrics that runlore sampled, by their names without the prefix."""
    return {
        metric.name.removeprefix(PREFIX): metric.values.tolist()
        for metric in metrics_of(run).values()
        if is_sampled(metric.name)
    }


def _populated(run: RunHandle, metric: MetricValues) -> Any:
    contents = []
    for address in metric.values.tolist():
        with open_file(run, address.removeprefix(address_of(run.id, ""))) as file:
            content = file.read()
        contents.append(content if metric.kind == "image" else json.loads(content))
    return contents[0] if len(contents) == 1 else contents
