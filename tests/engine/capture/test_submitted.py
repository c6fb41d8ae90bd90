"""The surroundings of submitted runs, which their supervisors record."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore.testing.submitted import Project

pytestmark = pytest.mark.processes


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "here")
    yield project
    project.ws.close()


def test_a_submitted_run_knows_its_surroundings(project: Project) -> None:
    with pytest.warns(UserWarning, match="look like secrets"):
        run = project.submit("", "--token", "abc", "--lr", 0.1)
    run.wait_for_completion()

    found = run.environment
    assert found["script"] == "train.py"
    assert found["argv"] == ["--token", "***", "--lr", "0.1"]
    assert found["host"] and found["packages"]["count"] > 10
    assert "system/packages.txt" in run.get_file_names()


def test_the_scripts_variable_switches_it_off(project: Project) -> None:
    run = project.submit("", variables={"RUNLORE_CAPTURE": "none"})
    run.wait_for_completion()

    assert run.environment == {}
