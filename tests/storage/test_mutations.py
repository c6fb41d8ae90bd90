"""Whatever is done to a log's file: verification finds it, the file refuses, or no read changes."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

import pytest

from runlore.storage.driver_errors import DriverError
from runlore.storage.verification import verify_log
from tests.tampering import (
    BY_BYTES,
    BY_SQL,
    all_reads,
    make_log,
    opened,
    remove_log,
    tampering,
)

pytestmark = [pytest.mark.long, pytest.mark.slow]

ROUNDS: Final = int(os.environ.get("RUNLORE_MUTATIONS", "400"))
"""Mutations by SQL, and of the raw bytes of each of three logs."""


def outcome_of(path: Path, reads: list[object]) -> str:
    """What became of a mutated file; fails if a read changed and nobody noticed."""
    mutated = path.read_bytes()
    try:
        with opened(path) as log:
            verification = verify_log(log)
    except DriverError:
        return "refused"
    if not verification.holds:
        return "detected"
    remove_log(path)
    path.write_bytes(mutated)
    assert all_reads(path) == reads
    return "slack"


@pytest.mark.parametrize("page_size", [512, 1024, 8192])
def test_raw_bytes_that_change_a_read_are_detected(tmp_path: Path, page_size: int) -> None:
    path = tmp_path / "log.sqlite"
    make_log(path, page_size=page_size, slow_clocks=True)
    content, reads = path.read_bytes(), all_reads(path)
    random = Random(f"bytes {page_size}")
    outcomes: Counter[str] = Counter()

    while outcomes.total() < ROUNDS:
        mutated = bytearray(content)
        random.choice(BY_BYTES)(mutated, random)
        if mutated != content:
            remove_log(path)
            path.write_bytes(mutated)
            outcomes[outcome_of(path, reads)] += 1

    print(f"pages of {page_size}: {dict(outcomes)}")
    assert outcomes["detected"] > ROUNDS // 8


def test_what_sql_changes_is_detected(tmp_path: Path) -> None:
    path, whole = tmp_path / "log.sqlite", tmp_path / "whole.sqlite"
    make_log(whole, slow_clocks=True)
    reads = all_reads(whole)
    random = Random("sql")
    outcomes: Counter[str] = Counter()

    for _ in range(ROUNDS):
        remove_log(path)
        shutil.copyfile(whole, path)
        with tampering(path) as connection:
            random.choice(BY_SQL)(connection, random)
        outcomes[outcome_of(path, reads)] += 1

    print(f"SQL: {dict(outcomes)}")
    assert outcomes["detected"] > ROUNDS * 3 // 4
