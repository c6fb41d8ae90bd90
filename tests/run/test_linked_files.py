"""Links in folders whose files are kept, and names that would be a file and a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runlore import Experiment, Run, Workspace
from runlore.exceptions import UserErrorException
from tests.workspaces import start


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def exp(tmp_path: Path, project: Path) -> Experiment:
    return Experiment(Workspace.create("lab", path=tmp_path / "lab"), "links")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A model as the Hugging Face cache keeps it; returns the folder of its snapshot."""
    blobs, snapshot = tmp_path / "hub" / "blobs", tmp_path / "hub" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    (snapshot / "onnx").mkdir(parents=True)
    for name, blob in (("config.json", "1f"), ("onnx/model.bin", "2e")):
        (blobs / blob).write_text(f"the {name}")
        (snapshot / name).symlink_to(os.path.relpath(blobs / blob, (snapshot / name).parent))
    return snapshot


def test_a_snapshot_of_the_hugging_face_cache_is_uploaded_whole(
    exp: Experiment, cache: Path
) -> None:
    run = start(exp)

    run.upload_folder("model", cache)

    assert run.get_file_names() == ["model/config.json", "model/onnx/model.bin"]
    run.download_files(output_directory="back")
    assert Path("back/model/onnx/model.bin").read_text() == "the onnx/model.bin"


def test_links_out_of_a_folder_are_not_followed_if_the_caller_says_so(
    exp: Experiment, cache: Path
) -> None:
    (cache / "own.txt").write_text("own")
    run = start(exp)

    with pytest.warns(UserWarning, match="left out 2 entries of .*'config.json' is a link that"):
        run.upload_folder("model", cache, follow_links=False)

    assert run.get_file_names() == ["model/own.txt"]


def test_links_to_folders_and_to_nothing_are_left_out_with_a_warning(
    exp: Experiment, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "real").mkdir(parents=True)
    (folder / "real" / "file").write_text("x")
    for name, target in {
        "broken": "missing",
        "itself": "itself",
        "linked": "real",
        "parent": "..",
        "to_pipe": "pipe",
    }.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    run = start(exp)

    with pytest.warns(UserWarning) as warned:
        run.upload_folder("model", folder)

    [message] = [str(one.message) for one in warned]
    for part in (
        "left out 6 entries",
        "'broken' is a broken link",
        "'itself' is a broken link",
        "'linked' is a link to a folder",
        "'parent' is a link to a folder",
        "'pipe' is not a plain file",
    ):
        assert part in message
    assert run.get_file_names() == ["model/real/file"]


def test_links_in_the_outputs_that_lead_elsewhere_are_counted_in_a_warning(
    exp: Experiment, tmp_path: Path
) -> None:
    (tmp_path / "best.pt").write_text("the weights")
    run = exp.start_logging(snapshot_directory=None)
    Path("outputs/best.pt").symlink_to(tmp_path / "best.pt")
    Path("outputs/all").symlink_to(tmp_path)
    Path("outputs/own.txt").write_text("own")

    with pytest.warns(UserWarning, match="2 entries of 'outputs' were left out: .*best.pt"):
        run.complete()

    assert run.get_file_names() == ["outputs/own.txt"]


def test_links_out_of_a_snapshots_folder_are_counted_unless_they_are_ignored(
    exp: Experiment, tmp_path: Path
) -> None:
    Path("train.py").write_text("print()")
    Path("data").symlink_to(tmp_path)
    Path("secret").symlink_to("/etc/passwd")
    run, other = start(exp), start(exp)

    with pytest.warns(UserWarning, match="2 entries of '.' were left out of the snapshot"):
        run.take_snapshot(".")
    Path(".amlignore").write_text("data/\nsecret\n")
    other.take_snapshot(".")  # Warnings are errors.


@pytest.mark.parametrize(("first", "second"), [("outputs/ck/w", "outputs/ck"), ("a", "a/b/c")])
def test_a_file_cannot_take_the_name_of_a_folder_nor_lie_in_a_file(
    exp: Experiment, first: str, second: str
) -> None:
    Path("file").write_text("x")
    run = start(exp)
    run.upload_file(first, "file")

    for names in ([second], ["fine", second]):
        with pytest.raises(UserErrorException, match=f"'{second}' and '{first}': .*another name"):
            run.upload_files(names, ["file"] * len(names))
    with pytest.raises(UserErrorException, match="a file and a folder when"):
        run.add_reference(second, "file:///somewhere")
    with pytest.raises(UserErrorException, match="a file and a folder when"):
        run.upload_files(["new", "new/below"], ["file", "file"])
    run.upload_file(first, "file")

    assert run.get_file_names() == [first]
    run.download_files(output_directory="back")


def test_outputs_that_would_be_a_file_and_a_folder_do_not_hold_up_the_others(
    exp: Experiment,
) -> None:
    run = exp.start_logging(snapshot_directory=None)
    Path("file").write_text("x")
    run.upload_file("outputs/ck", "file")
    Path("outputs/ck").mkdir()
    Path("outputs/ck/w").write_text("w")
    Path("outputs/other").write_text("other")

    with pytest.warns(UserWarning, match="'outputs/ck/w' is not kept: with 'outputs/ck' it would"):
        run.complete()

    assert run.get_file_names() == ["outputs/ck", "outputs/other"]
    assert run.get_status() == "Completed"


def test_what_an_older_log_holds_as_file_and_folder_is_downloaded_as_far_as_possible(
    exp: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = with_a_file_that_is_a_folder(exp, monkeypatch)

    with pytest.warns(UserWarning, match="not downloaded, such as 'a': get them by download_file"):
        run.download_files(output_directory="back")

    assert Path("back/a/b").read_text() == "x"
    run.download_file("a", "alone")
    assert Path("alone").read_text() == "x"


def with_a_file_that_is_a_folder(exp: Experiment, monkeypatch: pytest.MonkeyPatch) -> Run:
    Path("file").write_text("x")
    run = start(exp)
    with monkeypatch.context() as older:
        older.setattr("runlore.domain.run.clashes", lambda new, held: {})
        run.upload_files(["a", "a/b"], ["file", "file"])
    return run
