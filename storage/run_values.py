"""The values that a process logs into one run: their steps, their forms, their spool records."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any, TypeVar

from runlore.domain.errors import InvalidInput, WorkspaceClosed
from runlore.storage import interruptions
from runlore.storage.errors import LogUnavailable
from runlore.storage.journal import Journal
from runlore.storage.spool import Spool
from runlore.storage.spool_format import (
    FLOAT,
    INT,
    WIDE_MAX,
    Channel,
    are_floats,
    form_of,
    many,
    packed,
)
from runlore.storage.spool_puts import FloatPut, FloatPutAt, WidePut
from runlore.storage.steps_taken import SeriesKey, steps_taken
from runlore.storage.value_codec import Series

_Put = TypeVar("_Put")
_MANY_MAX = 30_000  # Values of a record: three fit into a segment, with steps.
_GIVEN_AT_MAX = (2**63 - 1) // 1_000  # The spool holds nanoseconds.


class RunSteps:
    """The next steps of a run's series in this process, shared by all who log into the run.

    `fresh` says that this process has just created the run, so that it has no values yet.
    """

    def __init__(
        self, run_id: str, journal: Journal, warn: Callable[[str], None], *, fresh: bool
    ) -> None:
        self.run_id = run_id
        self._journal = journal
        self._warn = warn
        self._steps: dict[SeriesKey, Iterator[int]] = {}
        self._given: dict[SeriesKey, bool | None] = {}  # None: both, and the warning is given.
        self._taken: dict[SeriesKey, int] | None = {} if fresh else None

    def next_of(self, series: Series) -> Iterator[int]:
        """The next steps of a series; the caller logs without giving steps."""
        self.note(series, given=False)
        key = (series.name, series.columns)
        steps = self._steps.get(key)
        if steps is None:
            if self._taken is None:
                self._taken = self._read_taken()
            steps = self._steps.setdefault(key, count(self._taken.get(key, 0)))
        return steps

    def _read_taken(self) -> dict[SeriesKey, int]:
        # Values that this process logged so far had steps given by the caller.
        writer_id = self._journal.writer_id
        try:
            return steps_taken(self._journal.log, self.run_id, excluding_writer=writer_id)
        except (LogUnavailable, OSError, ImportError) as error:  # It must not end a training.
            self._warn(
                f"values of run {self.run_id} without a step are numbered from 0 on, because its "
                f"earlier ones cannot be read: {error}"
            )
            return {}

    @property
    def must_wait(self) -> bool:
        """Whether the next steps cannot be known yet: to read the log, in an interruption."""
        return self._taken is None and interruptions.interrupts()

    def go_on(self) -> None:
        """Go on after the last values in the log, of all writers, that are not void."""
        self._taken = steps_taken(self._journal.log, self.run_id)
        self._steps.clear()

    def note(self, series: Series, *, given: bool) -> None:
        """Remember whether the caller gives the steps of a series; warn once if it is both."""
        key = (series.name, series.columns)
        before = self._given.setdefault(key, given)
        if before is not None and before is not given:
            self._given[key] = None
            self._warn(
                f"metric {series.name!r:.80} is logged both with and without a step; values "
                "without one are numbered 0, 1, 2, ... regardless of the steps given"
            )


class RunValues:
    """The values that one user of a buffer logs into one run; all users share the run's steps.

    Four caches hold functions that log floats straight into a spool segment: `puts` and `puts_at`
    one float of a scalar metric, at the next or a given step, by the metric's name; `wide_puts`
    one float of each of several metrics, by their names; `row_puts` a row, by the table's name and
    columns. The spool empties them when the segment ends, and `put`, `put_at`, `wide_put` and
    `row_put` make new functions. `spool` raises WorkspaceClosed when the user may log no more.
    """

    def __init__(self, spool: Callable[[], Spool], steps: RunSteps) -> None:
        self.run_id = steps.run_id
        self.puts: dict[str, FloatPut] = {}
        self.puts_at: dict[str, FloatPutAt] = {}
        self.wide_puts: dict[tuple[str, ...], WidePut] = {}
        self.wide_puts_at: dict[tuple[str, ...], WidePut] = {}
        self.row_puts: dict[SeriesKey, WidePut] = {}
        self._spool = spool
        self._steps = steps

    def put(self, series: Series) -> FloatPut:
        """A function that logs a float of a scalar series at its next step, from 0 on."""
        if self._steps.must_wait:
            return lambda value: self.log(series, value, None)
        spool, steps = self._spool(), self._steps.next_of(series)
        channel = Channel(self.run_id, "f", (series,))
        return self._open(spool.float_put(channel, steps, self.puts, series.name))

    def put_at(self, series: Series) -> FloatPutAt:
        """A function that logs a float of a scalar series at a given step, of 64 bits."""
        spool = self._spool()
        self._steps.note(series, given=True)
        channel = Channel(self.run_id, "f", (series,))
        return self._open(spool.float_put_at(channel, self.puts_at, series.name))

    def wide_put(self, series: Sequence[Series], *, at_steps: bool) -> WidePut:
        """A function that logs a float of each of several scalar series, at one step."""
        spool = self._spool()
        names = tuple(metric.name for metric in series)
        channel = Channel(self.run_id, "w", tuple(series))
        if not at_steps:
            if self._steps.must_wait:
                return lambda values, _: self._log_apart(series, values)
            steps = [self._steps.next_of(metric) for metric in series]
            return self._open(spool.wide_put(channel, steps, self.wide_puts, names))
        for metric in series:
            self._steps.note(metric, given=True)
        return self._open(spool.wide_put(channel, (), self.wide_puts_at, names))

    def row_put(self, series: Series) -> WidePut:
        """A function that logs a row of at least two floats, at the table's next step."""
        if self._steps.must_wait:
            return lambda row, _: self.log(series, tuple(row), None)
        spool, steps = self._spool(), [self._steps.next_of(series)]
        channel = Channel(self.run_id, "w", (series,))
        key = (series.name, series.columns)
        return self._open(spool.wide_put(channel, steps, self.row_puts, key))

    def log(
        self, series: Series, value: Any, step: int | None, *, given_at: int | None = None
    ) -> None:
        """Logs one value of any type, or a row as a tuple; without a step, at the next one.

        `given_at` (µs since 1970 UTC) is the caller's time of the value, in place of the clock's.
        Raises TypeError for a value that cannot be stored, InvalidInput for a time outside of the
        years 1678 to 2261.
        """
        if step is None and self._steps.must_wait:
            now = time.time_ns() // 1_000 if given_at is None else given_at
            interruptions.put_off(partial(self.log, series, value, None, given_at=now))
            return
        time_ns = None if given_at is None else _as_ns(given_at)
        spool = self._spool()
        form = "b" if series.columns else form_of(value)
        record = packed(value) if form == "b" else None
        if step is None:
            step = spool.next_step(self._steps.next_of(series))
        else:
            self._steps.note(series, given=True)
        channel = Channel(self.run_id, form, (series,))
        if record is not None:
            spool.put_record(channel, step, record, time_ns=time_ns)
        else:
            shape = FLOAT if form == "f" else INT
            spool.put_one(channel, step, value, shape, time_ns=time_ns)

    def log_row(self, series: Series, row: tuple[Any, ...]) -> None:
        """Logs a row of a table, at its next step."""
        if 1 < len(row) <= WIDE_MAX and are_floats(row):
            key = (series.name, series.columns)
            (self.row_puts.get(key) or self.row_put(series))(row, None)
        else:
            self.log(series, row, None)

    def log_wide(self, series: Sequence[Series], values: Sequence[Any], step: int | None) -> None:
        """Logs a value of each of several scalar series, all at one step if one is given."""
        if not (1 < len(values) <= WIDE_MAX and are_floats(values)):
            for metric, value in zip(series, values, strict=True):
                self.log(metric, value, step)
            return
        put = self.wide_put(series, at_steps=step is not None)
        self.log_apart(series, values, put(values, step))

    def log_apart(
        self, series: Sequence[Series], values: Sequence[float], steps: Sequence[int] | None
    ) -> None:
        """Logs values at steps that a `WidePut` returned, because they differ; None: nothing."""
        if steps is not None:
            for metric, value, step in zip(series, values, steps, strict=True):
                channel = Channel(self.run_id, "f", (metric,))
                self._spool().put_one(channel, step, value, FLOAT)

    def _log_apart(self, series: Sequence[Series], values: Sequence[float]) -> None:
        for metric, value in zip(series, values, strict=True):
            self.log(metric, value, None)

    def log_many(self, series: Series, values: Sequence[Any], steps: Sequence[int] | None) -> None:
        """Logs many values of one series in their order; rows as tuples, columns as an array."""
        if not len(values):
            return
        typed = _typed(series, values)
        if steps is not None:
            self._steps.note(series, given=True)
        if typed is None:
            self._log_each(series, values, steps)
            return
        numbers = None if steps is None else array("q", steps)
        for start in range(0, len(typed), _MANY_MAX):
            stop = start + _MANY_MAX
            self._put_many(series, typed[start:stop], numbers and numbers[start:stop])

    def _log_each(self, series: Series, values: Sequence[Any], steps: Sequence[int] | None) -> None:
        for place, value in enumerate(values):
            if series.columns:
                self.log_row(series, value)
            else:
                self.log(series, value, None if steps is None else steps[place])

    def _put_many(self, series: Series, values: array[Any], steps: array[int] | None) -> None:
        if steps is None and self._steps.must_wait:
            interruptions.put_off(partial(self._put_many, series, values, None))
            return
        spool = self._spool()
        first = 0
        if steps is None:
            first = spool.next_step(self._steps.next_of(series), len(values))
        form = {"d": "FG", "q": "IJ"}[values.typecode][steps is not None]
        spool.put_record(Channel(self.run_id, form, (series,)), first, many(values, steps))

    def close(self) -> None:
        """Empty the caches, so that the next value asks for the spool."""
        for cache in (
            self.puts,
            self.puts_at,
            self.wide_puts,
            self.wide_puts_at,
            self.row_puts,
        ):
            cache.clear()

    def _open(self, put: _Put) -> _Put:
        """The function, unless the user was closed while it was made and stored in a cache."""
        try:
            self._spool()
        except WorkspaceClosed:
            self.close()
            raise
        return put


def _as_ns(given_at: int) -> int:
    if not -_GIVEN_AT_MAX <= given_at <= _GIVEN_AT_MAX:
        raise InvalidInput(
            f"{given_at} µs since 1970 cannot be the time of a value; give one between 1678 and "
            "2261"
        )
    return 1_000 * given_at


def _typed(series: Series, values: Sequence[Any]) -> array[Any] | None:
    """The values of a scalar series as an array, if all are floats or all 64-bit integers."""
    if isinstance(values, array):
        return values
    if series.columns:
        return None
    types = set(map(type, values))
    if types == {float}:
        return array("d", values)
    if types == {int} and min(values) >= -(2**63) and max(values) < 2**63:
        return array("q", values)
    return None
