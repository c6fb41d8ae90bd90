"""Targets and new runs: what executes, what waits and why, and what a page may start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runlore import ComputeTarget, Experiment, ScriptRunConfig, Workspace
from runlore.domain.compute_target import AttachTarget
from runlore.domain.status import TERMINAL
from runlore.engine.streams import change_target, stream_of_target
from runlore.workspace import session_of
from tests.processes import wait_until
from tests.studio.asking import Served, as_problem, served

ADA, EVE = "a" * 20, "e" * 20

pytestmark = pytest.mark.processes

SCRIPT = """
import os, sys, time
print("pid", os.getpid(), sys.argv[1:], flush=True)
if "wait" in sys.argv:
    time.sleep(600)
"""
PARENT = """
from runlore import Run, ScriptRunConfig
config = ScriptRunConfig(".", "train.py", arguments=["wait"], compute_target="pool")
Run.get_context().submit_child(config).wait_for_completion()
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def ws(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create("lab", path=tmp_path / "lab", actor="server", show_output=False) as made:
        ComputeTarget.attach(made, "pool", slots=1)
        yield made
        for run in Experiment(made, "e").get_runs(include_children=True):
            if run.get_status() not in TERMINAL:
                run.cancel()


@pytest.fixture
def studio(ws: Workspace) -> Iterator[Served]:
    with served(ws) as found:
        yield found


def submit(studio: Served, **content: Any) -> Any:
    return studio.send("POST", "/api/submissions", {"experiment": "e", **content})


def submitted(studio: Served, **content: Any) -> str:
    """The id of a run that must be submitted."""
    answer = submit(studio, **content)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def has_ended(ws: Workspace, run_id: str) -> bool:
    return ws.get_run(run_id).get_status() in TERMINAL


def test_a_folder_is_submitted_and_its_run_repeated_with_other_arguments(
    ws: Workspace, studio: Served, source: Path
) -> None:
    first = submitted(studio, folder=str(source), script="train.py", arguments="--lr '0 1'")
    wait_until(lambda: has_ended(ws, first), "the first run to end")
    (source / "train.py").unlink()
    held = studio.get(f"/api/runs/{first}/definition")
    assert held["definition"]["script"] == "train.py"
    assert held["definition"]["arguments"] == "--lr '0 1'"
    assert (held["experiment"], held["target"]) == ("e", "local")

    second = submitted(studio, repeats=first, target="pool", arguments=["--lr", "1"])
    third = str(studio.send("POST", f"/api/runs/{second}/resubmit").json()["id"])
    for run_id in (second, third):
        wait_until(lambda one=run_id: has_ended(ws, one), "the run to end")  # type: ignore[misc]
        run = ws.get_run(run_id)
        assert run.get_status() == "Completed"
        assert (
            "['--lr', '1']" in studio.get(f"/api/runs/{run_id}/logs/user_logs/std_log.txt")["text"]
        )
        assert studio.get(f"/api/runs/{run_id}/definition")["target"] == "pool"
    assert studio.get(f"/api/runs/{third}/definition")["snapshot"] == held["snapshot"]


def test_what_waits_says_for_what(ws: Workspace, studio: Served, source: Path) -> None:
    ids = [
        submitted(studio, folder=str(source), script="train.py", arguments="wait", target="pool")
        for _ in range(3)
    ]
    wait_until(lambda: ws.get_run(ids[0]).get_status() == "Running", "the first one to run")
    local, pool = studio.get("/api/targets")["targets"]

    assert (local["name"], local["slots"], local["executing"]) == ("local", None, [])
    assert (pool["name"], pool["kind"], pool["slots"], pool["waiting"]) == ("pool", "pool", 1, 2)
    assert [run["id"] for run in pool["executing"]] == ids[:1]
    assert [run["id"] for run in pool["queued"]] == ids[1:]
    assert all("waits for a slot of 'pool' (1 in all)" in run["detail"] for run in pool["queued"])
    told = {"executing": 1, "waiting": 2, "name": "pool"}
    experiments = studio.get("/api/experiments")
    assert experiments["targets"] == [{**told, "slots": 1}]
    assert experiments["experiments"][0]["targets"] == [told]
    answer = studio.send("POST", "/api/bulk", {"ids": ids, "op": "cancel"}).json()
    assert answer == {"done": ids, "refused": [], "total": 3}
    wait_until(lambda: all(has_ended(ws, one) for one in ids), "all to end")
    assert studio.get("/api/targets")["targets"][1]["executing"] == []


def test_a_run_that_waits_for_its_parent_s_slot_says_so(
    ws: Workspace, studio: Served, source: Path
) -> None:
    (source / "parent.py").write_text(PARENT)
    submitted(studio, folder=str(source), script="parent.py", target="pool")
    wait_until(lambda: studio.get("/api/targets")["targets"][1]["waiting"] == 1, "the child")
    held = "all 1 slots of 'pool' are held by runs that have queued children"
    wait_until(lambda: held in told_of_waiting(studio), "the deadlock to be told")
    assert "slots=2" in told_of_waiting(studio)  # What to do.

    ComputeTarget.attach(ws, "pool", slots=2)
    wait_until(lambda: held not in told_of_waiting(studio), "the deadlock to be over")


def told_of_waiting(studio: Served) -> str:
    """What the page says of the runs that wait."""
    queued = studio.get("/api/targets")["targets"][1]["queued"]
    return "; ".join(run["detail"] for run in queued)


def test_a_cluster_has_no_slots_and_takes_nothing_before_it_is_trusted(
    ws: Workspace, studio: Served, source: Path
) -> None:
    settings = {"partition": "gpu", "python": "/opt/env/bin/python", "this_machine": True}
    command = AttachTarget("cluster", "slurm", settings)
    change_target(session_of(ws).writable(), stream_of_target("cluster"), command)

    cluster = studio.get("/api/targets")["targets"][2]
    status, told = as_problem(
        submit(studio, folder=str(source), script="train.py", target="cluster")
    )

    assert cluster == {"name": "cluster", "kind": "slurm", "slots": None} | {
        "executing": [],
        "queued": [],
        "waiting": 0,
    }
    assert [one["name"] for one in studio.get("/api/experiments")["targets"]] == ["pool"]
    assert status == 422
    for part in ("/opt/env/bin/python", "runlore computetarget trust -n cluster"):
        assert part in told["detail"]


def test_targets_are_those_of_the_position(ws: Workspace, studio: Served) -> None:
    assert [one["name"] for one in studio.get("/api/targets", asof=1)["targets"]] == ["local"]


def test_a_token_starts_nothing_but_what_the_workspace_holds(ws: Workspace, source: Path) -> None:
    config = ScriptRunConfig(str(source), script="train.py")
    first = Experiment(ws, "e").submit(config)
    first.wait_for_completion()
    with served(ws, editor_tokens=[f"ada:{ADA}"], viewer_tokens=[EVE]) as found:
        told = {"Authorization": f"Bearer {ADA}"}
        content = {"experiment": "e", "folder": str(source), "script": "train.py"}
        before = ws.position
        refused = found.send("POST", "/api/submissions", content, **told)
        assert as_problem(refused)[1]["title"] == "NotTheOwner"
        assert refused.status_code == 403
        viewers = found.send("POST", "/api/submissions", {"experiment": "e", "repeats": first.id},
                             Authorization=f"Bearer {EVE}")  # fmt: skip
        assert viewers.status_code == 403
        assert ws.position == before

        answer = found.send("POST", "/api/submissions", {"experiment": "e", "repeats": first.id},
                            **told)  # fmt: skip
        run = ws.get_run(answer.json()["id"])
        run.wait_for_completion()
    created = [event for event in ws.events(stream=f"run/{run.id}") if "submitted" in event.topic]
    assert [event.actor for event in created] == ["ada"]


def test_secret_arguments_are_not_recorded(ws: Workspace, studio: Served, source: Path) -> None:
    first = submitted(studio, folder=str(source), script="train.py")
    wait_until(lambda: has_ended(ws, first), "the first run to end")
    with pytest.warns(UserWarning, match="api-key"):  # In the terminal of who serves.
        second = submitted(studio, repeats=first, arguments="--api-key s3cr3t-value")
    wait_until(lambda: has_ended(ws, second), "the second run to end")

    assert "s3cr3t" not in studio.get(f"/api/runs/{second}/definition")["definition"]["arguments"]
    assert ws.get_run(second).get_status() == "Completed"
    assert not any("s3cr3t" in repr(event.data) for event in ws.events())


@pytest.mark.parametrize(
    ("content", "status"),
    [({}, 422), ({"folder": "relative", "script": "x"}, 422), ({"repeats": "nobody"}, 404),
     ({"folder": "/nowhere", "script": "train.py"}, 422), ({"folder": "/tmp"}, 422),
     ({"folder": "/tmp", "script": "../../etc/passwd"}, 422),
     ({"folder": "/tmp", "repeats": "x"}, 422), ({"repeats": "plain"}, 422),
     ({"repeats": "plain", "arguments": "'"}, 422), ({"experiment": "", "repeats": "plain"}, 422),
     ({"folder": "/tmp", "script": "x", "target": "nothing"}, 422),
     ({"folder": "/tmp", "run_configuration": "../../x"}, 422)],
    ids=["nothing", "relative", "nobody", "no-folder", "no-script", "outside", "both",
         "not-submitted", "quote", "no-experiment", "target", "runconfig"],
)  # fmt: skip
def test_what_cannot_be_executed_is_refused(
    ws: Workspace, studio: Served, content: dict[str, Any], status: int
) -> None:
    Experiment(ws, "e").start_logging(
        run_id="plain", outputs=False, snapshot_directory=None
    ).complete()
    answer = submit(studio, **content)

    assert as_problem(answer)[0] == status, answer.text
    assert [run.id for run in Experiment(ws, "e").get_runs()] == ["plain"]
