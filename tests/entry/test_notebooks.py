"""`init()` in a kernel: a run of an earlier cell ends."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import runlore
from tests.engine.exits.programs import run_program, seen


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, as if it was the kernel of a notebook."""
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())  # type: ignore[attr-defined]  # as there
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr("runlore.entry.notebooks._earlier", [])


@pytest.mark.usefixtures("kernel")
def test_a_second_init_ends_the_run_of_the_first_and_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = runlore.init("e")
    second = runlore.init("e")

    assert (first.get_status(), second.get_status()) == ("Completed", "Running")
    told = f"init() ended run {first.id}, which an earlier cell had started, as Completed"
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("kernel")
def test_what_has_ended_or_is_resumed_is_left_as_it_is(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = runlore.init("e", run_id="r")
    first.fail("bad")
    runlore.init("e").complete()
    again = runlore.init("e", run_id="r", resume="must")

    assert again.get_status() == "Running"
    assert "ended run" not in capsys.readouterr().err


def test_in_a_script_both_runs_go_on(project: Path) -> None:
    first = runlore.init("e")
    runlore.init("e")

    assert first.get_status() == "Running"


@pytest.mark.processes
def test_an_error_in_a_shell_ends_nothing(project: Path) -> None:
    """As in a kernel: it is the end of the shell that ends the run, whatever went wrong before."""
    start = """
import sys
sys.ps1 = ">>> "
import runlore
run = runlore.init("e", workspace="lab", run_id="r")
run.log("loss", 0.5)
"""
    run_program(project, "raise ValueError('a typo')", start=start)
    assert seen(project).status == "Completed"
