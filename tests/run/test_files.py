from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runlore import Experiment, Run, Workspace
from runlore.domain.errors import ChangeRefusedError, InvalidInput, InvalidType
from runlore.domain.run_commands import (
    AddArtifacts,
)
from runlore.domain.run_state import Artifact
from runlore.engine.runs.files import open_file
from runlore.exceptions import ServiceException, UserErrorException
from runlore.run.run import handle_of
from runlore.storage.safe_paths import UnsafePath
from tests.fresh_python import WITHOUT_ROOTS_POWERS, run_python
from tests.workspaces import seen_again, start


def content_of(run: Run, name: str) -> bytes:
    with open_file(handle_of(seen_again(run)), name) as file:
        return file.read()


# --- the output folders -----------------------------------------------------------------------


def test_the_outputs_folder_is_made_at_once_and_collected_at_the_end(
    exp: Experiment, project: Path
) -> None:
    run = exp.start_logging(snapshot_directory=None)
    (project / "outputs" / "deep").mkdir(parents=True)
    (project / "outputs" / "deep" / "model.pkl").write_bytes(b"model")
    assert run.get_file_names() == []

    run.complete()

    assert seen_again(run).get_file_names() == ["outputs/deep/model.pkl"]
    assert content_of(run, "outputs/deep/model.pkl") == b"model"


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_every_end_collects_the_outputs(exp: Experiment, project: Path, end: str) -> None:
    run = exp.start_logging(snapshot_directory=None)
    (project / "outputs" / "a.txt").write_text("a")

    getattr(run, end)()

    assert run.get_file_names() == ["outputs/a.txt"]


def test_without_outputs_nothing_is_made_or_collected(exp: Experiment, project: Path) -> None:
    run = exp.start_logging(outputs=False, snapshot_directory=None)
    run.complete()

    assert list(project.iterdir()) == []
    assert run.get_file_names() == []


@pytest.mark.parametrize(
    "outputs", [True, None, "outputs", ["outputs"], Path("outputs"), "./outputs"]
)
def test_the_default_folder_can_be_named(exp: Experiment, project: Path, outputs: Any) -> None:
    run = exp.start_logging(outputs=outputs, snapshot_directory=None)
    (project / "outputs" / "a.txt").write_text("a")

    run.complete()

    assert run.get_file_names() == ["outputs/a.txt"]


def test_several_folders_are_watched(exp: Experiment, project: Path, tmp_path: Path) -> None:
    run = exp.start_logging(
        outputs=["results/best", str(tmp_path / "elsewhere")], snapshot_directory=None
    )
    (project / "results" / "best" / "a.txt").write_text("a")
    (tmp_path / "elsewhere" / "b.txt").write_text("b")

    run.complete()

    assert run.get_file_names() == ["results/best/a.txt", "elsewhere/b.txt"]


@pytest.mark.parametrize("outputs", [5, [5], b"outputs", {"a": 1}], ids=repr)
def test_what_cannot_be_a_folder_is_refused(exp: Experiment, outputs: Any) -> None:
    with pytest.raises(InvalidType, match="outputs takes True, False, a folder or a list"):
        exp.start_logging(outputs=outputs, snapshot_directory=None)

    assert list(exp.get_runs()) == []


@pytest.mark.parametrize("outputs", [".", "", "..", ["a/x", "/tmp/../x", "b/../x"]], ids=repr)
def test_folders_whose_files_would_mix_are_refused(
    exp: Experiment, project: Path, outputs: Any
) -> None:
    with pytest.raises(InvalidInput, match="outputs"):
        exp.start_logging(outputs=outputs, snapshot_directory=None)

    assert list(project.iterdir()) == []


def test_a_folder_that_cannot_be_made_starts_no_run(exp: Experiment, project: Path) -> None:
    (project / "outputs").write_text("a file")

    with pytest.raises(UserErrorException, match="cannot create the output folder .*outputs=False"):
        exp.start_logging(snapshot_directory=None)

    assert list(exp.get_runs()) == []


def test_the_folder_is_the_one_of_the_start_wherever_the_script_goes(
    exp: Experiment, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = exp.start_logging(snapshot_directory=None)
    (project / "outputs" / "mine.txt").write_text("a")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "another.txt").write_text("b")

    monkeypatch.chdir(tmp_path)
    run.complete()

    assert run.get_file_names() == ["outputs/mine.txt"]


def test_whoever_ends_a_run_from_outside_gives_it_none_of_his_files(
    exp: Experiment, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = exp.start_logging(snapshot_directory=None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "another.txt").write_text("b")

    seen_again(run).cancel()

    assert run.get_status() == "Canceled"
    assert run.get_file_names() == []


def test_an_object_that_attaches_keeps_the_folders_that_it_names(
    exp: Experiment, project: Path
) -> None:
    run = start(exp)
    attached = Run(exp, run.id, outputs="results")
    (project / "results" / "a.txt").write_text("a")

    attached.complete()

    assert run.get_file_names() == ["results/a.txt"]


def test_files_of_earlier_runs_in_the_folder_are_kept_again(exp: Experiment, project: Path) -> None:
    first = exp.start_logging(snapshot_directory=None)
    (project / "outputs" / "a.txt").write_text("a")
    first.complete()

    second = exp.start_logging(snapshot_directory=None)
    second.complete()

    assert second.get_file_names() == ["outputs/a.txt"]


def test_a_file_that_was_uploaded_and_then_changed_is_warned_of(
    exp: Experiment, project: Path
) -> None:
    run = exp.start_logging(snapshot_directory=None)
    (project / "outputs" / "a.txt").write_text("first")
    run.upload_file("outputs/a.txt", "outputs/a.txt")
    (project / "outputs" / "a.txt").write_text("second")
    (project / "outputs" / "b.txt").write_text("b")

    with pytest.warns(UserWarning, match="'outputs/a.txt' is already kept with other content"):
        run.complete()

    assert run.get_status() == "Completed"
    assert content_of(run, "outputs/a.txt") == b"first"
    assert content_of(run, "outputs/b.txt") == b"b"


HOSTILE_FILES = ["back\\slash", "new\nline", os.fsdecode(b"not-utf8-\xff")]


def test_files_whose_names_cannot_be_kept_are_warned_of_and_the_others_kept(
    exp: Experiment, project: Path
) -> None:
    run = exp.start_logging(snapshot_directory=None)
    for name in [*HOSTILE_FILES, "good.txt"]:
        (project / "outputs" / name).write_text("x")

    with pytest.warns(UserWarning, match=r"not all files of run .*\(2 more were not kept"):
        run.complete()

    assert run.get_status() == "Completed"
    assert run.get_file_names() == ["outputs/good.txt"]


@pytest.mark.processes
def test_files_that_may_not_be_read_are_warned_of(folder_ws: Workspace, project: Path) -> None:
    printed = run_python(
        WITHOUT_ROOTS_POWERS
        + f"""
import pathlib, warnings, runlore
obey_file_modes()
run = runlore.Experiment(runlore.Workspace.open({folder_ws.uri!r}), "e").start_logging(
    snapshot_directory=None
)
outputs = pathlib.Path("outputs")
(outputs / "closed").mkdir()
for name in ("a.txt", "b.txt"):
    (outputs / name).write_text(name)
(outputs / "a.txt").chmod(0)
(outputs / "closed").chmod(0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run.complete()
print(caught[0].message)
print(run.get_status(), run.get_file_names())
""",
        cwd=project,
    )

    assert "outputs/a.txt may not be read" in printed
    assert "(1 more were not kept either)" in printed
    assert "Completed ['outputs/b.txt']" in printed


# --- what a with block prints -----------------------------------------------------------------


def test_what_a_with_block_prints_is_kept(
    exp: Experiment, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    streams = (sys.stdout, sys.stderr)

    with exp.start_logging(snapshot_directory=None) as run:
        print("to the output")
        print("to the errors", file=sys.stderr)

    assert (sys.stdout, sys.stderr) == streams
    assert capsys.readouterr() == ("to the output\n", "to the errors\n")
    assert content_of(run, "logs/user_log.txt") == b"to the output\nto the errors\n"


def test_a_block_still_has_a_stream_like_any_other(exp: Experiment, project: Path) -> None:
    encoding = sys.stdout.encoding

    with exp.start_logging(snapshot_directory=None) as run:
        print("hello", flush=True)
        assert sys.stdout.encoding == encoding
        assert not sys.stdout.isatty()

    assert content_of(run, "logs/user_log.txt") == b"hello\n"


def test_a_stream_that_somebody_else_put_there_stays(
    exp: Experiment, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = io.StringIO()

    with exp.start_logging(snapshot_directory=None):
        teed = sys.stdout
        monkeypatch.setattr("sys.stdout", others)
        monkeypatch.setattr("sys.stderr", others)

    assert sys.stdout is sys.stderr is others
    teed.write("still written\n")  # By somebody who kept the stream.
    teed.flush()


def test_what_is_printed_after_complete_is_kept_too(exp: Experiment, project: Path) -> None:
    with exp.start_logging(snapshot_directory=None) as run:
        print("before")
        run.complete()
        print("after")

    assert content_of(run, "logs/user_log.txt") == b"before\nafter\n"


def test_what_is_printed_before_an_exception_is_kept(exp: Experiment, project: Path) -> None:
    with pytest.raises(ValueError), exp.start_logging(snapshot_directory=None) as run:
        print("before")
        raise ValueError

    assert content_of(run, "logs/user_log.txt") == b"before\n"


def test_a_run_without_outputs_prints_into_no_file(run: Run, project: Path) -> None:
    with run:
        print("nowhere")

    assert list(project.iterdir()) == []


def test_each_run_has_its_own_log(exp: Experiment, project: Path) -> None:
    with exp.start_logging(snapshot_directory=None) as first:
        print("one")
    with exp.start_logging(snapshot_directory=None) as second:
        print("two")

    assert content_of(first, "logs/user_log.txt") == b"one\n"
    assert content_of(second, "logs/user_log.txt") == b"two\n"


def test_logs_are_among_the_details_and_can_be_downloaded(
    exp: Experiment, project: Path, tmp_path: Path
) -> None:
    with exp.start_logging(snapshot_directory=None) as run:
        print("hello")

    address = run.get_details()["logFiles"]["logs/user_log.txt"]
    assert address.startswith("file:///")
    assert run.get_details_with_logs()["logFiles"] == {"logs/user_log.txt": "hello\n"}
    (path,) = run.get_all_logs(tmp_path / "logs here")
    assert Path(path).read_text() == "hello\n"
    assert Path(path) == tmp_path / "logs here" / "logs" / "user_log.txt"
    (path,) = run.get_all_logs()
    assert Path(path).read_text() == "hello\n"


def test_logs_cannot_be_downloaded_into_a_file(run: Run, project: Path) -> None:
    (project / "file").write_text("")

    with pytest.raises(UserErrorException, match="is a file; give a folder"):
        run.get_all_logs("file")


# --- upload -----------------------------------------------------------------------------------


def test_a_file_is_uploaded_from_a_path_or_a_stream(run: Run, project: Path) -> None:
    (project / "model.pkl").write_bytes(b"model")

    run.upload_file("outputs/model.pkl", "model.pkl")
    run.upload_file(name="outputs/path.pkl", path_or_stream=Path("model.pkl"))
    run.upload_file("outputs/stream.pkl", io.BytesIO(b"stream"))
    with (project / "model.pkl").open("rb") as file:
        run.upload_file("outputs/file.pkl", file)

    assert run.get_file_names() == [
        "outputs/model.pkl",
        "outputs/path.pkl",
        "outputs/stream.pkl",
        "outputs/file.pkl",
    ]
    assert content_of(run, "outputs/stream.pkl") == b"stream"
    assert content_of(run, "outputs/file.pkl") == b"model"


def test_an_upload_is_seen_at_once_by_everybody(run: Run) -> None:
    run.upload_file("a.txt", io.BytesIO(b"a"))

    assert seen_again(run).get_file_names() == ["a.txt"]


def test_the_same_content_again_is_a_no_op(run: Run) -> None:
    run.upload_file("a.txt", io.BytesIO(b"a"))
    before = run.history()

    run.upload_file("a.txt", io.BytesIO(b"a"))

    assert run.history() == before


def test_other_content_under_a_taken_name_is_refused_and_in_the_history(run: Run) -> None:
    run.upload_file("a.txt", io.BytesIO(b"first"))

    with pytest.raises(
        ChangeRefusedError, match=r"already has a file 'a\.txt'.*under another name"
    ) as raised:
        run.upload_file("a.txt", io.BytesIO(b"second"))

    assert isinstance(raised.value, ServiceException)
    assert content_of(run, "a.txt") == b"first"
    assert run.history()[-1].what == "change_refused"
    assert run.history()[-1].key == "a.txt"


def test_several_files_are_uploaded_in_one_commit(run: Run, project: Path) -> None:
    for name in "abc":
        (project / name).write_text(name)

    run.upload_files(["x/a", "x/b", "x/c"], ["a", "b", Path("c")])

    assert run.get_file_names() == ["x/a", "x/b", "x/c"]
    assert len({change.time for change in run.history() if change.what == "artifact_added"}) == 1


def test_several_files_are_uploaded_all_or_none(run: Run, project: Path) -> None:
    (project / "a").write_text("a")

    with pytest.raises(UserErrorException, match="there is no file 'missing'"):
        run.upload_files(["a", "b"], ["a", "missing"])

    assert run.get_file_names() == []


def test_a_name_that_is_given_twice_is_skipped_with_a_warning(run: Run, project: Path) -> None:
    for name in "ab":
        (project / name).write_text(name)

    with pytest.warns(UserWarning, match="'x' is given twice; the second file is skipped"):
        run.upload_files(["x", "x"], ["a", "b"])

    assert content_of(run, "x") == b"a"


def test_names_and_paths_must_be_as_many(run: Run) -> None:
    with pytest.raises(TypeError, match="got 2 names and 1 paths"):
        run.upload_files(["a", "b"], ["a"])
    with pytest.raises(TypeError, match=r"takes lists; for one file use upload_file\(\)"):
        run.upload_files("a", "b")


def test_a_folder_is_uploaded_with_its_tree(run: Run, project: Path) -> None:
    (project / "folder" / "deep").mkdir(parents=True)
    (project / "folder" / "a").write_text("a")
    (project / "folder" / "deep" / "b").write_text("b")

    run.upload_folder("data", "folder")
    run.upload_folder(name="again/", path=Path("folder"))

    assert run.get_file_names() == ["data/a", "data/deep/b", "again/a", "again/deep/b"]


def test_what_is_no_folder_is_refused(run: Run, project: Path) -> None:
    (project / "file").write_text("")

    for path in ("file", "missing"):
        with pytest.raises(UserErrorException, match="is not a folder"):
            run.upload_folder("data", path)


@pytest.mark.parametrize("source", [5, None, ["a"]], ids=repr)
def test_what_is_neither_path_nor_stream_is_refused(run: Run, source: Any) -> None:
    with pytest.raises(UserErrorException, match="UnsupportedType: .* a path or a binary stream"):
        run.upload_file("a.txt", source)


def test_a_stream_of_text_is_refused(run: Run) -> None:
    with pytest.raises(InvalidType, match="open the file with 'rb'"):
        run.upload_file("a.txt", io.StringIO("text"))  # type: ignore[arg-type]  # wrong on purpose

    assert run.get_file_names() == []


def test_a_missing_file_and_a_folder_are_refused(run: Run, project: Path) -> None:
    for path in ("missing", "."):
        with pytest.raises(UserErrorException, match="there is no file"):
            run.upload_file("a.txt", path)


HOSTILE_NAMES = {
    "empty": "",
    "parent": "../a.txt",
    "inner-parent": "a/../../b.txt",
    "absolute": "/etc/passwd",
    "here": "./a.txt",
    "backslash": "..\\a.txt",
    "drive": "C:/a.txt",
    "null": "a\0.txt",
    "newline": "a\n.txt",
    "double-slash": "a//b",
    "surrogate": "a\ud800",
    "too-long": "x" * 5001,
}


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
def test_a_hostile_name_is_refused_on_the_way_in(run: Run, name: str, project: Path) -> None:
    (project / "a").write_text("a")
    (project / "folder").mkdir()
    (project / "folder" / "b").write_text("b")

    calls: list[Callable[[], object]] = [
        lambda: run.upload_file(name, io.BytesIO(b"x")),
        lambda: run.upload_files(["good", name], ["a", "a"]),
        lambda: run.upload_folder(name, "folder"),
    ]
    for call in calls:
        with pytest.raises(UnsafePath, match="cannot name a file here"):
            call()

    assert run.get_file_names() == []


@pytest.mark.parametrize("name", [5, None, b"bytes"], ids=repr)
def test_a_name_that_is_no_text_is_refused(run: Run, name: Any, project: Path) -> None:
    (project / "a").write_text("a")

    calls: list[Callable[[], object]] = [
        lambda: run.upload_file(name, io.BytesIO(b"x")),
        lambda: run.upload_files([name], ["a"]),
        lambda: run.upload_folder(name, project),
    ]
    for call in calls:
        with pytest.raises(InvalidType, match="name must be a str"):
            call()


# --- download ---------------------------------------------------------------------------------


@pytest.fixture
def stored(run: Run) -> Run:
    """A run that holds three files."""
    for name in ("outputs/a.txt", "outputs/deep/b.txt", "other.txt"):
        run.upload_file(name, io.BytesIO(name.encode()))
    return run


def test_a_file_is_downloaded_under_its_base_name_by_default(stored: Run, project: Path) -> None:
    stored.download_file("outputs/deep/b.txt")

    assert (project / "b.txt").read_text() == "outputs/deep/b.txt"


def test_a_file_is_downloaded_to_a_path_or_into_a_folder(stored: Run, project: Path) -> None:
    (project / "folder").mkdir()

    stored.download_file("outputs/a.txt", "new/place/c.txt")
    stored.download_file("outputs/a.txt", output_file_path=project / "folder")

    assert (project / "new" / "place" / "c.txt").read_text() == "outputs/a.txt"
    assert (project / "folder" / "a.txt").read_text() == "outputs/a.txt"


def test_a_file_that_the_run_does_not_hold_names_those_that_it_does(stored: Run) -> None:
    with pytest.raises(UserErrorException, match=r"has no file 'nope'; it has: outputs/a\.txt"):
        stored.download_file("nope")


def test_files_are_downloaded_with_their_tree(stored: Run, project: Path) -> None:
    stored.download_files("outputs", output_directory="down")

    found = sorted(p.relative_to(project).as_posix() for p in project.rglob("*.txt"))
    assert found == ["down/outputs/a.txt", "down/outputs/deep/b.txt"]


def test_files_are_downloaded_without_their_prefix(stored: Run, project: Path) -> None:
    stored.download_files(prefix="outputs/", output_directory="down", append_prefix=False)

    found = sorted(p.relative_to(project).as_posix() for p in project.rglob("*.txt"))
    assert found == ["down/a.txt", "down/deep/b.txt"]


def test_all_files_are_downloaded_into_the_working_folder_by_default(
    stored: Run, project: Path
) -> None:
    stored.download_files()

    found = sorted(p.relative_to(project).as_posix() for p in project.rglob("*.txt"))
    assert found == ["other.txt", "outputs/a.txt", "outputs/deep/b.txt"]


def test_each_file_can_be_given_its_own_path(stored: Run, project: Path, tmp_path: Path) -> None:
    stored.download_files("outputs", "down", [str(tmp_path / "x"), "y"])
    stored.download_files("other", "down", "z")

    assert (tmp_path / "x").read_text() == "outputs/a.txt"
    assert (project / "down" / "y").read_text() == "outputs/deep/b.txt"
    assert (project / "down" / "z").read_text() == "other.txt"
    with pytest.raises(InvalidInput, match="2 files match 'outputs' but 1 output_paths"):
        stored.download_files("outputs", "down", ["x"])


def test_a_hostile_name_in_a_log_is_refused_on_the_way_out(
    run: Run, project: Path, tmp_path: Path
) -> None:
    """A workspace may come from a stranger, so its log may hold names that ours never would."""
    run.upload_file("good.txt", io.BytesIO(b"x"))
    artifact = handle_of(run).fetch().artifacts["good.txt"]
    hostile = ["../escaped.txt", "logs/../../escaped.txt", f"{tmp_path}/escaped.txt", "x/.."]
    handle_of(run).change(AddArtifacts(dict.fromkeys(hostile, Artifact(*artifact))))

    calls: list[Callable[[], object]] = [
        lambda: run.download_files(),
        lambda: run.download_files("..", "down"),
        lambda: run.download_files("logs/", "down", append_prefix=False),
        lambda: run.get_all_logs("down"),
        lambda: run.download_file("x/.."),
    ]
    for call in calls:
        with pytest.raises(UnsafePath):
            call()

    assert not (tmp_path / "escaped.txt").exists()


def test_a_link_in_the_target_folder_does_not_lead_a_download_out_of_it(
    stored: Run, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (project / "outputs").symlink_to(tmp_path / "outside")

    with pytest.raises(UnsafePath, match="symbolic link leads it out"):
        stored.download_files("outputs")

    assert list((tmp_path / "outside").iterdir()) == []
