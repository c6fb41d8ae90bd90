import json
import math
from pathlib import Path

import pytest

from benchmarks.scale.__main__ import main
from benchmarks.scale.curves import FLAT, SUBLINEAR, Curve, Quantity, Shape, decades, fitted_slope
from benchmarks.scale.growth import POINTS, RUNS


def curve(shape: Shape, figures: dict[int, float]) -> Curve:
    return Curve(Quantity("runs", "search", "find", "ms", shape), "runlore", figures)


@pytest.mark.parametrize("power", [0, 0.5, 1, 2])
def test_the_slope_is_the_exponent(power: float) -> None:
    assert fitted_slope({size: 3 * size**power for size in (10, 100, 1_000)}) == pytest.approx(
        power
    )


def test_one_size_has_no_slope() -> None:
    assert math.isnan(fitted_slope({10: 1.0}))
    assert "no slope" in curve(FLAT, {10: 1.0}).verdict


def test_a_curve_that_turns_up_at_its_end_is_too_steep() -> None:
    found = curve(SUBLINEAR, {10: 5.0, 100: 5.0, 1_000: 5.0, 10_000: 50.0})
    assert found.slope < SUBLINEAR.slope
    assert "TOO STEEP" in found.verdict


def test_a_slow_moment_of_the_machine_is_no_growth() -> None:
    found = curve(FLAT, {10: 1.0, 100: 3.0})
    assert not found.as_it_should_be
    found.baselines = {10: 0.5, 100: 1.5}
    assert found.as_it_should_be


def test_a_curve_may_fall() -> None:
    assert "as it should be" in curve(FLAT, {10: 5.0, 100: 4.0}).verdict


def test_sizes_are_decades() -> None:
    assert decades(1_000, 1_000_000) == [1_000, 10_000, 100_000, 1_000_000]


def test_the_short_form_draws_all_curves(tmp_path: Path) -> None:
    sizes = ["--max-runs", "1000", "--max-points", "10000", "--quick"]
    assert main([*sizes, "--output", str(tmp_path)]) == 0
    for axis, quantities in (("runs", RUNS), ("points", POINTS)):
        assert (tmp_path / f"scale-{axis}.png").read_bytes().startswith(b"\x89PNG")
        document = json.loads((tmp_path / f"scale-{axis}.json").read_text())
        assert [found["what"] for found in document["curves"]] == [q.what for q in quantities]
        assert {len(found["figures"]) for found in document["curves"]} == {2}
        page = (tmp_path / f"scale-{axis}.md").read_text()
        assert all(quantity.what in page for quantity in quantities)
