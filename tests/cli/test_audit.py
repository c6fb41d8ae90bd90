"""`runlore audit`: verifying, signing and proving from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.shell import in_this_process, on_terminal, runlore
from tests.tampering import tampering


def audit(*arguments: str, cwd: Path, code: int = 0) -> object:
    """What a command of the group gives as JSON."""
    ran = in_this_process("audit", *arguments, cwd=cwd)
    assert ran.code == code, ran.err
    return json.loads(ran.out)


@pytest.fixture
def key(own_project: Path) -> str:
    file = own_project / "lab.key"
    made = audit("key", "new", str(file), cwd=own_project)
    assert isinstance(made, dict) and made["file"] == str(file)
    verifier = made["verifier_key"]
    assert isinstance(verifier, str)
    return verifier


def test_a_workspace_that_nobody_touched_is_verified(project: Path) -> None:
    ran = runlore("audit", "verify", cwd=project)

    assert ran.data["holds"] is True
    assert ran.data["findings"] == []
    assert ran.err.endswith("0 findings, 0 checkpoints, 0 of them in doubt: all holds\n")


def test_verifying_changes_nothing(own_project: Path) -> None:
    before = (own_project / "myworkspace" / "log.sqlite").read_bytes()
    runlore("audit", "verify", cwd=own_project)

    assert (own_project / "myworkspace" / "log.sqlite").read_bytes() == before


def test_a_changed_event_is_named_and_the_exit_code_is_1(own_project: Path) -> None:
    with tampering(own_project / "myworkspace" / "log.sqlite") as connection:
        connection.execute(
            "UPDATE stored_events SET state = x'80' WHERE originator_id = 'run/poor' "
            "AND originator_version = 1"
        )

    ran = runlore("audit", "verify", cwd=own_project, code=1)
    [finding] = ran.data["findings"]
    assert (finding["kind"], finding["stream"], finding["version"]) == ("changed", "run/poor", 1)

    shown = on_terminal("audit", "verify", cwd=own_project)
    assert shown.code == 1
    assert "run/poor version 1, run.created" in shown.out
    assert "NOT as it was recorded" in shown.err


def test_a_damaged_identity_of_the_workspace_is_a_finding_like_any_other(
    own_project: Path,
) -> None:
    with tampering(own_project / "myworkspace" / "log.sqlite") as connection:
        connection.execute("UPDATE stored_events SET state = x'c1' WHERE topic LIKE 'workspace.%'")

    ran = runlore("audit", "verify", cwd=own_project, code=1)

    assert [one["stream"] for one in ran.data["findings"]] == ["workspace"]


def test_a_file_that_cannot_be_opened_says_so_with_exit_code_1(own_project: Path) -> None:
    log = own_project / "myworkspace" / "log.sqlite"
    log.write_bytes(log.read_bytes()[:5000])

    assert "is damaged" in runlore("audit", "verify", cwd=own_project, code=1).err


@pytest.mark.parametrize("how", ["config", "name", "path", "environment"])
def test_the_workspace_is_found_as_by_every_command(
    project: Path, tmp_path: Path, how: str
) -> None:
    workspace = project / "myworkspace"
    match how:
        case "config":
            ran = runlore("audit", "verify", cwd=project)
        case "name":
            ran = runlore("audit", "verify", "--workspace", "myworkspace", cwd=project)
        case "path":
            ran = runlore("audit", "verify", "--path", str(workspace), cwd=tmp_path)
        case _:
            uri = f"sqlite://{workspace}"
            ran = runlore("audit", "verify", cwd=tmp_path, RUNLORE_WORKSPACE_URI=uri)

    assert ran.data["events"] > 10


def test_other_commands_take_the_workspace_of_the_environment_too(
    project: Path, tmp_path: Path
) -> None:
    uri = f"sqlite://{project / 'myworkspace'}"

    shown = runlore("workspace", "show", cwd=tmp_path, RUNLORE_WORKSPACE_URI=uri)

    assert shown.data["name"] == "myworkspace"


def test_a_named_folder_stands_over_the_environment(project: Path, tmp_path: Path) -> None:
    ran = runlore(
        *("audit", "verify", "--path", str(project)),
        cwd=tmp_path,
        RUNLORE_WORKSPACE_URI="sqlite:///nowhere",
    )

    assert ran.data["holds"] is True


def test_keys_are_listed_and_never_overwritten(own_project: Path, key: str) -> None:
    again = in_this_process("audit", "key", "new", "lab.key", cwd=own_project)
    assert again.code == 1
    assert "exists already and is not overwritten" in again.err

    listed = audit("key", "list", cwd=own_project)
    assert listed == [{"name": key.split("+")[0], "hash": key.split("+")[1], "verifier_key": key}]


def test_a_key_lies_with_its_user_by_default(own_project: Path, tmp_path: Path) -> None:
    made = runlore("audit", "key", "new", cwd=own_project, XDG_CONFIG_HOME=str(tmp_path)).data
    runlore("audit", "checkpoint", "create", cwd=own_project, XDG_CONFIG_HOME=str(tmp_path))

    assert Path(made["file"]).parent == tmp_path / "runlore" / "keys"


def test_a_checkpoint_is_made_listed_and_verified(own_project: Path, key: str) -> None:
    made = audit("checkpoint", "create", "--key", "lab.key", "--export", "out", cwd=own_project)
    assert isinstance(made, dict)

    listed = audit("checkpoint", "list", cwd=own_project)
    verified = audit("checkpoint", "verify", cwd=own_project)
    (own_project / "keys.txt").write_text(f"# of the lab\n{key}\n")
    size = made["size"]
    elsewhere = ("--trusted", "keys.txt", "--checkpoint", f"out/{size}.txt")
    whole = audit("verify", *elsewhere, cwd=own_project)

    assert isinstance(listed, list) and [one["size"] for one in listed] == [size]
    assert isinstance(verified, list) and [one["problem"] for one in verified] == [None]
    assert isinstance(whole, dict) and whole["holds"] is True
    assert [one["size"] for one in whole["checkpoints"]] == [size]


def test_a_checkpoint_that_nobody_trusted_has_signed_fails_the_verification(
    own_project: Path, key: str
) -> None:
    audit("key", "new", "forger.key", cwd=own_project)
    audit("checkpoint", "create", "--key", "forger.key", cwd=own_project)
    (own_project / "keys.txt").write_text(f"{key}\n")

    found = audit("verify", "--trusted", "keys.txt", cwd=own_project, code=1)
    alone = audit("checkpoint", "verify", "--trusted", "keys.txt", cwd=own_project, code=1)

    assert isinstance(found, dict) and found["findings"] == []
    assert isinstance(alone, list)
    assert found["checkpoints"] == alone


def test_where_keys_are_given_a_checkpoint_must_be_there(own_project: Path, key: str) -> None:
    audit("checkpoint", "create", "--key", "lab.key", cwd=own_project)
    (own_project / "keys.txt").write_text(f"{key}\n")
    audit("verify", "--trusted", "keys.txt", cwd=own_project)
    for made in own_project.glob("**/audit/checkpoints/*.txt"):
        made.unlink()  # As somebody would who has rewritten the log.

    found = audit("verify", "--trusted", "keys.txt", cwd=own_project, code=1)
    unasked = audit("verify", cwd=own_project)

    assert isinstance(found, dict) and isinstance(unasked, dict)
    assert (found["is_unsigned"], found["findings"]) == (True, [])
    assert unasked["holds"] is True


def test_a_workspace_that_names_its_keys_itself_is_not_called_proved(
    own_project: Path, key: str
) -> None:
    audit("checkpoint", "create", "--key", "lab.key", cwd=own_project)
    (own_project / "keys.txt").write_text(f"{key}\n")

    alone = in_this_process("audit", "verify", cwd=own_project)
    asked = in_this_process("audit", "verify", "--trusted", "keys.txt", cwd=own_project)

    name, key_id = key.split("+")[:2]
    assert f"only the workspace itself says whose key has signed it: {name} ({key_id})" in alone.err
    assert json.loads(alone.out)["is_self_signed"] and "itself says" not in asked.err


def test_the_ends_of_runs_are_signed_by_whoever_records_them(own_project: Path, key: str) -> None:
    audit("checkpoint", "auto", "--key", "lab.key", cwd=own_project)
    runlore("run", "cancel", "-r", "running", cwd=own_project)

    listed = audit("checkpoint", "list", cwd=own_project)
    assert isinstance(listed, list) and len(listed) == 1

    off = audit("checkpoint", "auto", "--off", cwd=own_project)
    assert off == {"key": None, "export": None, "at_run_end": False, "folder": None}


def test_a_proof_is_verified_on_the_command_line(own_project: Path, key: str) -> None:
    audit("checkpoint", "create", "--key", "lab.key", cwd=own_project)
    proof = audit("prove", "poor@1", cwd=own_project)
    (own_project / "proof.json").write_text(json.dumps(proof))

    ran = in_this_process("audit", "verify-proof", "proof.json", "--key", key, cwd=own_project)
    assert ran.code == 0
    assert ran.out.startswith("PROVED.\nThis event is number ")

    forged = json.dumps(proof).replace("run/poor", "run/rich")
    (own_project / "proof.json").write_text(forged)
    ran = in_this_process("audit", "verify-proof", "proof.json", "--no-key", cwd=own_project)
    assert ran.code == 1
    assert "not proved: event and path do not lead" in ran.err

    assert in_this_process("audit", "verify-proof", "proof.json", cwd=own_project).code == 2


def test_growth_between_checkpoints_is_proved(own_project: Path, key: str) -> None:
    audit("checkpoint", "create", "--key", "lab.key", cwd=own_project)
    runlore("run", "tag", "-r", "poor", "a=b", cwd=own_project)
    audit("checkpoint", "create", "--key", "lab.key", cwd=own_project)
    listed = audit("checkpoint", "list", cwd=own_project)
    assert isinstance(listed, list)
    sizes = [str(one["size"]) for one in listed]

    proof = audit("consistency", *sizes, cwd=own_project)
    (own_project / "grown.json").write_text(json.dumps(proof))
    ran = in_this_process("audit", "verify-proof", "grown.json", "--key", key, cwd=own_project)

    assert ran.code == 0
    assert "none was changed, removed or moved" in ran.out


def test_a_copy_without_its_audit_folder_is_verified_with_a_checkpoint_kept_elsewhere(
    own_project: Path, key: str
) -> None:
    audit("checkpoint", "create", "--key", "lab.key", "--export", "out", cwd=own_project)
    shutil.rmtree(own_project / "myworkspace" / "audit")
    [kept] = (own_project / "out").iterdir()
    (own_project / "keys.txt").write_text(key)

    found = audit(*("verify", "--trusted", "keys.txt", "--checkpoint", str(kept)), cwd=own_project)
    untrusted = audit("verify", "--checkpoint", str(kept), cwd=own_project, code=1)

    assert isinstance(found, dict) and found["holds"] is True
    assert isinstance(untrusted, dict) and untrusted["holds"] is False


def test_a_bundle_is_verified_with_the_signature_of_what_its_events_lead_to(
    own_project: Path, key: str
) -> None:
    (own_project / "keys.txt").write_text(key)
    verify = ("audit", "verify", "run.bundle", "--trusted", "keys.txt")
    export = ("audit", "export", "-r", "poor", "--to")
    runlore(*export, "run.bundle", cwd=own_project)
    unsigned = in_this_process(*verify, cwd=own_project)
    audit("checkpoint", "create", "--key", "lab.key", cwd=own_project)
    (own_project / "run.bundle").unlink()
    runlore(*export, "run.bundle", cwd=own_project)

    assert unsigned.code == 1
    assert "has no checkpoint of the" in unsigned.err
    assert in_this_process(*verify, cwd=own_project).code == 0
    audit("key", "new", "other.key", cwd=own_project)
    listed = audit("key", "list", "--query", "[1].verifier_key", cwd=own_project)
    (own_project / "keys.txt").write_text(str(listed))
    doubted = in_this_process(*verify, cwd=own_project)
    assert doubted.code == 1
    assert "no trusted key has signed it" in doubted.err
