from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from runlore.shown.chart import LEGEND_MAX, RAW_OPACITY, Chart, Line, scene_of
from runlore.shown.scene import Area, Label, Mark, Scene, Stroke, svg_of
from tests.hostile.hostile_log import FORBIDDEN, HOSTILE

NAN, INF = float("nan"), float("inf")


def line(y: list[float], x: list[float] | None = None, name: str = "loss") -> Line:
    along = np.arange(len(y), dtype=np.float64) if x is None else np.array(x, np.float64)
    return Line(name, along, np.array(y, np.float64))


def drawn(*lines: Line, **options: object) -> Scene:
    return scene_of(Chart(lines=lines, title="loss", **options))  # type: ignore[arg-type]


def curves(scene: Scene) -> list[Stroke]:
    """The strokes that are curves; the legend's are thicker."""
    return [s for s in scene.shapes if isinstance(s, Stroke) and s.title]


def marks(scene: Scene) -> list[tuple[str, bool]]:
    return [(s.shape, s.hollow) for s in scene.shapes if isinstance(s, Mark)]


def labels(scene: Scene) -> list[str]:
    return [s.text for s in scene.shapes if isinstance(s, Label)]


def test_a_curve_goes_from_the_left_to_the_right_edge_and_up_where_values_grow() -> None:
    [curve] = curves(drawn(line([1.0, 2.0, 4.0])))

    (x0, y0), _, (x2, y2) = curve.points
    assert x0 < 80 and x2 == 700
    assert y2 < y0


def test_values_that_are_not_finite_are_gaps_with_marks_and_are_counted() -> None:
    scene = drawn(line([1, 2, NAN, 3, 4, INF, 5, -INF, 6]))

    assert [len(curve.points) for curve in curves(scene)] == [2, 2]
    assert marks(scene) == [
        *[("dot", False)] * 2,  # 5 and 6 stand alone.
        *[("down", True), ("down", False), ("up", False)],
    ]
    assert "1 value NaN ▿, 2 values infinite ▲▼" in labels(scene)


@pytest.mark.parametrize("y", [[NAN], [NAN, INF], []], ids=["nan", "nan and inf", "none"])
def test_a_chart_without_a_finite_value_is_still_one(y: list[float]) -> None:
    scene = drawn(line(y))

    assert curves(scene) == []
    assert "0.5" in labels(scene) or "0.6" in labels(scene)


def test_a_single_value_is_a_dot() -> None:
    assert marks(drawn(line([3.0]))) == [("dot", False)]


def test_steps_that_go_back_begin_a_new_piece() -> None:
    scene = drawn(line([5, 4, 3, 4.5, 4], [0, 1, 2, 1, 2]))

    assert [len(curve.points) for curve in curves(scene)] == [3, 2]


def test_a_logarithmic_axis_says_what_it_leaves_out() -> None:
    scene = drawn(line([-1, 0, 1, 10, 100]), log_y=True)

    assert [len(curve.points) for curve in curves(scene)] == [3]
    assert "2 values not above 0 and left out" in labels(scene)
    assert {"1", "10", "100"} <= set(labels(scene))
    heights = [y for _, y in curves(scene)[0].points]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2])


def test_of_a_hundred_thousand_values_each_peak_and_each_gap_is_drawn() -> None:
    y = np.sin(np.arange(100_000) / 5_000)
    y[12_345], y[77_777] = 9, -9
    y[50_000] = NAN

    scene = drawn(Line("loss", np.arange(100_000, dtype=np.float64), y))

    heights = [y for curve in curves(scene) for _, y in curve.points]
    assert len(heights) < 4_000
    assert len(curves(scene)) == 2 and marks(scene) == [("down", True)]
    sharp = [y for _, y in curves(drawn(line([-9.0, 9.0])))[0].points]
    assert (max(heights), min(heights)) == pytest.approx((sharp[0], sharp[1]), abs=20)
    # The peaks reach as far as they would in a chart of themselves alone.
    top, bottom = min(heights), max(heights)
    assert bottom - top > 250


def test_many_curves_have_a_legend_that_ends() -> None:
    lines = [line([1.0, 2.0], name=f"run {n}") for n in range(LEGEND_MAX + 6)]

    scene = drawn(*lines)

    assert [text for text in labels(scene) if text.startswith("run ")] == [
        f"run {n}" for n in range(LEGEND_MAX)
    ]
    assert "and 6 more" in labels(scene)
    assert all(label.at[1] < scene.height for label in scene.shapes if isinstance(label, Label))


def test_a_long_name_is_cut_in_the_middle() -> None:
    scene = drawn(line([1, 2], name="a" * 60 + "z" * 60), line([1, 2], name="b"))

    [name] = [text for text in labels(scene) if text.startswith("aaa")]
    assert len(name) == 48 and name.endswith("zzz") and "…" in name


def test_a_band_is_interrupted_where_the_curve_is() -> None:
    x = np.arange(5.0)
    y = np.array([1, 2, NAN, 3, 4])

    scene = drawn(Line("mean", x, y, low=y - 1, high=y + 1))

    assert [len(area.points) for area in scene.shapes if isinstance(area, Area)] == [4, 4]


def test_equal_values_get_an_axis_with_room() -> None:
    assert {"1.8", "2.0", "2.2"} <= set(labels(drawn(line([2.0, 2.0]))))


def test_a_hostile_name_is_text_in_the_svg() -> None:
    scene = drawn(line([1, 2], name=HOSTILE), line([2, 1], name="<b>"), more=HOSTILE)

    document = svg_of(scene)

    root = ElementTree.fromstring(document)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {
        *("svg", "title", "rect", "polyline", "text"),
    }
    assert FORBIDDEN.findall(document) == []


FLOATS = st.floats(width=64)


@given(
    st.lists(
        st.integers(0, 30).flatmap(
            lambda n: st.tuples(
                arrays.arrays(np.float64, n, elements=FLOATS),
                arrays.arrays(np.float64, n, elements=FLOATS),
            )
        ),
        max_size=3,
    ),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["whole", "number", "time"]),
)
def test_any_values_make_a_picture_whose_numbers_are_numbers(
    pairs: list[tuple[np.ndarray, np.ndarray]],
    log_x: bool,
    log_y: bool,
    kind: str,
) -> None:
    lines = [Line(f"line {n}", x, y) for n, (x, y) in enumerate(pairs)]

    scene = drawn(*lines, log_x=log_x, log_y=log_y, x_kind=kind)

    document = svg_of(scene)
    ElementTree.fromstring(document)
    places = " ".join(re.findall(r' (?:points|x|y|cx|cy)="([^"]*)"', document))
    assert "nan" not in places and "inf" not in places
    assert all(abs(float(n)) < 2_000 for n in re.split("[ ,]", places) if n)


def test_a_smoothed_curve_lies_over_its_values_which_are_faint() -> None:
    raw = np.array([0.0, 4.0, NAN, 2.0])
    smooth = Line("loss", np.arange(4.0), np.array([0.0, 2.0, NAN, 2.0]), raw=raw)
    scene = scene_of(Chart(lines=[smooth], title="loss"))
    [below, above] = curves(scene)
    assert (below.opacity, above.opacity) == (RAW_OPACITY, 1.0)
    assert below.points[1][1] < above.points[1][1]  # 4 is above 2.
    assert marks(scene) == [("dot", False), ("down", True)]
    assert "1 value NaN" in str(scene.shapes)
    assert 'stroke-opacity="0.25"' in svg_of(scene)
