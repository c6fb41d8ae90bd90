"""Views as Parquet files, and disks that refuse them."""

from __future__ import annotations

import errno
from pathlib import Path

import duckdb
import pytest

from runlore.projections.parquet_files import write_view
from tests.projections.histories import History, reader_of


def history() -> History:
    history = History()
    history.experiment()
    for number in range(40):
        history.run(f"r{number}", tags={"it's": "x"})
    return history


def test_rows_of_some_runs_are_written_whatever_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "the team's = 1"
    folder.mkdir()
    path = folder / "runs.parquet"
    with reader_of(history().log) as reader:
        assert write_view(reader.projection, "tags", ["r7", "r3", "nobody"], path) == 2
        assert write_view(reader.projection, "runs", None, path) == 40

    with duckdb.connect() as connection:
        found = connection.read_parquet(str(path), hive_partitioning=False)
        assert found.aggregate("count(*), count(DISTINCT run_id)").fetchall() == [(40, 40)]
        assert dict(zip(found.columns, found.types, strict=True))["created_at"] == (
            "TIMESTAMP WITH TIME ZONE"
        )


def test_a_full_disk_is_told_as_the_system_says_it_and_rebuilds_nothing() -> None:
    with reader_of(history().log) as reader:
        reader.projection.refresh()
        read = reader.projection.events_read

        with pytest.raises(OSError, match="No space left") as caught:
            write_view(reader.projection, "runs", None, Path("/dev/full"))

        assert caught.value.errno == errno.ENOSPC
        reader.projection.refresh()
        assert reader.projection.events_read == read
