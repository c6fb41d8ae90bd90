"""Git properties, from real repositories made by a real git."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runlore.storage.git_info import forget_git_answers, git_properties, without_credentials
from tests.git_repositories import environ as environ
from tests.git_repositories import fresh_git_answers as fresh_git_answers
from tests.git_repositories import git

URL = "https://github.com/someone/code.git"


def commit_file(folder: Path, name: str) -> str:
    (folder / name).write_text(name)
    git(folder, "add", name)
    git(folder, "commit", "--quiet", "--message", f"add {name}")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "remote", "add", "origin", URL)
    commit_file(folder, "train.py")
    return folder


# --- what git says


@pytest.mark.processes
def test_a_clean_repository_gives_uri_branch_commit_and_that_it_is_clean(
    repository: Path, environ: dict[str, str]
) -> None:
    commit = git(repository, "rev-parse", "HEAD")

    assert git_properties(repository, environ) == {
        "azureml.git.repository_uri": URL,
        "azureml.git.branch": "main",
        "azureml.git.commit": commit,
        "azureml.git.dirty": "False",
        "mlflow.source.git.repoURL": URL,
        "mlflow.source.git.branch": "main",
        "mlflow.source.git.commit": commit,
    }


@pytest.mark.processes
@pytest.mark.parametrize("change", ["modified", "staged", "untracked", "deleted"])
def test_a_changed_repository_is_dirty(
    repository: Path, environ: dict[str, str], change: str
) -> None:
    match change:
        case "modified":
            (repository / "train.py").write_text("changed")
        case "staged":
            (repository / "new.py").write_text("")
            git(repository, "add", "new.py")
        case "untracked":
            (repository / "new.py").write_text("")
        case "deleted":
            (repository / "train.py").unlink()

    assert git_properties(repository, environ)["azureml.git.dirty"] == "True"


@pytest.mark.processes
def test_ignored_files_make_nothing_dirty(repository: Path, environ: dict[str, str]) -> None:
    (repository / ".git" / "info" / "exclude").write_text("outputs/\n")
    (repository / "outputs").mkdir()
    (repository / "outputs" / "model.pkl").write_text("")

    assert git_properties(repository, environ)["azureml.git.dirty"] == "False"


@pytest.mark.processes
@pytest.mark.parametrize("where", ["default", "with a tilde", "of the repository"])
def test_nor_do_files_that_the_users_own_list_ignores(
    repository: Path, environ: dict[str, str], tmp_path: Path, where: str
) -> None:
    home = tmp_path / "home"
    (home / ".config/git").mkdir(parents=True)
    (home / ("mine" if where == "with a tilde" else ".config/git/ignore")).write_text("*.swp\n")
    if where == "with a tilde":
        (home / ".gitconfig").write_text("[core]\n\texcludesFile = ~/mine\n")
    if where == "of the repository":
        (tmp_path / "theirs").write_text("*.tmp\n")
        git(repository, "config", "core.excludesFile", str(tmp_path / "theirs"))
    (repository / ("train.tmp" if where == "of the repository" else "train.swp")).write_text("")

    assert git_properties(repository, environ)["azureml.git.dirty"] == "False"


@pytest.mark.processes
@pytest.mark.parametrize("setting", ["core.autocrlf=true", "core.fileMode=false"])
def test_the_users_settings_of_line_ends_and_modes_count(
    repository: Path, environ: dict[str, str], tmp_path: Path, setting: str
) -> None:
    key, _, value = setting.partition("=")
    git(repository, "config", key, value)
    (repository / "lines.py").write_bytes(b"a\r\nb\r\n")
    git(repository, "add", "lines.py")
    git(repository, "commit", "--quiet", "--message", "lines")
    os.utime(repository / "lines.py", (1, 1))
    (repository / "lines.py").chmod(0o755 if key == "core.fileMode" else 0o644)

    assert git_properties(repository, environ)["azureml.git.dirty"] == "False"


@pytest.mark.processes
def test_a_linked_worktree_has_its_own_branch_and_changes(
    repository: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    (repository / ".git" / "info" / "exclude").write_text("outputs/\n")
    git(repository, "worktree", "add", "--quiet", "-b", "try", str(tmp_path / "linked"))
    (repository / "train.py").write_text("changed")
    (tmp_path / "linked/outputs").mkdir()
    (tmp_path / "linked/outputs/model").write_text("")

    properties = git_properties(tmp_path / "linked", environ)

    assert properties["azureml.git.branch"] == "try"
    assert properties["azureml.git.dirty"] == "False"
    assert properties["azureml.git.repository_uri"] == URL


@pytest.mark.processes
def test_a_submodule_is_asked_for_itself(
    repository: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    allow = ("-c", "protocol.file.allow=always")
    git(tmp_path, "clone", "--quiet", str(repository), "inner")
    git(repository, *allow, "submodule", "add", "--quiet", str(tmp_path / "inner"), "module")
    git(repository, "commit", "--quiet", "--message", "module")

    assert git_properties(repository / "module", environ)["azureml.git.dirty"] == "False"
    (repository / "module" / "train.py").write_text("changed")
    forget_git_answers()
    assert git_properties(repository / "module", environ)["azureml.git.dirty"] == "True"
    assert git_properties(repository, environ)["azureml.git.dirty"] == "False"


@pytest.mark.processes
@pytest.mark.parametrize("kind", ["split index", "index of version 4", "sha256", "packed"])
def test_other_forms_of_a_repository_give_the_same(
    tmp_path: Path, environ: dict[str, str], kind: str
) -> None:
    form = "sha256" if kind == "sha256" else "sha1"
    folder = tmp_path / "other"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", f"--object-format={form}", "other")
    commit_file(folder, "a.py")
    commit = commit_file(folder, "train.py")
    match kind:
        case "split index":
            git(folder, "update-index", "--split-index")
        case "index of version 4":
            git(folder, "update-index", "--index-version", "4")
        case "packed":
            git(folder, "gc", "--quiet")

    properties = git_properties(folder, environ)
    assert properties["azureml.git.commit"] == commit
    assert properties["azureml.git.dirty"] == "False"
    forget_git_answers()
    (folder / "train.py").write_text("changed")
    assert git_properties(folder, environ)["azureml.git.dirty"] == "True"


@pytest.fixture
def with_lfs(repository: Path) -> Path:
    """A repository with two files of Git LFS: as committed they are pointers."""
    (repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (repository / "sub").mkdir()
    for name in ("a model.bin", "sub/b.bin"):
        digest = hashlib.sha256(name.encode()).hexdigest()
        (repository / name).write_text(
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(name)}\n"
        )
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "models")
    for name in ("a model.bin", "sub/b.bin"):
        (repository / name).write_text(name)
    return repository


@pytest.mark.processes
@pytest.mark.parametrize(
    ("change", "dirty"),
    [
        ("nothing", "False"),
        ("other content", "True"),
        ("other size", "True"),
        ("deleted", "True"),
        ("a link", "True"),
        ("another file as well", "True"),
        ("a file without a filter", "True"),
    ],
)
def test_files_of_git_lfs_are_compared_with_their_pointers(
    with_lfs: Path, environ: dict[str, str], change: str, dirty: str
) -> None:
    match change:
        case "other content":
            (with_lfs / "sub/b.bin").write_text("sub/x.bin")
        case "other size":
            (with_lfs / "sub/b.bin").write_text("more of it")
        case "deleted":
            (with_lfs / "sub/b.bin").unlink()
        case "a link":
            (with_lfs / "sub/b.bin").rename(with_lfs.parent / "b.bin")
            (with_lfs / "sub/b.bin").symlink_to(with_lfs.parent / "b.bin")
        case "another file as well":
            (with_lfs / "new.py").write_text("")
        case "a file without a filter":
            (with_lfs / "train.py").write_text("changed")

    assert git_properties(with_lfs, environ)["azureml.git.dirty"] == dirty
    elsewhere = change in ("another file as well", "a file without a filter")
    below = git_properties(with_lfs / "sub", environ)["azureml.git.dirty"]
    assert below == ("False" if elsewhere else dirty)


@pytest.mark.processes
def test_a_folder_within_the_repository_is_asked_for_its_own_changes(
    repository: Path, environ: dict[str, str]
) -> None:
    (repository / "sub").mkdir()
    commit = commit_file(repository, "sub/fit.py")
    (repository / "train.py").write_text("changed")

    properties = git_properties(repository / "sub", environ)

    assert properties["azureml.git.commit"] == commit
    assert properties["azureml.git.dirty"] == "False"


@pytest.mark.processes
def test_a_detached_head_has_a_commit_and_no_branch(
    repository: Path, environ: dict[str, str]
) -> None:
    git(repository, "checkout", "--quiet", "--detach")

    properties = git_properties(repository, environ)

    assert "azureml.git.commit" in properties
    assert "azureml.git.branch" not in properties
    assert "mlflow.source.git.branch" not in properties


@pytest.mark.processes
def test_a_repository_without_commits_has_a_branch_only(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "new")

    assert git_properties(tmp_path / "new", environ) == {
        "azureml.git.branch": "main",
        "azureml.git.dirty": "False",
        "mlflow.source.git.branch": "main",
    }


@pytest.mark.processes
def test_a_repository_without_remotes_has_no_uri(repository: Path, environ: dict[str, str]) -> None:
    git(repository, "remote", "remove", "origin")

    assert not {name for name in git_properties(repository, environ) if "rep" in name}


@pytest.mark.processes
def test_without_an_origin_the_first_remote_counts(
    repository: Path, environ: dict[str, str]
) -> None:
    git(repository, "remote", "rename", "origin", "upstream")
    git(repository, "remote", "add", "fork", "https://example.org/fork")

    assert git_properties(repository, environ)["azureml.git.repository_uri"] == URL


@pytest.mark.processes
def test_a_token_that_a_ci_system_puts_into_urls_is_not_seen(
    repository: Path, environ: dict[str, str]
) -> None:
    git(repository, "config", "url.https://x:t0ken@github.com/.insteadOf", "https://github.com/")

    assert "t0ken" not in str(git_properties(repository, environ))


@pytest.mark.processes
def test_credentials_are_cut_from_the_remote(repository: Path, environ: dict[str, str]) -> None:
    git(repository, "remote", "set-url", "origin", "https://me:t0ken@github.com/someone/code.git")

    properties = git_properties(repository, environ)

    assert properties["azureml.git.repository_uri"] == URL
    assert properties["mlflow.source.git.repoURL"] == URL


@pytest.mark.processes
def test_a_folder_outside_any_repository_has_no_properties(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    assert git_properties(tmp_path, environ) == {}
    assert git_properties(tmp_path / "missing", environ) == {}


@pytest.mark.processes
def test_without_git_there_are_no_properties(
    repository: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    assert git_properties(repository, environ | {"PATH": str(tmp_path)}) == {}


@pytest.mark.processes
def test_a_hanging_git_is_given_up(
    repository: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    fake.chmod(0o755)
    path = f"{fake.parent}{os.pathsep}{environ['PATH']}"

    assert git_properties(repository, environ | {"PATH": path}, timeout_s=0.1) == {}


@pytest.mark.processes
def test_the_variables_of_a_surrounding_git_hook_do_not_mislead(
    repository: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    git(tmp_path, "init", "--quiet", "other")

    properties = git_properties(
        repository,
        environ | {"GIT_DIR": str(tmp_path / "other" / ".git"), "GIT_INDEX_FILE": "nothing"},
    )

    assert properties["azureml.git.repository_uri"] == URL


@pytest.mark.processes
def test_asking_starts_no_program_that_the_repository_names(
    repository: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/started'\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    git(repository, "config", "core.fsmonitor", str(hook))

    assert git_properties(repository, environ)["azureml.git.dirty"] == "False"
    assert not (tmp_path / "started").exists()


@pytest.mark.processes
def test_asking_changes_nothing_in_the_repository(
    repository: Path, environ: dict[str, str]
) -> None:
    os.utime(repository / "train.py")  # git status would like to refresh its index now
    before = (repository / ".git" / "index").stat().st_mtime_ns

    git_properties(repository, environ)

    assert (repository / ".git" / "index").stat().st_mtime_ns == before


@pytest.mark.processes
def test_git_is_asked_once_per_folder_until_the_answers_are_forgotten(
    repository: Path, environ: dict[str, str]
) -> None:
    first = git_properties(repository, environ)
    commit = commit_file(repository, "new.py")
    (repository / "link").symlink_to(".")

    assert git_properties(repository, environ | {"SOME": "change"}) == first
    assert git_properties(repository / "link", environ) == first
    forget_git_answers()
    assert git_properties(repository, environ)["azureml.git.commit"] == commit


# --- overrides


@pytest.mark.processes
def test_variables_override_what_git_says(repository: Path, environ: dict[str, str]) -> None:
    overrides = {
        "AZUREML_GIT_REPOSITORY_URI": "https://ci:t0ken@example.org/code",
        "AZUREML_GIT_BRANCH": " release ",
        "AZUREML_GIT_COMMIT": "abc",
        "AZUREML_GIT_DIRTY": "true",
        "AZUREML_GIT_BUILD_ID": "7",
        "AZUREML_GIT_BUILD_URI": "https://ci.example.org/7?token=t0ken&tab=log",
    }

    assert git_properties(repository, environ | overrides) == {
        "azureml.git.repository_uri": "https://example.org/code",
        "azureml.git.branch": "release",
        "azureml.git.commit": "abc",
        "azureml.git.dirty": "True",
        "azureml.git.build_id": "7",
        "azureml.git.build_uri": "https://ci.example.org/7?tab=log",
        "mlflow.source.git.repoURL": "https://example.org/code",
        "mlflow.source.git.branch": "release",
        "mlflow.source.git.commit": "abc",
    }


@pytest.mark.processes
def test_variables_count_without_a_repository(tmp_path: Path, environ: dict[str, str]) -> None:
    properties = git_properties(tmp_path, environ | {"AZUREML_GIT_COMMIT": "abc"})

    assert properties == {"azureml.git.commit": "abc", "mlflow.source.git.commit": "abc"}


@pytest.mark.processes
def test_empty_variables_override_nothing(repository: Path, environ: dict[str, str]) -> None:
    overrides = {"AZUREML_GIT_BRANCH": " ", "AZUREML_GIT_DIRTY": ""}

    assert git_properties(repository, environ | overrides) == git_properties(repository, environ)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("given", "kept"),
    [("1", "True"), ("TRUE", "True"), ("yes", "True"), ("0", "False"), ("no", "False")],
)
def test_the_dirty_variable_becomes_true_or_false(
    tmp_path: Path, environ: dict[str, str], given: str, kept: str
) -> None:
    properties = git_properties(tmp_path, environ | {"AZUREML_GIT_DIRTY": given})

    assert properties == {"azureml.git.dirty": kept}


@pytest.mark.processes
def test_a_variable_that_is_not_utf8_becomes_text_that_can_be_stored(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    properties = git_properties(tmp_path, environ | {"AZUREML_GIT_BRANCH": "caf\udce9"})

    assert properties["azureml.git.branch"] == "caf?"


# --- credentials


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://user:t0ken@host/a.git", "https://host/a.git"),
        ("https://t0ken@host/a.git", "https://host/a.git"),
        ("http://user:t0ken@host:8080/a", "http://host:8080/a"),
        ("https://git:t0ken@host/a", "https://host/a"),
        ("https://git@host/a", "https://host/a"),
        ("HTTPS://user:t0ken@host/a", "HTTPS://host/a"),
        ("https://user:t0k@en@host/a", "https://host/a"),
        ("https://user:t0/ken@host/a", "https://host/a"),
        ("https://user:t0?k#en@host/a", "https://host/a"),
        ("https://user:t0ken@[::1]:8080/a", "https://[::1]:8080/a"),
        ("ssh://git@host:22/a", "ssh://git@host:22/a"),
        ("ssh://git:t0ken@host/a", "ssh://git@host/a"),
        ("ssh://me@host/a", "ssh://host/a"),
        ("git+ssh://git@host/a", "git+ssh://git@host/a"),
        ("git@host:me/a.git", "git@host:me/a.git"),
        ("me@host:me/a.git", "host:me/a.git"),
        ("user:t0ken@host/a.git", "host/a.git"),
        ("user:t0ken@host:a.git", "host:a.git"),
        ("  https://t0ken@host/a\n", "https://host/a"),
        ("https://host/a?private_token=t0ken", "https://host/a"),
        ("https://host/a?x=1&access_token=t0ken;y=2#z", "https://host/a?x=1&y=2#z"),
        ("https://host/a?%74oken=t0ken", "https://host/a"),
        ("https://host/a?X-Amz-Signature=t0ken&sig=t0ken", "https://host/a"),
        ("https://host/a?API_KEY=t0ken&password=t0ken", "https://host/a"),
        ("https://host/a#access_token=t0ken&tab=1", "https://host/a#tab=1"),
    ],
)
def test_credentials_are_cut(url: str, kept: str) -> None:
    assert without_credentials(url) == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://host/a.git",
        "https://host:8080/@scope/pack@1?tab=log#top",
        "https://[::1]:8080/a@b",
        "host:me/a.git",
        "/home/me@work/a.git",
        "../me/a@b.git",
        "file:///home/me@work/a.git",
    ],
)
def test_what_holds_no_credentials_is_kept(url: str) -> None:
    assert without_credentials(url) == url


WORDS = st.text(alphabet="abcXYZ019-._~%!$*+,=", min_size=1)


@given(
    scheme=st.sampled_from(["http", "https", "ssh", "git+https"]),
    user=WORDS,
    password=st.text(alphabet="abc019-:@!$%&=") | st.text(alphabet="abc019-:!$/?#%&="),
    path=WORDS,
)
def test_no_user_and_password_in_a_url_come_through(
    scheme: str, user: str, password: str, path: str
) -> None:
    cut = without_credentials(f"{scheme}://{user}:x{password}@example.org/{path}")

    assert cut in (f"{scheme}://example.org/{path}", f"{scheme}://git@example.org/{path}")
