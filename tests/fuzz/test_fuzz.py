"""The short form of `make fuzz`: each target's regressions, and some inputs made by chance."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.short import examine_some
from tests.fuzz.surroundings import alone
from tests.fuzz.target import Broken, Target, examine
from tests.fuzz.targets import NAMES, mapper, target_named


@pytest.fixture(autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Those of the fuzzer's processes."""
    tmp_path_factory.getbasetemp()  # Made now, or it would go with these surroundings.
    with alone():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_some_inputs_made_by_chance_break_nothing(name: str) -> None:
    target = target_named(name)
    assert examine_some(target, target.quick) > target.quick // 2


REGRESSIONS = [(name, what) for name in NAMES for what in target_named(name).regressions]


@pytest.mark.parametrize(("name", "what"), REGRESSIONS)
def test_what_was_found_once_is_not_found_again(name: str, what: str) -> None:
    target = target_named(name)
    examine(target, target.regressions[what])


def test_an_undocumented_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(topic: str, data: object) -> None:
        raise KeyError(topic)

    monkeypatch.setattr(mapper, "decode_event", fails)
    with pytest.raises(KeyError) as raised:
        examine_some(mapper.TARGET, 20)
    [note] = raised.value.__notes__
    assert "python -m tests.fuzz.replay mapper --hex" in note


def test_an_event_that_changes_when_it_is_stored_again_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forgets(topic: str, state: bytes) -> None:
        return None

    monkeypatch.setattr(mapper, "decode_event", forgets)
    with pytest.raises(Broken, match="as a fact"):
        examine_some(mapper.TARGET, 20)


def _writes_outside(_: bytes) -> None:
    (Path.cwd().parent / "outside").touch()


def _writes_inside(_: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "inside").touch()


def test_a_file_outside_of_the_temporary_folder_is_found() -> None:
    examine(Target("inside", _writes_inside, list, lambda data, _: data), b"")
    with pytest.raises(Broken, match="outside"):
        examine(Target("outside", _writes_outside, list, lambda data, _: data), b"")


def test_an_input_that_fills_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.target.MEMORY_MAX_NBYTES", 32 << 20)
    with pytest.raises(Broken, match="MiB"):
        examine(Target("huge", _fills_memory, list, lambda data, _: data), b"")


def _fills_memory(_: bytes) -> None:
    bytearray(b"x") * (64 << 20)


@pytest.mark.processes
def test_a_found_input_can_be_replayed_without_the_fuzzer(tmp_path: Path) -> None:
    (tmp_path / "crash").write_bytes(b"0")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.fuzz.replay", "moments", str(tmp_path / "crash")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "moments: 1 inputs, and all of them hold\n"
