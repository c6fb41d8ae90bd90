"""Logging values into a run, and reading them back."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, SupportsIndex, overload

from runlore.azure.arguments import as_step
from runlore.azure.scalars import as_list, as_scalar
from runlore.domain.errors import InvalidInput, InvalidType, UserError
from runlore.domain.text import check_new_key, check_text
from runlore.engine.caller_warning import warn_caller
from runlore.run.images import drawn, file_stem, image_file, name_of_file
from runlore.run.metric_inputs import array_of, cells_of, given_step, one_dimensional, steps_of
from runlore.run.part import RunPart
from runlore.storage.interruptions import deferrable

if TYPE_CHECKING:
    from pathlib import Path

    from runlore.engine.runs.metric_values import MetricValues
    from runlore.notebook.plot import Plot
    from runlore.storage.run_values import RunValues
    from runlore.storage.spool_puts import FloatPut, FloatPutAt
    from runlore.storage.value_codec import Series

_NONE_YET: Final[Mapping[str, Any]] = MappingProxyType({})

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_FLOAT_ONLY = {float}


class RunMetrics(RunPart):
    """The part of `Run` that logs values and reads them."""

    # Class attributes until a run logs: most runs of a long list never do.
    _series: dict[str, Series] | None = None
    _run_values: RunValues | None = None
    # The functions of `_run_values` that log a float, by metric name. They save `log` a lookup.
    _puts: Mapping[str, FloatPut] = _NONE_YET
    _puts_at: Mapping[str, FloatPutAt] = _NONE_YET

    @overload
    def log(
        self, name: str, value: Any, description: str = "", step: SupportsIndex | None = None
    ) -> None: ...

    @overload
    def log(
        self,
        name: Mapping[str, Any],
        value: SupportsIndex | None = ...,
        *,
        step: SupportsIndex | None = None,
    ) -> None: ...

    def log(
        self,
        name: Any,
        value: Any = ...,
        description: str = "",
        step: SupportsIndex | None = None,
    ) -> None:
        """Log one value of a metric; several calls make a series.

        `run.log({"loss": 0.5, "acc": 0.9}, step=1)` is `run.log_metrics`.

        Numbers of any library (arrays and tensors of one element included), bools, text and None
        keep their type; NaN, infinities and whole numbers of any size keep their value. Null and
        masked cells are None. Anything else is stored as its text, with a warning. Without `step`
        this process counts: from 0 if it created the run, else on after the log's values of the
        series. The value is on disk within seconds, or after `flush()` or the run's end.

        Raises UserErrorException for a list, range or generator; InvalidInput for an invalid name.
        """
        if type(value) is not float:
            if type(name) is not str or value is ...:
                if isinstance(name, Mapping):
                    self._log_all(name, value, description, step)
                    return
                if value is ...:
                    raise InvalidType(
                        f"log of metric {name!r:.80} has no value; give it one, as in "
                        "run.log('loss', 0.5)"
                    )
            value = as_scalar(name, value)
            if type(value) is not float:
                step = as_step(name, step)
                self._values.log(self._scalar_series(name, description), value, step)
                return
        if step is None:
            try:
                put = self._puts[name]
            except (KeyError, TypeError):  # Not there yet, or not hashable.
                self._log_first(name, value, description, None)
                return
            put(value)
        else:
            if type(step) is not int or not _INT64_MIN <= step <= _INT64_MAX:
                step = given_step(name, step)
            try:
                put_at = self._puts_at[name]
            except (KeyError, TypeError):
                self._log_first(name, value, description, step)
                return
            put_at(value, step)

    def _log_first(self, name: Any, value: float, description: str, step: int | None) -> None:
        """Log a float of a metric that has no function for it: it gets one with its second value.

        Of very many metrics with one value each, the functions would be most of what Python's
        collector looks through.
        """
        is_new = self._series is None or (type(name) is str and name not in self._series)
        series = self._scalar_series(name, description)
        if is_new:
            self._values.log(series, value, step)
        elif step is None:
            self._values.put(series)(value)
        else:
            self._values.put_at(series)(value, step)

    def _log_all(
        self, metrics: Mapping[str, Any], second: Any, description: str, step: SupportsIndex | None
    ) -> None:
        """`log` of a dict, as other trackers have it: its second argument is the step."""
        if description or (second is not ... and step is not None):
            raise InvalidType(
                "log of a dict takes a step and nothing else, as in run.log({'loss': 0.5}, step=1)"
            )
        self.log_metrics(metrics, step if second is ... else second)

    def log_metrics(self, metrics: Mapping[str, Any], step: SupportsIndex | None = None) -> None:
        """Log one value of each of several metrics, `{name: value}`, all at one step.

        All or none: if a value cannot be logged, raises as `log` does and logs nothing.
        """
        if type(metrics) is not dict and not isinstance(metrics, Mapping):
            raise InvalidType(f"log_metrics takes a dict, got {type(metrics).__name__}")
        number = None if step is None else as_step("log_metrics", step)
        values = list(metrics.values())
        if set(map(type, values)) == _FLOAT_ONLY:
            run_values = self._values
            names = tuple(metrics)
            cache = run_values.wide_puts if number is None else run_values.wide_puts_at
            put = cache.get(names)
            if put is not None:
                apart = put(values, number)
                if apart is not None:
                    series = [self._scalar_series(name) for name in names]
                    run_values.log_apart(series, values, apart)
                return
        checked = [as_scalar(name, value) for name, value in metrics.items()]
        self._values.log_wide([self._scalar_series(name) for name in metrics], checked, number)

    def log_batch(self, name: str, values: Any, steps: Any = None) -> None:
        """Log many values of one metric: arrays or sequences of shape (n,), `steps` likewise.

        Arrays of float64 and int64 are stored bit for bit; null and masked cells become None.
        Raises InvalidInput if the shapes differ or the values are not one-dimensional, and
        InvalidType for times.
        """
        scalars = array_of(values)
        if scalars is None:
            listed = one_dimensional(name, values)
            scalars = [v if type(v) is float else as_scalar(name, v) for v in listed]
        numbers = None if steps is None else steps_of(name, steps)
        if numbers is not None and len(numbers) != len(scalars):
            raise InvalidInput(
                f"log_batch of metric {name!r}: {len(scalars)} values but {len(numbers)} "
                "steps; give one step per value"
            )
        self._values.log_many(self._scalar_series(name), scalars, numbers)

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Log each item of an iterable as one value of the metric; an empty one logs nothing."""
        scalars = as_list(name, value)
        series = self._scalar_series(name, description)
        self._values.log_many(series, scalars, None)

    def log_row(
        self, name: str | None = None, /, description: str | None = None, **kwargs: Any
    ) -> None:
        """Log one row of named columns; several calls make a table.

        `log_row(name="t", a=1)` names the table as `log_row("t", a=1)` does; in
        `log_row("t", name="x")`, `name` is a column.

        As in Azure ML, `description` describes the table and is no column: `log_table` takes
        columns of any name. A warning says so.

        Raises UserErrorException if a column holds a list, or if there is no column.
        """
        if name is None:
            name = kwargs.pop("name", None)
        if set(map(type, kwargs.values())) == _FLOAT_ONLY:
            try:
                put = self._values.row_puts[name, tuple(kwargs)]
            except (KeyError, TypeError):
                pass
            else:
                put(tuple(kwargs.values()), None)
                return
        for column, value in kwargs.items():
            if isinstance(value, list):
                raise UserError(
                    f"Rows cannot contain list values, column {column} contains a list."
                )
        if not kwargs:
            raise InvalidInput(f"log_row of {name!r} has no columns; name at least one value")
        row = tuple(as_scalar(name, value) for value in kwargs.values())
        series = _row_series(name, tuple(kwargs), description)
        if description is not None:
            warn_caller(
                f"log_row of {name!r:.80} takes description={description!r:.80} as what describes "
                "the table, as Azure ML does; log a column of this name with log_table"
            )
        self._values.log_row(series, row)

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Log rows given as columns, `{column: values}`; single values make one row.

        An empty dict logs nothing. Raises UserErrorException if columns differ in length.
        """
        if not isinstance(value, Mapping):
            raise InvalidType(
                f"log_table takes a dict of columns for {name!r}, got {type(value).__name__}"
            )
        columns = {key: cells_of(name, key, cells) for key, cells in value.items()}
        if not columns:
            return
        first, length = next((key, len(cells)) for key, cells in columns.items())
        for key, cells in columns.items():
            if len(cells) != length:
                raise UserError(
                    f"Columns must have the same length, column {first} had length {length}, "
                    f"however, column {key} had length {len(cells)}."
                )
        series = _row_series(name, tuple(columns), description)
        rows = list(zip(*columns.values(), strict=True))
        self._values.log_many(series, rows, None)

    @deferrable
    def log_image(
        self,
        name: str,
        path: str | os.PathLike[str] | None = None,
        plot: Any = None,
        description: str = "",
    ) -> None:
        """Keep an image file, or a plot (anything with matplotlib's `savefig`), as a metric.

        A file keeps its path as its name; a plot is stored as `<name>_<epoch>.png`. If it cannot be
        stored, as on a full disk, a warning says so and `flush()` raises ValuesDropped.
        """
        series = _series(name, (), "image", description)
        if (path is None) == (plot is None):
            raise UserError(
                f"log_image of {name!r} takes either path or plot, got "
                f"{'neither' if path is None else 'both'}"
            )
        if path is not None:
            file = image_file(name, path)
            self._log_file(series, file, name_of_file(file))
        else:
            stem = f"{file_stem(name)}_{int(time.time())}"
            self._log_file(series, drawn(name, plot), stem, ".png")

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """Keep a confusion matrix: a dict, or its JSON text, `{schema_type, data}`."""
        self._log_document(name, "confusion_matrix", value, description)

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """Keep an accuracy table: a dict or its JSON text."""
        self._log_document(name, "accuracy_table", value, description)

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """Keep a histogram of residuals: a dict or its JSON text."""
        self._log_document(name, "residuals", value, description)

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """Keep binned predictions: a dict or its JSON text."""
        self._log_document(name, "predictions", value, description)

    def flush(self, timeout_seconds: float = 300) -> None:
        """Return when all values logged so far are on disk. Raises if they cannot be written.

        In a signal handler that interrupts another call, it is done when that returns.
        """
        self._handle.write_values()

    def values(self, name: str, max_points: int | None = None) -> MetricValues:
        """All values of a metric as arrays: `steps, times, values = run.values("loss")`.

        With `max_points`, at most this many values of a scalar metric, for a chart, as float64 in
        the order of logging: the first, the last, and the minimum and maximum of equally long
        stretches between them. A value that is not a number is NaN; a stretch shows NaN only if
        it has no numbers.

        Raises InvalidInput if the run has no metric of this name, or for `max_points` below 2.
        """
        from runlore.engine.runs.metric_reads import values_of

        return values_of(self._handle, name, max_points)

    def plot(
        self,
        *metrics: str,
        x: str = "step",
        smooth: float | None = None,
        log_x: bool = False,
        log_y: bool = False,
        title: str | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> Plot:
        """The curves of metrics: a notebook shows them, `.save("loss.svg")` or `.png` writes them.

        `x` is `step`, `time` (UTC) or `since`, the time since the first value. `width` and `height`
        are in pixels, by default 720 and 400. NaN and infinities are gaps with marks at the edge; a
        logarithmic axis leaves out what is not above 0, and says how much. Steps that go back begin
        a new piece of the line.

        `smooth` draws the mean of each value and the earlier ones, of which one that is `smooth`
        steps back counts half, over the values themselves, which are faint. It begins anew after a
        gap, and is computed before anything is thinned out.

        Raises InvalidInput for a metric that the run does not have, or one that is a table.

        >>> from runlore import init
        >>> with init("nets", workspace=getfixture("tmp_path") / "lab") as run:
        ...     run.log_batch("loss", [1.0, 0.5, 0.25])
        >>> run.plot("loss").save(getfixture("tmp_path") / "loss.svg").name
        'loss.svg'
        """
        from runlore.notebook.curves import plot_of_run

        options = {"log_x": log_x, "log_y": log_y, "title": title}
        return plot_of_run(self._handle, metrics, x, smooth, **options, width=width, height=height)

    @property
    def _values(self) -> RunValues:
        """The values that this process logs into the run."""
        return self._run_values or self._open_values()

    def _open_values(self) -> RunValues:
        values = self._run_values = self._handle.values()
        self._puts, self._puts_at = values.puts, values.puts_at
        return values

    def _scalar_series(self, name: str, description: str | None = None) -> Series:
        if self._series is None:
            self._series = {}
        try:
            return self._series[name]
        except (KeyError, TypeError):  # Not there yet, or not hashable.
            return self._series.setdefault(name, _series(name, (), "scalar", description))

    @deferrable
    def _log_document(self, name: str, kind: str, value: Any, description: str) -> None:
        series = _series(name, (), kind, description)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError as error:
                raise UserError(f"Invalid JSON provided for {name!r}: {error}") from error
        if not isinstance(value, Mapping):
            raise UserError(
                f"log_{kind} takes a dict or JSON text for {name!r}, got {type(value).__name__}"
            )
        try:
            document = json.dumps(value).encode()
        except (TypeError, ValueError) as error:
            raise UserError(f"Invalid JSON provided for {name!r}: {error}") from error
        self._log_file(series, io.BytesIO(document), file_stem(name), ".json")

    def _log_file(
        self, series: Series, source: Path | BinaryIO, name: str, suffix: str | None = None
    ) -> None:
        """Keep a file under its name, or a free one with the suffix, and log its address.

        A file that cannot be stored is counted and told: logging does not end a training.
        """
        from runlore.engine.runs.files import free_name, keep_files
        from runlore.run.shown_metrics import address_of
        from runlore.storage.errors import LogUnavailable

        values = self._values
        try:
            target = name if suffix is None else free_name(self._handle, name, suffix)
            keep_files(self._handle, {target: source})
        except UserError:
            raise
        except (LogUnavailable, OSError) as error:
            self._handle.session.writable().drop_value(error)
        else:
            values.log(series, address_of(self._id, target), None)


def _series(name: str, columns: tuple[str, ...], kind: str, description: str | None) -> Series:
    """The series. Raises if its name, a column or its description is invalid."""
    from runlore.storage.value_codec import Series

    return Series(
        check_new_key(name, "metric name"),
        tuple(check_new_key(column, "column name") for column in columns),
        kind,
        check_text(description or "", f"description of metric {name!r:.80}"),
    )


def _row_series(name: str, columns: tuple[str, ...], description: str | None) -> Series:
    return _series(name, columns, "row", description)
