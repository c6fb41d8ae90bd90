"""Compute targets that only a log names get nothing of this user's until they are trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from runlore import ComputeTarget, Workspace
from runlore.compute_target import _stream
from runlore.domain.compute_target import AttachTarget
from runlore.engine.streams import change_target
from runlore.exceptions import ExperimentExecutionException
from runlore.execution.targets import kinds
from runlore.execution.targets.attached import attached
from runlore.execution.targets.kinds import TargetNotTrusted
from runlore.testing.submitted import Project
from runlore.workspace import session_of
from tests.cli.shell import runlore
from tests.web_server import SECRET, Server, says

pytestmark = pytest.mark.processes  # Submitting asks git about the source.


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A head that Ray's token of this user could go to."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    with Server() as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path / "origin", "cluster")
    yield project
    project.ws.close()


def write_to_log(project: Project, kind: str, settings: dict[str, Any]) -> None:
    """Attach the target as somebody else does, who may write to the log."""
    session = session_of(project.ws).writable()
    command = AttachTarget(project.target, kind, {**settings, "this_machine": True})
    change_target(session, _stream(project.target), command)


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def takes_the_job(handler: BaseHTTPRequestHandler) -> None:
    assert isinstance(handler.server, Server)
    document = handler.server.documents[-1]
    answer = says(200, {"submission_id": document["submission_id"]})
    assert callable(answer)
    answer(handler)


def test_a_token_goes_to_a_cluster_only_after_it_is_trusted(project: Project, head: Server) -> None:
    write_to_log(project, "ray", {"address": address(head)})

    with pytest.raises(TargetNotTrusted, match="runlore computetarget trust -n cluster") as refused:
        project.submit("pass")
    assert address(head) in str(refused.value)
    assert list(project.exp.get_runs()) == []
    assert head.requests == []

    project.ws.compute_targets["cluster"].trust()
    head.answers = [takes_the_job]
    run = project.submit("pass")

    [(_, path, headers, _)] = head.requests
    assert (path, headers["authorization"]) == ("/api/jobs/", f"Bearer {SECRET}")
    assert run.get_status() == "Queued"


def test_a_trusted_cluster_with_other_settings_is_another_one(
    project: Project, head: Server
) -> None:
    settings = {"address": address(head), "this_machine": True}
    ComputeTarget.attach(project.ws, "cluster", type="ray", **settings)
    seen = ComputeTarget(project.ws, "cluster")
    head.answers = [takes_the_job]
    run = project.submit("pass")
    with Server() as other:
        write_to_log(project, "ray", {"address": address(other)})
        seen.trust()  # It trusts what it shows.

        with Workspace.open(project.ws.uri) as again:
            session_of(again).writable().look_after(at_once=True)
        with pytest.raises(TargetNotTrusted):
            project.submit("pass")
        run.cancel()

        assert run.get_status() == "Canceled"
        assert other.requests == []


@pytest.mark.parametrize("setting", ["python", "handover", "extra_args"])
def test_no_program_starts_and_no_environment_is_written_by_what_a_log_says(
    setting: str, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called, folder = tmp_path / "called", tmp_path / "environments"
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f"#!/bin/sh\necho \"$@\" >> '{called}'\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(sbatch.parent), prepend=":")
    value = {"python": "/evil/python", "handover": str(folder), "extra_args": ["--account=evil"]}
    write_to_log(project, "slurm", {setting: value[setting]})

    with pytest.raises(TargetNotTrusted):
        project.submit("pass")
    assert not called.exists()
    assert not folder.exists()

    project.ws.compute_targets["cluster"].trust()
    with pytest.raises(ExperimentExecutionException, match="sbatch ended with exit code 1"):
        project.submit("pass")
    assert called.exists()


def test_a_cluster_is_trusted_on_the_command_line(project: Project, head: Server) -> None:
    write_to_log(project, "ray", {"address": address(head)})
    folder = Path(session_of(project.ws).require_held().plain)
    project.ws.close()

    shown = runlore("computetarget", "trust", "-n", "cluster", cwd=folder)

    assert json.loads(shown.out)["address"] == address(head)
    project.ws = Workspace.open(folder)
    session = session_of(project.ws).writable()
    assert kinds.target_of(session, "cluster").settings["address"] == address(head)


def test_reading_imports_no_target_that_only_a_log_names(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(project.ws).writable()
    asked: list[str] = []
    monkeypatch.setattr(kinds, "kind_of", asked.append)
    write_to_log(project, "plug-in", {"host": "evil.example"})

    session.look_after(at_once=True)
    assert kinds.trusted_target(session, attached(session)["cluster"]) is None
    with pytest.raises(TargetNotTrusted):
        kinds.target_of(session, "cluster")
    assert set(asked) <= {"local", "pool"}
    kinds.trust_target(session, attached(session)["cluster"])
    with pytest.raises(TypeError):  # It is asked for now: the test's kind is None.
        kinds.trusted_target(session, attached(session)["cluster"])
    assert asked[-1] == "plug-in"
