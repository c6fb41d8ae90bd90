import json
import math
from pathlib import Path

from benchmarks.acknowledged import compare, counters
from benchmarks.fresh import WorkloadFailed, fresh
from benchmarks.harness import Result, at_least, at_most, at_most_times, line, not_run, write


def test_a_goal_is_of_the_figure_or_of_its_ratio() -> None:
    result = Result("log", 2.0, 1.0, "body", "µs", 3, (at_most(1), at_most_times(3)))
    assert result.verdicts == [("≤ 1 µs", False), ("≤ 3 ×", True)]


def test_the_ratio_of_a_rate_says_how_many_times_as_slow() -> None:
    result = Result("log", 500.0, 2_000.0, "body", "points/s", 3, (at_least(600),))
    assert result.ratio == 4
    assert result.verdicts == [("≥ 600 points/s", False)]


def test_what_was_not_run_has_no_figure_and_says_why(tmp_path: Path) -> None:
    result = not_run("syncs", "strace is not installed", goals=(at_most(2),))
    write([result], tmp_path)
    assert line(result).endswith("not run: strace is not installed")
    assert "not run (strace is not installed)" in (tmp_path / "results.md").read_text()
    [kept] = json.loads((tmp_path / "results.json").read_text())["results"]
    assert (kept["ours"], kept["ratio"], kept["goals"]) == (None, None, [])


def test_without_a_baseline_there_is_no_ratio() -> None:
    assert math.isnan(Result("lost", 0, None, "", "", 3).ratio)


def test_lost_are_the_acknowledged_values_that_are_not_there() -> None:
    assert compare([0.0, 1.0, 1.0, 5.0], 4) == {"acknowledged": 4, "lost": 2, "repeated": 1}


def test_counters_are_shared_through_their_file(tmp_path: Path) -> None:
    counters(tmp_path / "counters")[3] = 7
    assert counters(tmp_path / "counters").tolist()[:4] == [0, 0, 0, 7]


def test_a_workload_is_timed_to_its_exit(tmp_path: Path) -> None:
    answer = fresh("benchmarks.workloads", "one_metric", tmp_path / "ws", 10)
    assert answer.exited > answer["started"]
    assert answer["run_id"]


def test_a_workload_that_fails_says_how(tmp_path: Path) -> None:
    try:
        fresh("benchmarks.workloads", "one_metric", tmp_path / "ws", "many")
    except WorkloadFailed as error:
        assert "invalid literal" in str(error)
    else:
        raise AssertionError("it did not fail")
