"""Metrics that are files: plots, images, and the documents that Azure ML draws."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from runlore import Run
from runlore.domain.errors import ChangeRefusedError
from runlore.exceptions import UserErrorException


def test_a_plot_is_kept_as_a_picture(run: Run) -> None:
    figure = Figure()
    figure.subplots().plot([1, 2])

    run.log_image("loss curve", plot=figure)

    (name,) = run.get_file_names()
    assert name.startswith("loss curve_")
    assert name.endswith(".png")
    assert run.get_metrics() == {
        "loss curve": f"aml://artifactId/ExperimentRun/dcid.{run.id}/{name}"
    }
    content = run.get_metrics(populate=True)["loss curve"]
    assert content.startswith(b"\x89PNG")


def test_several_plots_of_one_name_are_a_list(run: Run) -> None:
    for _ in range(3):
        run.log_image("m", plot=Figure())

    assert len(set(run.get_metrics()["m"])) == 3
    assert len(run.get_metrics(populate=True)["m"]) == 3
    assert run.values("m").kind == "image"


def test_an_image_file_keeps_its_path(run: Run, project: Path) -> None:
    (project / "pictures").mkdir()
    (project / "pictures" / "a.png").write_bytes(b"picture")

    run.log_image("m", path="pictures/a.png")

    assert run.get_file_names() == ["pictures/a.png"]
    assert run.get_metrics(populate=True) == {"m": b"picture"}


def test_an_image_file_from_elsewhere_keeps_its_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.PNG").write_bytes(b"picture")

    run.log_image("m", path=tmp_path / "a.PNG")

    assert run.get_file_names() == ["a.PNG"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "x" * 300, "ключ"])
def test_the_name_of_a_picture_is_always_a_safe_one(run: Run, name: str) -> None:
    run.log_image(name, plot=Figure())
    run.log_predictions(name + " 2", {})

    for file in run.get_file_names():
        assert "/" not in file
        assert not file.startswith(".")
        assert len(file.encode()) < 255
        run.download_file(file)


def test_log_image_takes_a_path_or_a_plot(run: Run, project: Path) -> None:
    (project / "a.png").write_bytes(b"picture")

    with pytest.raises(UserErrorException, match="either path or plot, got neither"):
        run.log_image("m")
    with pytest.raises(UserErrorException, match="either path or plot, got both"):
        run.log_image("m", path="a.png", plot=Figure())


@pytest.mark.parametrize("path", ["missing.png", "notes.txt", "."])
def test_what_is_no_image_file_is_refused(run: Run, project: Path, path: str) -> None:
    (project / "notes.txt").write_text("")

    with pytest.raises(UserErrorException, match="is not an image file; give an existing file"):
        run.log_image("m", path=path)


def test_what_cannot_be_drawn_is_refused(run: Run) -> None:
    with pytest.raises(UserErrorException, match=r"a str has no savefig\(\)"):
        run.log_image("m", plot="picture")


def test_an_image_file_that_changed_needs_another_name(run: Run, project: Path) -> None:
    (project / "a.png").write_bytes(b"first")
    run.log_image("m", path="a.png")
    (project / "a.png").write_bytes(b"second")

    with pytest.raises(ChangeRefusedError, match="upload it under another name"):
        run.log_image("m", path="a.png")

    assert run.get_metrics(populate=True) == {"m": b"first"}


DOCUMENTS = {
    "confusion_matrix": {
        "schema_type": "confusion_matrix",
        "schema_version": "1.0.0",
        "data": {"class_labels": ["0", "1"], "matrix": [[3, 0], [0, 1]]},
    },
    "accuracy_table": {"schema_type": "accuracy_table", "schema_version": "1.0.1", "data": {}},
    "residuals": {"schema_type": "residuals", "data": {"bin_edges": [0.5], "bin_counts": [1]}},
    "predictions": {"schema_type": "predictions", "data": {"bin_averages": [math.inf]}},
}


@pytest.mark.parametrize("as_text", [False, True], ids=["dict", "json"])
@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_document_is_kept_and_given_back(run: Run, kind: str, as_text: bool) -> None:
    document = DOCUMENTS[kind]

    getattr(run, f"log_{kind}")("m", json.dumps(document) if as_text else document)

    address = run.get_metrics()["m"]
    assert address.startswith(f"aml://artifactId/ExperimentRun/dcid.{run.id}/")
    assert run.get_metrics(populate=True) == {"m": document}
    assert run.values("m").kind == kind


@pytest.mark.parametrize("value", ["{", "", "nope"])
def test_bad_json_is_refused_in_azures_words(run: Run, value: str) -> None:
    with pytest.raises(UserErrorException, match="^Invalid JSON provided"):
        run.log_residuals("m", value)


def test_a_document_that_is_no_json_is_refused(run: Run) -> None:
    with pytest.raises(UserErrorException, match="^Invalid JSON provided"):
        run.log_confusion_matrix("m", {"matrix": {1, 2}})
    with pytest.raises(UserErrorException, match="log_predictions takes a dict or JSON text"):
        run.log_predictions("m", [1, 2])
    with pytest.raises(UserErrorException, match="log_predictions takes a dict or JSON text"):
        run.log_predictions("m", "[1, 2]")

    assert run.get_metrics() == {}
    assert run.get_file_names() == []
