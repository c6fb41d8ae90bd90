"""What a run logged beside numbers: tables, images, and documents such as confusion matrices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from runlore.domain.errors import InvalidInput
from runlore.domain.fact import utc_time
from runlore.engine.runs.files import open_file
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.metric_reads import metrics_of
from runlore.engine.runs.metric_values import ARTIFACT_KINDS, MetricValues

IMAGE: Final = "image"
ROW: Final = "row"
DOCUMENT_MAX_NBYTES: Final = 1_000_000


class LoggedFile(NamedTuple):
    """A file that was logged under a metric: its name in the run, the step, and when (UTC)."""

    file: str
    step: int
    time: Any


class Page(NamedTuple):
    """Rows of a table: the names of its columns, each column's values, and how many rows it has."""

    columns: Sequence[str]
    data: Sequence[Sequence[Any]]
    total: int


def kinds_of(run: RunHandle) -> dict[str, str]:
    """The kind of each metric, by name, in the order of their first values."""
    return {name: metric.kind for name, metric in metrics_of(run).items()}


def files_logged(run: RunHandle, kinds: frozenset[str]) -> dict[str, list[LoggedFile]]:
    """The files of the metrics of such kinds, in the order of logging; those of other runs not."""
    return {
        name: list(_files_of(run, metric))
        for name, metric in metrics_of(run).items()
        if metric.kind in kinds
    }


def images_of(run: RunHandle) -> dict[str, list[LoggedFile]]:
    """The files of each metric that `log_image` made."""
    return files_logged(run, frozenset({IMAGE}))


def documents_of(run: RunHandle, name: str) -> tuple[str, list[Any]]:
    """The kind of a metric that is made of documents, and their content in the order of logging.

    Raises InvalidInput if it is not, or if a document is longer than 1 MB or no JSON: the files may
    be a stranger's.
    """
    metric = _metric(run, name)
    if metric.kind not in ARTIFACT_KINDS - {IMAGE}:
        raise InvalidInput(f"metric {name!r:.80} of run {run.id} is a {metric.kind}, no document")
    return metric.kind, [_document(run, one.file) for one in _files_of(run, metric)]


def table_of(run: RunHandle, name: str, offset: int, limit: int) -> Page:
    """Rows of a metric that is a table. Raises InvalidInput if it is none."""
    metric = _metric(run, name)
    if metric.kind != ROW:
        raise InvalidInput(f"metric {name!r:.80} of run {run.id} is a {metric.kind}, no table")
    rows = slice(offset, offset + limit)
    return Page(
        list(metric.columns),
        [column[rows].tolist() for column in metric.columns.values()],
        len(metric),
    )


def _metric(run: RunHandle, name: str) -> MetricValues:
    found = metrics_of(run, name)
    if name not in found:
        raise InvalidInput(f"run {run.id} has no metric {name!r:.80}")
    return found[name]


def _files_of(run: RunHandle, metric: MetricValues) -> Sequence[LoggedFile]:
    kept: Mapping[str, Any] = run.fetch().artifacts
    return [
        LoggedFile(name, step, utc_time(time))
        for address, step, time in zip(
            metric.values.tolist(),
            metric.steps.tolist(),
            metric.times.astype("int64").tolist(),
            strict=True,
        )
        # Addresses are `aml://artifactId/ExperimentRun/dcid.RUN/NAME`, and may be anybody's text.
        if (name := str(address).partition(f".{run.id}/")[2]) in kept
    ]


def _document(run: RunHandle, name: str) -> Any:
    with open_file(run, name) as file:
        content = file.read(DOCUMENT_MAX_NBYTES + 1)
    if len(content) > DOCUMENT_MAX_NBYTES:
        raise InvalidInput(
            f"{name!r:.80} of run {run.id} is too long to be shown, more than "
            f"{DOCUMENT_MAX_NBYTES:,} bytes; download it"
        )
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name!r:.80} of run {run.id} is no JSON: {error}") from error
