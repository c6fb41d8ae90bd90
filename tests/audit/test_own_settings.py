"""Which key signs and where checkpoints go: the user says it, never the workspace."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from runlore import Workspace
from runlore.audit.audited import AuditedLog
from runlore.audit.checkpoints import create_checkpoint, set_automatic
from runlore.audit.keys import BadKey, default_path, new_key, read_key
from runlore.domain.errors import InvalidInput
from runlore.storage.user_settings import settings_file, user_settings
from runlore.workspace import session_of
from tests.audit.conftest import start


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config"


def plant(folder: Path, **settings: object) -> None:
    """The settings of an earlier runlore, as a stranger may have written them."""
    (folder / "audit").mkdir(exist_ok=True)
    (folder / "audit" / "settings.json").write_text(json.dumps(settings))


def test_settings_stand_in_the_users_file_and_not_in_the_workspace(
    audited: AuditedLog, key: Path
) -> None:
    set_automatic(audited, key=key)

    path = settings_file()
    assert path is not None
    [made] = json.loads(path.read_text())["checkpoints"].values()
    folder = str(audited.kept.workspace)
    assert made == {"key": str(key), "export": None, "at_run_end": True, "folder": folder}
    assert not (audited.kept.path / "settings.json").exists()


def test_a_workspace_that_asks_for_a_signature_gets_none(ws: Workspace, tmp_path: Path) -> None:
    audited = AuditedLog.of(session_of(ws))
    new_key(default_path(audited.origin), audited.origin)  # Of the user who opens it.
    assert ws.path is not None
    plant(ws.path, key=None, export=str(tmp_path / "taken"), at_run_end=True)

    with pytest.warns(RuntimeWarning, match="is not obeyed any more.*checkpoint auto") as told:
        start(ws, "first").complete()
    start(ws, "second").complete()  # Said once: warnings are errors in this suite.

    assert len(told) == 1
    assert audited.kept.checkpoints() == [] and not (tmp_path / "taken").exists()


def test_a_workspace_names_no_folder_for_a_checkpoint_that_is_made_by_hand(
    ws: Workspace, audited: AuditedLog, key: Path, tmp_path: Path
) -> None:
    assert ws.path is not None
    plant(ws.path, key="/etc/shadow", export=str(tmp_path / "taken"), at_run_end=False)

    _, written = create_checkpoint(audited, key=key)

    assert [path.parent.name for path in written] == ["checkpoints"]
    assert not (tmp_path / "taken").exists()


@pytest.mark.parametrize("off", [False, True])
def test_setting_them_again_replaces_the_old_ones(
    ws: Workspace, audited: AuditedLog, key: Path, off: bool
) -> None:
    assert ws.path is not None
    plant(ws.path, key=str(key), export=None, at_run_end=True)

    set_automatic(audited, key=None if off else key)
    start(ws, "ends").complete()

    assert not (ws.path / "audit" / "settings.json").exists()
    assert len(audited.kept.checkpoints()) == (0 if off else 1)


def test_a_copy_of_the_same_id_is_not_signed(
    ws: Workspace, audited: AuditedLog, key: Path, tmp_path: Path
) -> None:
    set_automatic(audited, key=key, export=tmp_path / "kept")
    assert ws.path is not None
    ws.close()
    shutil.copytree(ws.path, tmp_path / "copy")  # Somebody may have written to it since.

    with Workspace.open(tmp_path / "copy") as copy:
        with pytest.warns(RuntimeWarning, match="of this id in .*lab, and this one is in .*copy"):
            start(copy, "ends").complete()
        with pytest.raises(InvalidInput, match="nothing was signed: .*, or name the key"):
            copy.audit.checkpoint()
        assert AuditedLog.of(session_of(copy)).kept.checkpoints() == []
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    "checkpoints",
    [
        [],
        {"id": []},
        {"id": {"key": 1}},
        {"id": {"key": "relative.key"}},
        {"id": {"export": "/a\0b"}},
        {"id": {"at_run_end": "yes"}},
        {"id": {"more": 1}},
    ],
)
def test_settings_that_make_no_sense_do_not_count(config: Path, checkpoints: object) -> None:
    (config / "runlore").mkdir(parents=True, mode=0o700)
    file = config / "runlore" / "config.json"
    file.write_text(json.dumps({"checkpoints": checkpoints, "trusted": ["/a"]}))
    told: list[str] = []

    found = user_settings(told.append)

    assert found.checkpoints == {} and found.trusted == ("/a",)
    assert len(told) == 1 and "'checkpoints' must be an object" in told[0]


# --- private keys ---------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_key_of_another_user_signs_nothing(audited: AuditedLog, key: Path) -> None:
    os.chown(key, 12345, -1)
    with pytest.raises(BadKey, match="belongs to user 12345"):
        create_checkpoint(audited, key=key)


def test_a_pipe_for_a_key_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(BadKey, match="is not a file"):
        read_key(tmp_path / "pipe")


def test_a_key_in_a_workspace_is_warned_of_when_it_is_made_and_when_it_signs(
    ws: Workspace, audited: AuditedLog
) -> None:
    assert ws.path is not None
    file = ws.path / "keys" / "lab.key"
    with pytest.warns(UserWarning, match="whoever gets a copy of the workspace can sign as you"):
        new_key(file, audited.origin)
    with pytest.warns(UserWarning, match="whoever gets a copy of the workspace can sign as you"):
        create_checkpoint(audited, key=file)


# --- whose keys they are --------------------------------------------------------------------------


def test_keys_that_only_the_workspace_names_are_said_to_be_strangers(
    ws: Workspace, audited: AuditedLog, key: Path, tmp_path: Path
) -> None:
    create_checkpoint(audited, key=key)
    public = read_key(key).verifier
    trusted = tmp_path / "keys.txt"
    trusted.write_text(f"{public}\n")

    found = ws.audit.verify()
    assert found.holds and found.is_self_signed
    assert found.strangers == (f"{public.name} ({public.key_id.hex()})",)
    assert not ws.audit.verify(trusted=trusted).is_self_signed
    set_automatic(audited, key=key)  # Now it is known to be the user's own.
    assert not ws.audit.verify().is_self_signed


def test_a_workspace_without_checkpoints_is_signed_by_nobody(
    ws: Workspace, audited: AuditedLog
) -> None:
    assert not ws.audit.verify().is_self_signed
