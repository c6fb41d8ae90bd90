"""The user's own settings: whose file counts, and what a damaged one does."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from runlore.storage import user_settings as module
from runlore.storage.user_settings import (
    SettingsUnusable,
    UserSettings,
    change_settings,
    settings_file,
    user_settings,
)

HERE = os.geteuid()


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file of a home folder of this test; it does not exist yet."""
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(module, "_warned", set())
    return tmp_path / ".config/runlore/config.json"


def write(file: Path, content: object, mode: int = 0o600) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    file.write_bytes(text)
    file.chmod(mode)


def read() -> tuple[UserSettings, list[str]]:
    """The settings, and the warnings that reading them gave."""
    told: list[str] = []
    return user_settings(told.append), told


def trust(folder: str) -> Callable[[UserSettings], UserSettings]:
    return lambda settings: settings._replace(trusted=(*settings.trusted, folder))


# --- where and what ---------------------------------------------------------------------------


def test_without_a_file_there_are_no_settings(file: Path) -> None:
    assert settings_file() == file
    assert read() == (UserSettings(), [])
    assert not file.parent.exists()


def test_an_absolute_folder_of_the_environment_comes_first(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert settings_file() == file
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert settings_file() == tmp_path / "xdg/runlore/config.json"


@pytest.mark.parametrize("home", ["", "relative"])
def test_without_a_home_folder_there_are_no_settings(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    assert read() == (UserSettings(), [])
    with pytest.raises(SettingsUnusable, match="set HOME"):
        change_settings(trust("/data"))


def test_what_is_written_is_read(file: Path) -> None:
    def change(settings: UserSettings) -> UserSettings:
        return UserSettings(("/data",), {"id": "/disk"}, ("TOKENIZER",))

    assert change_settings(change) == UserSettings(("/data",), {"id": "/disk"}, ("TOKENIZER",))
    assert read() == (UserSettings(("/data",), {"id": "/disk"}, ("TOKENIZER",)), [])


def test_the_file_and_its_folder_are_private_whatever_the_umask(file: Path) -> None:
    before = os.umask(0)
    try:
        change_settings(trust("/data"))
    finally:
        os.umask(before)

    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_unknown_fields_survive_a_change(file: Path) -> None:
    write(file, {"of a later version": [1]})

    change_settings(trust("/data"))

    assert json.loads(file.read_text())["of a later version"] == [1]
    assert read()[0].trusted == ("/data",)


def test_a_name_that_is_not_utf8_survives(file: Path) -> None:
    change_settings(trust("/caf\udce9"))

    assert read() == (UserSettings(("/caf\udce9",)), [])


def test_changes_at_once_all_count(file: Path) -> None:
    threads = [threading.Thread(target=change_settings, args=(trust(f"/{n}"),)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(read()[0].trusted) == {f"/{n}" for n in range(20)}


# --- what does not count ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "does not hold a JSON object"),
        (b" " * (1 << 20) + b"{}", "is larger than 1,048,576 bytes"),
    ],
)
def test_a_damaged_file_warns_once_and_counts_as_none(
    file: Path, content: bytes, problem: str
) -> None:
    write(file, content)

    settings, told = read()
    assert settings == UserSettings()
    assert len(told) == 1
    assert str(file) in told[0]
    assert problem in told[0]
    assert read() == (UserSettings(), [])


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf{}"])
def test_an_empty_file_is_not_damaged(file: Path, content: bytes) -> None:
    write(file, content)

    assert read() == (UserSettings(), [])


@pytest.mark.parametrize(
    "wrong",
    [{"trusted": "/data"}, {"trusted": ["data"]}, {"artifacts": ["/x"]}, {"not_secret": [1]}],
)
def test_a_wrong_value_warns_and_the_others_count(file: Path, wrong: dict[str, object]) -> None:
    right = {"trusted": ["/data"], "artifacts": {"id": "/disk"}, "not_secret": ["TOKENIZER"]}
    write(file, right | wrong)

    settings, told = read()

    name = next(iter(wrong))
    assert len(told) == 1
    assert repr(name) in told[0]
    expected = UserSettings(("/data",), {"id": "/disk"}, ("TOKENIZER",))
    assert settings == expected._replace(**{name: UserSettings._field_defaults[name]})


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"trusted": "/data"}'])
def test_a_damaged_file_is_not_overwritten(file: Path, content: bytes) -> None:
    write(file, content)

    with pytest.raises(SettingsUnusable):
        change_settings(trust("/data"))

    assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir() if path.suffix == ".part"] == []


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_does_not_count(file: Path, mode: int) -> None:
    write(file, {"trusted": ["/data"]}, mode)

    settings, told = read()

    assert settings == UserSettings()
    assert f"mode 0{mode:o}" in told[0]
    assert "chmod go-w" in told[0]
    with pytest.raises(SettingsUnusable, match="chmod go-w"):
        change_settings(trust("/other"))


def test_nor_does_one_in_a_folder_that_others_can_write(file: Path) -> None:
    write(file, {"trusted": ["/data"]})
    file.parent.chmod(0o770)

    assert read()[0] == UserSettings()
    with pytest.raises(SettingsUnusable, match="chmod go-w"):
        change_settings(trust("/other"))


def test_nor_does_somebody_elses(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, {"trusted": ["/data"]})
    monkeypatch.setattr(os, "geteuid", lambda: HERE + 1)

    settings, told = read()

    assert settings == UserSettings()
    assert f"belongs to user {HERE}, and this is user {HERE + 1}" in told[0]


@pytest.mark.parametrize("mode", [0o700, 0o777])
def test_a_folder_without_settings_is_nobodys_concern(
    file: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Root may work with the home folder of the user who called `sudo`."""
    file.parent.mkdir(parents=True)
    file.parent.chmod(mode)
    monkeypatch.setattr(os, "geteuid", lambda: HERE + 1)

    assert read() == (UserSettings(), [])


def test_nor_does_a_pipe_which_would_never_end(file: Path) -> None:
    file.parent.mkdir(mode=0o700, parents=True)
    os.mkfifo(file, 0o600)

    settings, told = read()

    assert settings == UserSettings()
    assert "is not a file" in told[0]


def test_a_link_to_a_file_of_ones_own_counts(tmp_path: Path, file: Path) -> None:
    """Many people keep their settings in a repository, and link to it."""
    write(tmp_path / "dotfiles/runlore.json", {"trusted": ["/data"]})
    file.parent.mkdir(mode=0o700, parents=True)
    file.symlink_to(tmp_path / "dotfiles/runlore.json")

    assert read()[0].trusted == ("/data",)
    change_settings(trust("/other"))
    assert file.is_symlink()
    assert read()[0].trusted == ("/data", "/other")


def test_the_warning_is_an_ordinary_one_by_default(file: Path) -> None:
    write(file, b"{")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        user_settings()

    assert ["is not JSON" in str(one.message) for one in caught] == [True]
