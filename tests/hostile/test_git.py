"""Looking at a repository starts no program that it names, whatever it names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from runlore.storage.git_info import forget_git_answers, git_properties
from tests.git_repositories import environ as environ
from tests.git_repositories import fresh_git_answers as fresh_git_answers
from tests.git_repositories import git
from tests.hostile.users import FIRST_USER

pytestmark = pytest.mark.processes

DIRTY = "azureml.git.dirty"


def make_repository(folder: Path) -> Path:
    """A repository with a few committed files, one of them in a folder."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name in ("train.py", "sub/fit.py", "model.bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"{name}\n" * 10)
    (folder / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves a trace, and passes on its input as a filter does."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\ntouch '{tmp_path}/PWN'\nexec cat\n")
    path.chmod(0o755)
    return path


def assert_starts_nothing(repository: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """In each state in which git wants to look into files; and the answers are right."""
    assert ask(repository, environ) == "False"
    for path in repository.rglob("*.py"):  # The same content at another time: git compares it.
        os.utime(path, (1, 1))
    assert ask(repository, environ) == "False"
    (repository / "train.py").write_text("changed")
    assert ask(repository, environ) == "True"
    assert ask(repository / "sub", environ) == "False"
    (repository / "train.py").unlink()
    assert ask(repository, environ) == "True"
    assert not (tmp_path / "PWN").exists()


def ask(folder: Path, environ: dict[str, str]) -> str | None:
    forget_git_answers()
    return git_properties(folder, environ).get(DIRTY)


# Every key of git-config(1) whose value is a command, as of git 2.39 to 2.52.
COMMANDS = {
    *("alias.config", "alias.rev-parse", "alias.status", "alias.symbolic-ref"),
    *("browser.evil.cmd", "core.alternateRefsCommand", "core.askPass", "core.editor"),
    *("core.fsmonitor", "core.gitProxy", "core.pager", "core.sshCommand", "credential.helper"),
    *("credential.https://example.org.helper", "diff.evil.command", "diff.evil.textconv"),
    *("diff.external", "difftool.evil.cmd", "filter.evil.clean", "filter.evil.process"),
    *("filter.evil.smudge", "gc.recentObjectsHook", "gpg.openpgp.program", "gpg.program"),
    *("gpg.ssh.defaultKeyCommand", "gpg.ssh.program", "gpg.x509.program", "guitool.evil.cmd"),
    *("hook.evil.command", "imap.tunnel", "instaweb.httpd", "interactive.diffFilter"),
    *("man.evil.cmd", "merge.evil.driver", "mergetool.evil.cmd", "pager.config"),
    *("pager.rev-parse", "pager.status", "receive.procReceiveRefs", "remote.origin.receivepack"),
    *("remote.origin.uploadpack", "remote.origin.vcs", "sendemail.sendmailCmd"),
    *("sendemail.toCmd", "sequence.editor", "ssh.variant", "submodule.evil.update"),
    *("trailer.evil.cmd", "trailer.evil.command", "uploadpack.packObjectsHook", "web.browser"),
}


@pytest.mark.long
@pytest.mark.parametrize("key", sorted(COMMANDS))
def test_no_key_starts_a_program(
    key: str, repository: Path, environ: dict[str, str], program: Path, tmp_path: Path
) -> None:
    git(repository, "config", key, str(program))
    if key == "hook.evil.command":
        for event in ("post-index-change", "reference-transaction", "pre-commit"):
            git(repository, "config", "--add", "hook.evil.event", event)

    assert_starts_nothing(repository, environ, tmp_path)


def test_all_keys_at_once_start_no_program(
    repository: Path, environ: dict[str, str], program: Path, tmp_path: Path
) -> None:
    for key in COMMANDS:
        git(repository, "config", key, str(program))
    git(repository, "config", "filter.evil.required", "true")

    assert_starts_nothing(repository, environ, tmp_path)


@pytest.mark.parametrize("name", ["a=b", "a\nb", "a.b.clean", "Ü\t", '"', "-c"])
def test_no_filter_starts_whatever_its_name(
    name: str, repository: Path, environ: dict[str, str], program: Path, tmp_path: Path
) -> None:
    """Names that cannot be switched off by `git -c filter.<name>.clean=`."""
    quoted = name.replace('"', '\\"')
    with (repository / ".git/config").open("a") as config:
        if "\n" not in name:
            config.write(f'[filter "{quoted}"]\n\tclean = {program}\n')
        config.write(f"[filter]\n\tclean = {program}\n")
    (repository / ".git/info/attributes").write_text(f"* filter={name.split()[0]}\n")

    assert_starts_nothing(repository, environ, tmp_path)


@pytest.mark.parametrize("where", ["attributes", "core.attributesFile", "worktree"])
def test_no_filter_starts_wherever_its_attribute_is(
    where: str, repository: Path, environ: dict[str, str], program: Path, tmp_path: Path
) -> None:
    git(repository, "config", "filter.other.clean", str(program))
    git(repository, "config", "filter.other.process", str(program))
    match where:
        case "attributes":
            (repository / ".git/info/attributes").write_text("* filter=other\n")
        case "core.attributesFile":
            (tmp_path / "attributes").write_text("* filter=other\n")
            git(repository, "config", "core.attributesFile", str(tmp_path / "attributes"))
        case "worktree":
            (repository / ".gitattributes").write_text("* filter=other\n")
            git(repository, "commit", "--quiet", "--all", "--message", "attributes")
            (tmp_path / "PWN").unlink(missing_ok=True)

    assert_starts_nothing(repository, environ, tmp_path)


@pytest.mark.parametrize(
    "how", ["include.path", "includeIf.gitdir", "includeIf.onbranch", "config.worktree"]
)
def test_no_included_config_starts_a_program(
    how: str, repository: Path, environ: dict[str, str], program: Path, tmp_path: Path
) -> None:
    hidden = repository / ".git" / ("config.worktree" if how == "config.worktree" else "hidden")
    hidden.write_text(
        f'[filter "evil"]\n\tclean = {program}\n\tprocess = {program}\n'
        f"[core]\n\tfsmonitor = {program}\n"
    )
    match how:
        case "include.path":
            git(repository, "config", "include.path", str(hidden))
        case "includeIf.gitdir":
            git(repository, "config", f"includeIf.gitdir:{repository}/.path", str(hidden))
        case "includeIf.onbranch":
            git(repository, "config", "includeIf.onbranch:main.path", str(hidden))
        case "config.worktree":
            git(repository, "config", "extensions.worktreeConfig", "true")

    assert_starts_nothing(repository, environ, tmp_path)


@pytest.mark.parametrize("place", ["hooks", "core.hooksPath"])
def test_no_hook_is_started(
    place: str, repository: Path, environ: dict[str, str], program: Path, tmp_path: Path
) -> None:
    folder = repository / ".git/hooks" if place == "hooks" else tmp_path / "hooks"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if place == "core.hooksPath":
        git(repository, "config", "core.hooksPath", str(folder))
    for hook in (
        *("applypatch-msg", "pre-applypatch", "post-applypatch", "pre-commit", "post-commit"),
        *("pre-merge-commit", "prepare-commit-msg", "commit-msg", "pre-rebase", "post-checkout"),
        *("post-merge", "pre-push", "pre-receive", "update", "proc-receive", "post-receive"),
        *("post-update", "reference-transaction", "push-to-checkout", "pre-auto-gc"),
        *("post-rewrite", "sendemail-validate", "fsmonitor-watchman", "post-index-change"),
        *("p4-changelist", "p4-prepare-changelist", "p4-post-changelist", "p4-pre-submit"),
    ):
        shutil.copy(program, folder / hook)

    assert_starts_nothing(repository, environ, tmp_path)


def test_a_submodule_starts_no_program(
    repository: Path, environ: dict[str, str], program: Path, tmp_path: Path
) -> None:
    inner = make_repository(tmp_path / "inner")
    git(
        repository,
        *("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(inner), "module"),
    )
    git(repository, "commit", "--quiet", "--message", "a submodule")
    module = repository / "module"
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.process"):
        git(module, "config", key, str(program))
    git(repository, "config", "submodule.recurse", "true")
    git(repository, "config", "diff.ignoreSubmodules", "none")
    (repository / ".gitmodules").write_text(
        (repository / ".gitmodules").read_text() + f"\tupdate = !{program}\n\tignore = none\n"
    )
    git(repository, "commit", "--quiet", "--all", "--message", "update")
    (tmp_path / "PWN").unlink(missing_ok=True)
    os.utime(module / "train.py", (1, 1))

    assert ask(repository, environ) == "False"
    git(module, "-c", "filter.evil.process=", "-c", "filter.evil.clean=", "commit", "--quiet",
        "--allow-empty", "--message", "x")  # fmt: skip
    (tmp_path / "PWN").unlink(missing_ok=True)
    assert ask(repository, environ) == "True"
    assert not (tmp_path / "PWN").exists()


def test_a_missing_object_is_not_fetched(
    repository: Path, environ: dict[str, str], program: Path, tmp_path: Path
) -> None:
    """A partial clone asks its promisor, and the way to that is a program."""
    commit = git(repository, "rev-parse", "HEAD")
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    for key, value in (
        ("core.repositoryFormatVersion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", f"ext::{program} %S"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.partialCloneFilter", "tree:0"),
        ("protocol.allow", "always"),
        ("protocol.ext.allow", "always"),
        ("core.sshCommand", str(program)),
    ):
        git(repository, "config", key, value)
    (repository / ".git/objects" / tree[:2] / tree[2:]).unlink()

    properties = git_properties(repository, environ)

    assert properties["azureml.git.commit"] == commit
    assert DIRTY not in properties  # It cannot be known without the tree.
    assert not (tmp_path / "PWN").exists()


def test_a_replaced_commit_does_not_answer_for_the_real_one(
    repository: Path, environ: dict[str, str]
) -> None:
    real = git(repository, "rev-parse", "HEAD")
    (repository / "train.py").write_text("replaced")
    git(repository, "commit", "--quiet", "--all", "--message", "another")
    other = git(repository, "rev-parse", "HEAD")
    git(repository, "reset", "--quiet", "--soft", real)
    git(repository, "replace", real, other)

    properties = git_properties(repository, environ)

    assert properties["azureml.git.commit"] == real
    assert properties[DIRTY] == "True"


def test_a_bare_repository_inside_a_project_is_not_asked(
    tmp_path: Path, environ: dict[str, str], program: Path
) -> None:
    """A clone brings its files, and a folder of them can look like a repository."""
    outer = make_repository(tmp_path / "outer")
    bare = outer / "data"
    git(tmp_path, "init", "--quiet", "--bare", str(bare))
    git(bare, "config", "core.worktree", str(outer))
    git(bare, "config", "core.bare", "false")
    git(bare, "config", "core.fsmonitor", str(program))
    git(bare, "config", "remote.origin.url", "https://example.org/forged")

    assert git_properties(bare, environ) == {}
    assert not (tmp_path / "PWN").exists()


@pytest.mark.parametrize("top", ["/", "home", "outside"])
def test_a_work_tree_elsewhere_is_not_searched(
    top: str, repository: Path, environ: dict[str, str], program: Path, tmp_path: Path
) -> None:
    for name in ("home", "outside"):
        (tmp_path / name).mkdir(exist_ok=True)
    place = top if top == "/" else str(tmp_path / top)
    git(repository, "config", "core.worktree", place)
    git(repository, "config", "--file", str(repository / ".git/config"), "filter.evil.clean",
        str(program))  # fmt: skip

    assert ask(repository, environ) in (None, "True")
    assert not (tmp_path / "PWN").exists()


@pytest.mark.parametrize("key", ["include.path", "core.excludesFile", "core.attributesFile"])
def test_a_pipe_that_a_config_names_is_given_up(
    key: str, repository: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    git(repository, "config", key, str(tmp_path / "pipe"))

    properties = git_properties(repository, environ, timeout_s=0.5)

    assert properties.get("azureml.git.branch") in (None, "main")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_repository_of_somebody_else_is_unknown(
    repository: Path, environ: dict[str, str]
) -> None:
    for path in (repository, *repository.rglob("*")):
        os.chown(path, FIRST_USER, FIRST_USER, follow_symlinks=False)

    assert git_properties(repository, environ) == {}
    git(repository.parent, "config", "--file", f"{environ['HOME']}/.gitconfig", "safe.directory",
        str(repository))  # fmt: skip
    assert ask(repository, environ) == "False"


def test_nothing_is_left_in_the_repository(
    repository: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    os.utime(repository / "train.py")
    before = {path: path.lstat().st_mtime_ns for path in repository.rglob("*")}

    assert ask(repository, environ) == "False"

    assert {path: path.lstat().st_mtime_ns for path in repository.rglob("*")} == before
    assert list((tmp_path / "temporary").iterdir()) == []
