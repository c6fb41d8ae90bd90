"""What is read of the program, the packages and the machine."""

import os
import sys
from pathlib import Path

import pytest

from runlore.engine.capture.arguments import shown_words
from runlore.engine.capture.machine import gpu_names, machine
from runlore.engine.capture.packages import installed_packages, packages_in
from runlore.engine.capture.program import program


@pytest.mark.parametrize(
    ("argv0", "script"),
    [
        ("train.py", "train.py"),
        ("./code/../train.py", "train.py"),
        ("code/train.py", "code/train.py"),
        ("/elsewhere/train.py", "/elsewhere/train.py"),
        (f"{sys.prefix}/bin/train", "train"),
        ("-c", "-c"),
        ("", None),
        ("/x/ipykernel_launcher.py", None),
        ("b\udcffd.py", "b?d.py"),
    ],
)
def test_a_script_is_named_from_the_working_folder(
    argv0: str, script: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [argv0])
    assert program().document.get("script") == script


def test_the_source_is_looked_for_beside_the_script_and_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/elsewhere/train.py"])
    assert program().source_folders == ("/elsewhere", os.getcwd())


def test_a_notebook_is_known_in_jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/x/ipykernel_launcher.py", "-f", "kernel.json"])
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "explore.ipynb"))
    assert program().document["script"] == "explore.ipynb"


def test_a_working_folder_that_is_gone_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    folder.rmdir()
    found = program()
    assert "cwd" not in found.document
    assert found.source_folders == ()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--token", "abc"], ["--token", "***"]),
        (["--api-key=abc"], ["--api-key=***"]),
        (["https://me:pw@host/data"], ["***"]),
        (["--lr", "0.1"], ["--lr", "0.1"]),
        (["x" * 2_000], ["x" * 1_000 + "..."]),
        (["b\udcffd"], ["b?d"]),
        (["a"] * 1_003, [*["a"] * 1_000, "... (3 more)"]),
        (["a" * 900] * 60, [*["a" * 900] * 55, "... (5 more)"]),
    ],
    ids=["token", "api-key", "url", "plain", "long", "bytes", "many", "large"],
)
def test_arguments_are_masked_and_bounded(words: list[str], shown: list[str]) -> None:
    assert shown_words(words) == shown


def test_what_the_user_says_is_no_secret_is_shown() -> None:
    assert shown_words(["--token", "abc"], ["token"]) == ["--token", "abc"]


def test_packages_are_read_from_the_names_of_folders(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in (
        (first, ["Foo_Bar-1.0.dist-info", "odd", "zope.interface-5.4.egg-info"]),
        (second, ["foo_bar-2.0.dist-info", "eggs-0.1-py3.11.egg-info"]),
    ):
        for name in names:
            (folder / name).mkdir(parents=True)
    found = packages_in([str(first), str(second), str(tmp_path / "missing")])
    assert found.text == "eggs==0.1\nfoo-bar==1.0\nzope-interface==5.4\n"
    assert found.number == 3


def test_the_same_packages_have_the_same_digest(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "a-1.dist-info").mkdir(parents=True)
    one, two = (packages_in([str(tmp_path / folder)]).sha256 for folder in ("one", "two"))
    assert one == two != packages_in([]).sha256


def test_runlores_own_dependencies_are_among_the_packages() -> None:
    assert "\npydantic==" in installed_packages().text


def test_the_machine_is_described() -> None:
    found = machine()
    assert found["host"] and found["platform"] and found["cpu_count"] >= 1
    assert 2**20 < found["memory_nbytes"] < 2**60


def test_gpus_are_named_as_the_driver_does(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
        (tmp_path / f"0000:0{number}:00.0" / "information").write_text(
            "Model: \t\t NVIDIA H100\nIRQ:   \t 35\n"
        )
    (tmp_path / "broken").mkdir()
    assert gpu_names(tmp_path) == ["NVIDIA H100", "NVIDIA H100"]
    assert gpu_names(tmp_path / "missing") == []
