"""The example of docs/targets.md keeps the contract of all targets, as far as a stub can show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runlore import ComputeTarget, Workspace
from runlore.testing.submitted import STAYS, Project, wait_until_ready
from runlore.testing.targets import TargetContract
from tests.kubernetes.stub import Stub, running_stub

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.long, pytest.mark.processes]


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stub, str]]:
    """A stub of the API, and the example as an installed package."""
    dist_info = tmp_path / "site" / "kubernetes_jobs-1.0.dist-info"
    dist_info.mkdir(parents=True)
    (dist_info / "METADATA").write_text("Metadata-Version: 2.1\nName: k8s\nVersion: 1\n")
    (dist_info / "entry_points.txt").write_text(
        "[runlore.targets]\nkubernetes = kubernetes_jobs:KubernetesJobs\n"
    )
    paths = [str(dist_info.parent), str(ROOT / "examples")]
    for path in paths:
        monkeypatch.syspath_prepend(path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    with running_stub() as (stub, address):
        yield stub, address


def attach(workspace: Workspace, address: str) -> str:
    ComputeTarget.attach(
        workspace,
        "k8s",
        type="kubernetes",
        server=address,
        image="registry.example/train:1",
        this_machine=True,
        grace_s=0.5,
    )
    return "k8s"


class TestKubernetesJobs(TargetContract):
    waits_in_a_queue = True
    grace_s = 0.5

    @pytest.fixture(autouse=True)
    def _served(self, api: tuple[Stub, str]) -> None:
        self.address = api[1]

    def attach(self, workspace: Workspace) -> str:
        return attach(workspace, self.address)


def test_only_a_secret_holds_the_environment_of_a_run(
    tmp_path: Path, api: tuple[Stub, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUBMITTERS_TOKEN", "correct-horse")
    stub, address = api
    project = Project(tmp_path / "project")
    project.target = attach(project.ws, address)

    run = project.submit(STAYS)
    wait_until_ready(run)

    [(name, job)] = stub.jobs.items()
    assert "correct-horse" not in json.dumps(job)
    assert stub.secrets[name]["stringData"]["SUBMITTERS_TOKEN"] == "correct-horse"
    assert stub.secrets[name]["metadata"]["ownerReferences"][0]["name"] == name
    run.cancel()
    assert run.get_status() == "Canceled"


def test_the_page_shows_the_example_as_it_is() -> None:
    code = (ROOT / "examples" / "kubernetes_jobs.py").read_text()
    assert f"```python\n{code}```\n" in (ROOT / "docs" / "targets.md").read_text()
