"""Each benchmark once at a tiny size: that it runs and counts right, never how long it takes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import (
    bench_first_hour,
    bench_kill,
    bench_names,
    bench_postgres,
    bench_slow,
    bench_throughput,
)
from benchmarks.fresh import HERE
from benchmarks.harness import QUICK, Result
from benchmarks.peers import first_hour
from benchmarks.peers.__main__ import markdown
from benchmarks.peers.environments import CONSTRAINTS, PEERS, Peer
from benchmarks.peers.measures import QUANTITIES, Sizes, measure
from runlore import Workspace
from tests.test_packaging import PIN

TINY = Sizes(points=200, calls=50, runs=10, starts=2, children=3, budget_s=5, kills=1, repeat=1)
LIMIT = next(peer for peer in PEERS if peer.name == "write")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(QUICK, "1")
    yield


def met(result: Result) -> bool:
    return all(met for _, met in result.verdicts)


def test_four_processes_in_one_run_lose_nothing(tmp_path: Path) -> None:
    with Workspace.create("bench", path=tmp_path / "ws") as workspace:
        run_id = bench_throughput.new_run(workspace).id
    _, run_ids, failed = bench_throughput.at_once(tmp_path / "ws", 25, run_id)
    assert (run_ids, failed) == ({run_id}, 0)
    assert bench_throughput.numbered(tmp_path / "ws", run_ids, 100) == 100


def test_a_killed_process_and_its_children_are_counted(tmp_path: Path) -> None:
    answer = bench_kill.one_round(tmp_path, "3 forks", 1_000, 0)
    assert answer["acknowledged"] >= 4
    assert 0 <= answer["lost"] <= answer["acknowledged"]
    assert answer["repeated"] == 0


def test_the_write_limit_loses_nothing_and_has_no_search(tmp_path: Path) -> None:
    figures = {figure.quantity: figure for figure in measure(LIMIT, tmp_path, TINY)}
    assert set(figures) == {quantity.key for quantity in QUANTITIES}
    assert figures["missing"].value == figures["kill_flat"].value == 0
    assert figures["disk"].value == 24
    assert figures["tags"].value is None
    assert "no search" in figures["tags"].note


def test_a_peer_that_cannot_be_had_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(package: str) -> str:
        from benchmarks.peers.environments import CannotInstall

        raise CannotInstall(f"no {package} here")

    monkeypatch.setattr("benchmarks.peers.environments.python_with", refuse)
    peer = Peer("mlflow-sqlite", "mlflow", "mlflow", "…")
    table = {peer.name: {figure.quantity: figure for figure in measure(peer, tmp_path, TINY)}}
    page = markdown([peer], table, "make bench-peers")
    assert page.count("| not run |") == len(QUANTITIES)
    assert "(not run: no mlflow here)" in page


def test_peers_are_pinned_by_name_and_version() -> None:
    pins = CONSTRAINTS.read_text().splitlines()
    assert [pin for pin in pins if not PIN.fullmatch(pin.lower())] == []
    assert {peer.package for peer in PEERS if peer.package} == {pin.split("==")[0] for pin in pins}


def test_a_slow_day_keeps_every_step_of_the_simulated_clock(tmp_path: Path) -> None:
    from benchmarks.fresh import fresh

    answer = fresh("benchmarks.bench_slow", tmp_path / "ws", 0.01, interpreter=HERE)
    with Workspace.open(tmp_path / "ws") as workspace:
        steps, times, _ = workspace.get_run(answer["run_id"]).values("metric_0")
    assert steps.tolist() == list(range(int(36 * bench_slow.STEPS_PER_S)))
    assert {int(gap) for gap in (times[1:] - times[:-1]).astype(int)} == {500_000}


def test_the_first_hour_is_measured_in_a_process_of_its_own() -> None:
    found = bench_first_hour.measured("runlore", 5, 5)

    assert not isinstance(found, str), found
    assert (found["made"], found["runs"]) == (5, 5 + first_hour.STARTS + 2)


def test_very_many_metrics_are_logged_and_read_back() -> None:
    logged, read = bench_names.run()

    assert logged.what == "first run.log of a metric, mean of 5,000"
    assert read.what == "get_metrics() of 5,001 series of a value"


@pytest.mark.long
@pytest.mark.processes
def test_the_figures_of_postgresql_are_all_there_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench_postgres, "ROUNDS", 1)

    found = {result.what: result for result in bench_postgres.run()}

    assert len(found) == 18
    assert all(result.ours is not None for result in found.values())
    assert met(found["8 writers flat out: lost or repeated"])
