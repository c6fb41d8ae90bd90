"""What tells this process from all others: itself in /proc, and names for people."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from runlore.storage.this_process import machine_id, program, started_at, this_process


def test_it_is_this_process_since_its_start() -> None:
    own = this_process()
    assert (own.pid, own.uid) == (os.getpid(), os.getuid())
    assert abs(own.started_at / 1e6 - psutil.Process().create_time()) < 1
    assert own.started_at < time.time_ns() // 1_000
    assert str(own) == f"{own.program} on {own.host} (pid {os.getpid()})"


def test_program_is_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/ann/train.py", "--fast"])
    assert program() == "train.py"
    monkeypatch.setattr(sys, "argv", [""])
    assert program() == "python"


def test_texts_are_utf_8_whatever_the_system_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tr\udcffin.py"])
    assert this_process().program == "tr?in.py"


def test_machine_is_named_by_a_digest_of_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "machine-id"
    monkeypatch.setattr("runlore.storage.this_process._MACHINE_ID_FILES", (str(path),))
    assert machine_id() is None
    path.write_text("0123\n")
    named = machine_id()
    assert named is not None and len(named) == 32 and "0123" not in named
    path.write_text("0124\n")
    assert machine_id() != named


def test_start_is_unknown_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert started_at() == 0
