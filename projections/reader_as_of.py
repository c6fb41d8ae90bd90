"""The questions of `RunsReader`, each asked as of one position."""

from __future__ import annotations

from functools import partial

from runlore.projections.reader import RunsReader


class ReaderAsOf:
    """A reader that answers what it answered when the log ended at the position."""

    def __init__(self, reader: RunsReader, position: int) -> None:
        self.runs = partial(reader.runs, as_of=position)
        self.children = partial(reader.children, as_of=position)
        self.records = partial(reader.records, as_of=position)
        self.experiments = partial(reader.experiments, as_of=position)
        self.ids_that_start_with = partial(reader.ids_that_start_with, as_of=position)
        self.run_number = partial(reader.run_number, as_of=position)
        self.series = partial(reader.series, as_of=position)
        self.curves = partial(reader.curves, as_of=position)
        self.run_table = partial(reader.run_table, as_of=position)
        self.differences = reader.differences  # Both of its positions are earlier.
        self.sql = partial(reader.sql, as_of=position)


Reader = RunsReader | ReaderAsOf
