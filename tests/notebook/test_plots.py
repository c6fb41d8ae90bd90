from __future__ import annotations

import errno
import math
import os
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import FilterError, InvalidInput
from runlore.exceptions import FileNotWritten
from runlore.notebook.plot import MatplotlibMissing, Plot
from tests.hostile.hostile_log import BENIGN, EXPERIMENT, write_hostile_workspace
from tests.shown.pages import checked
from tests.workspaces import start


def said(plot: Plot) -> list[str]:
    """The texts of a plot."""
    root = ElementTree.fromstring(plot.svg())
    return [element.text or "" for element in root.iter() if element.tag.endswith("}text")]


def curves(plot: Plot) -> dict[str, str]:
    """The classes of the curves by their names."""
    root = ElementTree.fromstring(plot.svg())
    return {
        element[0].text or "": f"{element.get('class')} {element.get('stroke-dasharray') or ''}"
        for element in root.iter()
        if element.tag.endswith("}polyline") and len(element)
    }


def runs_of(exp: Experiment, count: int, **config: Any) -> list[Run]:
    found = []
    for number in range(count):
        run = start(exp, display_name=f"run {number}")
        run.add_config({"lr": 0.1 * (1 + number % 2), **config})
        run.log_batch("loss", [1.0, 0.5, 0.1 * number])
        run.complete()
        found.append(run)
    return found


def test_a_plot_of_a_run_is_saved_as_svg_and_png(run: Run, project: Path) -> None:
    run.log_batch("loss", [1.0, 0.5, 0.25])
    plot = run.plot("loss")

    svg, png = plot.save("loss.svg"), plot.save(project / "plots" / "loss.PNG", scale=1.5)

    assert ElementTree.fromstring(svg.read_text()).tag == "{http://www.w3.org/2000/svg}svg"
    content = png.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    size = [int.from_bytes(content[at : at + 4], "big") for at in (16, 20)]
    assert size == [1080, 600]
    assert sorted(os.listdir()) == ["loss.svg", "plots"]


def test_several_metrics_of_a_run_are_curves_with_a_legend(run: Run) -> None:
    run.log_batch("loss", [1.0, 0.5])
    run.log_batch("val/loss", [1.0, 0.75])

    plot = run.plot("loss", "val/loss", "loss", title="Losses", width=500, height=300)

    assert curves(plot) == {"loss": "rl-line0 ", "val/loss": "rl-line1 "}
    assert {"Losses", "loss", "val/loss", "step"} <= set(said(plot))
    assert 'width="500" height="300"' in plot.svg()


@pytest.mark.parametrize(
    "x, label", [("step", "step"), ("time", "time (UTC)"), ("since", "seconds since")]
)
def test_a_plot_is_over_steps_or_times(run: Run, x: str, label: str) -> None:
    run.log_batch("loss", [1.0, 0.5], [10, 20])

    assert [text for text in said(run.plot("loss", x=x)) if text.startswith(label)]


def test_values_of_any_kind_are_plotted_as_numbers_or_gaps(run: Run) -> None:
    for value in (1, True, None, "text", 2**70, 0.5):
        run.log("odd", value)

    assert "2 values NaN ▿" in said(run.plot("odd"))


@pytest.mark.parametrize("group_by", [None, "config.lr"])
def test_a_plot_counts_all_values_that_it_cannot_show(
    folder_ws: Workspace, group_by: str | None
) -> None:
    values = np.tile([1.0, np.nan, np.inf, 0.5, -1.0], 10_000)
    run = start(Experiment(folder_ws, "e"))
    run.log_batch("loss", values)
    run.flush()

    plot = run.experiment.plot("loss", group_by=group_by)

    notes = next(text for text in said(plot) if "NaN" in text)
    assert "10,000 values NaN ▿, 10,000 values infinite ▲▼" in notes


def test_a_run_that_executes_is_plotted_up_to_now(folder_ws: Workspace) -> None:
    run = start(Experiment(folder_ws, "e"))
    run.log_batch("loss", [1.0, 0.5])

    assert curves(folder_ws.get_run(run.id).plot("loss")) == {"loss": "rl-line0 "}


def test_runs_keep_their_colour_on_every_plot_of_their_experiment(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "e")
    runs_of(exp, 10)

    every = curves(exp.plot("loss"))
    some = curves(exp.plot("loss", where="number in (3, 8, 9)"))

    assert list(every) == [f"run {n}" for n in reversed(range(10))]
    assert some == {name: every[name] for name in ("run 8", "run 7", "run 2")}
    assert len({every[f"run {n}"] for n in range(10)}) == 10


def test_groups_are_means_with_the_range_of_their_runs(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "e")
    runs_of(exp, 5)
    runs_of(exp, 1, lr=None)

    plot = exp.plot("loss", group_by="config.lr")

    assert list(curves(plot)) == [
        "config.lr = 0.1 (3)",
        "config.lr = 0.2 (2)",
        "config.lr = none (1)",
    ]
    assert plot.svg().count("<polygon") == 3
    assert "mean, least and greatest of 6 runs by config.lr" in said(plot)


def test_a_plot_of_too_many_runs_says_which_it_shows(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "e")
    runs_of(exp, 4)

    assert list(curves(exp.plot("loss", limit=2))) == ["run 3", "run 2"]
    assert "newest 2 of 4 runs" in said(exp.plot("loss", limit=2))
    groups = exp.plot("loss", limit=2, group_by="name")
    assert list(curves(groups)) == ["name = run 0 (1)", "name = run 1 (1)"]
    assert said(groups)[1].endswith("by name, first 2 of 4 groups")


def test_runs_of_one_name_are_told_apart_by_their_numbers(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "e")
    for _ in range(2):
        start(exp, display_name="same").log_batch("loss", [1.0, 2.0])
    nameless = start(exp)
    nameless.log_batch("loss", [1.0, 2.0])
    nameless.flush()

    assert set(curves(exp.plot("loss"))) == {"same #1", "same #2", nameless.id[:8]}


def test_a_plot_of_the_past_ends_where_the_past_does(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "e")
    runs_of(exp, 2)
    before = folder_ws.position
    runs_of(exp, 1)

    past = folder_ws.as_of(before).experiments["e"]

    assert list(curves(exp.plot("loss"))) == ["run 0 #3", "run 1", "run 0 #1"]
    assert list(curves(past.plot("loss"))) == ["run 1", "run 0"]


@pytest.mark.parametrize(
    "ask, message",
    [
        (lambda run: run.plot(), "takes the names of metrics"),
        (lambda run: run.plot("los"), "has no metric 'los'"),
        (lambda run: run.plot("table"), "is a row, and plots are of scalar metrics"),
        (lambda run: run.plot("loss", x="epoch"), "x is 'epoch'; it takes one of step, time"),
        (lambda run: run.plot("loss", width=10), "width is 10; it takes 200 to 10,000 pixels"),
        (lambda run: run.plot("loss", height=10**6), "height is 1000000"),
        (lambda run: run.plot("loss").save("loss.pdf"), "is saved as .svg or .png"),
        (lambda run: run.plot("loss").png(math.nan), "scale is nan"),
        (lambda run: run.experiment.plot("los"), "no run of these has the metric 'los'"),
        (lambda run: run.experiment.plot("loss", limit=0), "limit is 0"),
    ],
    ids=lambda value: value.replace(" ", "-")[:24] if isinstance(value, str) else "ask",
)
def test_a_mistake_is_named(run: Run, ask: Any, message: str) -> None:
    run.log("loss", 0.5)
    run.log_row("table", a=1)
    run.flush()

    with pytest.raises(InvalidInput, match=re.escape(message)):
        ask(run)


def test_an_unknown_field_to_group_by_is_named(run: Run) -> None:
    run.log("loss", 0.5)

    with pytest.raises(FilterError, match="colour"):
        run.experiment.plot("loss", group_by="colour")


def test_a_png_without_matplotlib_names_the_way(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.log("loss", 0.5)
    monkeypatch.delitem(sys.modules, "runlore.shown.png", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(MatplotlibMissing, match=r"pip install 'runlore\[plot\]'"):
        run.plot("loss").save("loss.png")

    assert os.listdir() == []


def test_a_folder_that_cannot_be_written_leaves_nothing(run: Run, project: Path) -> None:
    run.log("loss", 0.5)
    (project / "file").write_text("")

    with pytest.raises(FileNotWritten) as raised:
        run.plot("loss").save("file/loss.svg")

    assert raised.value.errno in (errno.ENOTDIR, errno.EEXIST)
    assert os.listdir() == ["file"]


def test_a_plot_can_be_kept_as_an_image_of_a_run(run: Run) -> None:
    run.log_batch("loss", [1.0, 0.5])

    run.log_image("curve", plot=run.plot("loss"))

    [name] = run.get_file_names()
    assert re.fullmatch(r"curve_\d+\.png", name)


def test_names_of_any_script_and_formulas_are_drawn_as_text(run: Run, project: Path) -> None:
    name = "a $x^{2 実験 <b> 漢字"
    run.log_batch(name, [1.0, math.nan, 2.0])
    run.log_batch("b", np.arange(4))

    png = run.plot(name, "b", title="$\\frac{1}{").png(1)

    assert len(png) > 5_000


def test_a_hostile_log_makes_inert_plots(tmp_path: Path) -> None:
    write_hostile_workspace(tmp_path / "lab")
    with Workspace.open(tmp_path / "lab") as ws:
        run = ws.get_run(BENIGN)
        names = [name for name in run.get_metrics() if run.values(name).kind == "scalar"]
        plots = [run.plot(*names), ws.experiments[EXPERIMENT].plot(names[0], include_children=True)]

    assert names
    for plot in plots:
        page = checked(plot._repr_html_())
        assert set(page.tags) <= {
            *("div", "style", "svg", "title", "rect", "polyline", "polygon", "circle", "text"),
        }
        assert "\n" not in repr(plot)


def test_plots_are_smoothed_over_all_values(folder_ws: Workspace) -> None:
    exp = Experiment(folder_ws, "e")
    run = start(exp)
    values = [float(n % 2) for n in range(30_000)]  # More than an experiment's plot reads.
    values[12_345] = math.nan
    run.log_batch("loss", values)
    run.complete()

    [of_run] = run.plot("loss", smooth=1_000)._chart.lines
    [of_experiment] = exp.plot("loss", smooth=1_000)._chart.lines
    [of_group] = exp.plot("loss", smooth=1_000, group_by="config.lr")._chart.lines

    assert of_run.raw is not None and len(of_run.raw) == 30_000
    assert of_run.y[10_000] == pytest.approx(0.5, abs=0.01)
    kept = of_experiment.x.astype(int)
    assert 12_345 in kept and len(kept) <= 20_000
    np.testing.assert_allclose(of_experiment.y, of_run.y[kept])
    assert of_run.y[12_346] == values[12_346]  # It begins anew.
    assert of_group.raw is None and np.nanmax(of_group.y[10:900]) < 0.6
    assert "smoothed over 1000 steps" in run.plot("loss", smooth=1_000).svg()


@pytest.mark.parametrize("smooth", [0, -1, math.nan, math.inf, True, "much"])
def test_a_smoothing_that_makes_no_sense_is_refused(run: Run, smooth: Any) -> None:
    run.log("loss", 1.0)
    for plot in (run.plot, run.experiment.plot):
        with pytest.raises(InvalidInput, match="smooth is"):
            plot("loss", smooth=smooth)
