"""Asking git about a repository without executing anything that the repository names.

A repository may come from anybody, and its config names programs: filters, hooks, a file system
monitor, a command for ssh, and more with each version of git. `git status` runs some of them. So
only commands that read references and settings are run in the repository itself. For the question
whether files were changed, git gets a repository of ours: an empty folder with the same commit,
index and objects, and of the settings only those in a list of harmless ones.

Without filters a file is compared as it is. One that a filter would change back counts as changed
when its times differ from those in the index; files of Git LFS are compared with their pointers.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from runlore.storage.lfs_pointers import are_unchanged

Settings = Sequence[tuple[str, str]]
"""Keys (section and name in lower case) and values, in the order in which they apply."""

# Git runs no program for any of these, and a file that one names is only read as patterns.
_HARMLESS: Final = frozenset(
    {
        *("core.autocrlf", "core.checkstat", "core.eol", "core.excludesfile", "core.filemode"),
        *("core.ignorecase", "core.precomposeunicode", "core.sparsecheckout"),
        *("core.sparsecheckoutcone", "core.symlinks", "core.trustctime"),
        "status.showuntrackedfiles",
    }
)
_DIFF_MAX_NBYTES: Final = 16 << 20
_SHARED_INDEX: Final = "sharedindex."


class Repository(NamedTuple):
    """What git says of the repository that holds a folder."""

    top: str
    folder: str
    common: str
    object_format: str
    settings: Settings
    commit: str | None
    branch: str | None


class Git:
    """Git, asked in a folder, with few of the process's variables."""

    def __init__(self, folder: str, environ: Mapping[str, str], timeout_s: float) -> None:
        self.folder = folder
        self._environ = environ
        self._timeout_s = timeout_s

    def in_folder(self, folder: str) -> Git:
        """Git, asked in another folder."""
        return Git(folder, self._environ, self._timeout_s)

    def ask(self, *arguments: str, **variables: str) -> str | None:
        """What git prints; None if it fails, is not installed or takes too long."""
        try:
            done = subprocess.run(
                self._command(arguments),
                env={**self._environ, **_QUIET, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=self._timeout_s,
                check=False,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None
        return os.fsdecode(done.stdout) if done.returncode == 0 else None

    def write(self, output: BinaryIO, *arguments: str, **variables: str) -> bool:
        """Write what git prints to a file; returns whether git succeeded in time."""
        try:
            done = subprocess.run(
                self._command(arguments),
                env={**self._environ, **_QUIET, **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=self._timeout_s,
                check=False,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return ["git", "--no-pager", *_switched_off(), "-C", self.folder, *arguments]


_QUIET: Final = {
    "GIT_ALLOW_PROTOCOL": "none",  # Whatever the repository allows: nothing is fetched.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


def _switched_off() -> list[str]:
    # A second wall: none of the commands that are run in the repository looks at these.
    off = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "safe.bareRepository=explicit")
    return [word for setting in off for word in ("-c", setting)]


def repository_of(git: Git) -> Repository | None:
    """The repository, or None: there is none, or git does not trust it (`safe.directory`)."""
    places = git.ask(
        *("rev-parse", "--show-toplevel", "--absolute-git-dir", "--git-common-dir"),
        "--show-object-format",
    )
    listed = git.ask("config", "--list", "--null")
    lines = (places or "").removesuffix("\n").split("\n")
    if listed is None or len(lines) != 4:  # A newline in a path would make it five.
        return None
    top, folder, common, object_format = lines
    if not os.path.isabs(top) or not os.path.isabs(folder):
        return None
    commit = git.ask("rev-parse", "--verify", "--quiet", "HEAD")  # Reads no object.
    branch = git.ask("symbolic-ref", "--quiet", "HEAD")
    return Repository(
        top,
        folder,
        os.path.join(git.folder, common),
        object_format,
        [_setting(item) for item in listed.split("\0") if item],
        commit.strip() if commit else None,
        _text(branch.strip().removeprefix("refs/heads/")) if branch else None,
    )


def is_dirty(git: Git, repository: Repository) -> bool | None:
    """Whether files in the folder differ from the commit; None if git cannot tell.

    Untracked files count unless they are ignored; a submodule counts if it is at another commit.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="runlore-git-") as ours:
            _make(Path(ours), repository)
            variables = _variables(ours, repository)
            status = git.ask(
                *("status", "--porcelain", "-z", "--no-renames", "--ignore-submodules=dirty"),
                *("--", "."),
                **variables,
            )
            if not status:
                return None if status is None else False
            changes = status.removesuffix("\0").split("\0")
            if any(change[:3] != " M " for change in changes):
                return True
            ask = partial(git.in_folder(repository.top).ask, GIT_LITERAL_PATHSPECS="1", **variables)
            return not are_unchanged(ask, repository.top, [change[3:] for change in changes])
    except OSError:  # There is no room for it, say.
        return None


def diff_of(git: Git, repository: Repository) -> bytes | None:
    """The changes of tracked files in the folder since the commit, as a patch.

    None without a commit, if git fails or takes too long, and above 16 MiB.
    """
    if repository.commit is None:
        return None
    try:
        with (
            tempfile.TemporaryDirectory(prefix="runlore-git-") as ours,
            tempfile.TemporaryFile(prefix="runlore-git-") as output,
        ):
            _make(Path(ours), repository)
            is_done = git.write(
                output,
                *("diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv"),
                *("--no-renames", "--submodule=short", "--ignore-submodules=dirty", "--", "."),
                **_variables(ours, repository),
            )
            if not is_done or output.seek(0, os.SEEK_END) > _DIFF_MAX_NBYTES:
                return None
            output.seek(0)
            return output.read()
    except OSError:
        return None


def _variables(ours: str, repository: Repository) -> dict[str, str]:
    return {
        "GIT_DIR": ours,
        "GIT_WORK_TREE": repository.top,
        "GIT_INDEX_FILE": os.path.join(repository.folder, "index"),
        "GIT_OBJECT_DIRECTORY": os.path.join(repository.common, "objects"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        **_passed_on(repository.settings),
    }


def _make(ours: Path, repository: Repository) -> None:
    """An empty repository at the same commit, with the same ignored files."""
    version = 0 if repository.object_format in ("sha1", "--show-object-format") else 1
    config = f"[core]\nrepositoryformatversion = {version}\nbare = false\n"
    if version:
        config += f"[extensions]\nobjectFormat = {repository.object_format}\n"
    (ours / "config").write_text(config, encoding="utf-8")
    (ours / "HEAD").write_text(f"{repository.commit or 'ref: refs/heads/none'}\n", encoding="utf-8")
    (ours / "refs").mkdir()
    (ours / "info").symlink_to(os.path.join(repository.common, "info"))
    with suppress(OSError):
        for name in os.listdir(repository.folder):
            if name.startswith(_SHARED_INDEX):
                (ours / name).symlink_to(os.path.join(repository.folder, name))


def _passed_on(settings: Settings) -> dict[str, str]:
    """The harmless settings, as the variables that git reads them from."""
    harmless = [(key, value) for key, value in settings if key in _HARMLESS]
    variables = {"GIT_CONFIG_COUNT": str(len(harmless))}
    for number, (key, value) in enumerate(harmless):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def _setting(item: str) -> tuple[str, str]:
    key, newline, value = item.partition("\n")
    return key, value if newline else "true"  # A key alone means true.


def _text(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
