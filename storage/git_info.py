"""The commit that a run's code came from, as the properties that Azure ML gives a run.

Source of names and meanings: "Git integration for Azure Machine Learning" (the table of
git commands per property) and azureml-core 1.61, GitTrackingInfoProvider.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus

from runlore.domain.secrets import is_secret_field
from runlore.storage.git_repository import Git, Settings, diff_of, is_dirty, repository_of

TIMEOUT_S: Final = 5.0

# Git sees only these: a GIT_DIR of a surrounding hook would answer for another repository.
_PASSED_ON = ("PATH", "HOME", "XDG_CONFIG_HOME", "LD_LIBRARY_PATH", "SYSTEMROOT", "USERPROFILE")
_PASSED_ON_PREFIXES = ("GIT_CONFIG", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY")
_TRUE = ("1", "true", "yes")

_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")


def git_properties(
    folder: Path, environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> dict[str, str]:
    """`azureml.git.*` and `mlflow.source.git.*` of the repository that holds `folder`.

    `AZUREML_GIT_*` in `environ` overrides the answers of git, and counts even without a repository.
    Otherwise empty without a repository or without git, and for a repository that git does not
    trust because it belongs to somebody else (`safe.directory`). Nothing that the repository names
    is executed; see `git_repository.py`. Git is asked once per process and folder, `timeout_s` per
    call; credentials are removed from every URL.
    """
    told = _ask_git(os.path.realpath(folder), _passed_on(environ), timeout_s)
    known = dict(told) | _overrides(environ)
    properties = {f"azureml.git.{name}": value for name, value in known.items()}
    for ours, theirs in (("repository_uri", "repoURL"), ("branch", "branch"), ("commit", "commit")):
        if ours in known:
            properties[f"mlflow.source.git.{theirs}"] = known[ours]
    return properties


def git_diff(
    folder: Path, environ: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> bytes | None:
    """The changes of tracked files in `folder` since the commit, as a patch.

    None without a commit, if git takes too long, or above 16 MiB. Runs no program that the
    repository names.
    """
    git = Git(os.path.realpath(folder), dict(_passed_on(environ)), timeout_s)
    repository = repository_of(git)
    return None if repository is None else diff_of(git, repository)


def forget_git_answers() -> None:
    """Make the next call ask git again, in this process."""
    _ask_git.cache_clear()


def without_credentials(url: str) -> str:
    """The URL without user, password and query fields that are named like secrets.

    The user `git` of ssh stays: it is a convention, and the URL does not work without it. If user
    and path cannot be told apart, both are removed.

        >>> without_credentials("https://me:secret@github.com/me/code.git?private_token=1")
        'https://github.com/me/code.git'
        >>> without_credentials("git@github.com:me/code.git")
        'git@github.com:me/code.git'
    """
    url = url.strip()
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    return scheme + separator + _without_secret_fields(_without_user(scheme, rest))


def _passed_on(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (name, value)
            for name, value in environ.items()
            if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
        )
    )


def _overrides(environ: Mapping[str, str]) -> dict[str, str]:
    names = ("repository_uri", "branch", "commit", "dirty", "build_id", "build_uri")
    given = {name: _text(environ.get(f"AZUREML_GIT_{name.upper()}", "")) for name in names}
    known = {name: value for name, value in given.items() if value}
    for name in ("repository_uri", "build_uri"):
        if name in known:
            known[name] = without_credentials(known[name])
    if "dirty" in known:
        known["dirty"] = str(known["dirty"].lower() in _TRUE)
    return known


@lru_cache(maxsize=256)
def _ask_git(
    folder: str, environ: tuple[tuple[str, str], ...], timeout_s: float
) -> tuple[tuple[str, str], ...]:
    git = Git(folder, dict(environ), timeout_s)
    repository = repository_of(git)
    if repository is None:
        return ()
    known: dict[str, str] = {}
    if repository.commit is not None:
        known["commit"] = repository.commit
    if repository.branch is not None:
        known["branch"] = repository.branch
    dirty = is_dirty(git, repository)
    if dirty is not None:
        known["dirty"] = str(dirty)
    # Not `ls-remote --get-url`: it applies url.insteadOf, where CI systems keep tokens.
    url = _main_remote(repository.settings)
    if url:
        known["repository_uri"] = without_credentials(url)
    return tuple(known.items())


def _main_remote(settings: Settings) -> str | None:
    """The URL of `origin`, else of the first remote."""
    urls: dict[str, str] = {}
    for key, value in settings:
        if key.startswith("remote.") and key.endswith(".url") and value:
            urls.setdefault(key, value)
    return urls.get("remote.origin.url") or next(iter(urls.values()), None)


def _without_user(scheme: str, rest: str) -> str:
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in host:
        end = host.rindex("@")
    elif scheme and "@" in rest and not _HOST_AND_PORT.fullmatch(host):
        # A password with an unescaped '/', '?' or '#'.
        end = rest.rindex("@")
    else:
        return rest
    user = rest[:end].partition(":")[0]
    keep_user = user == "git" and scheme.lower().rpartition("+")[2] in ("", "ssh")
    return ("git@" if keep_user else "") + rest[end + 1 :]


def _without_secret_fields(text: str) -> str:
    text, hash_mark, fragment = text.partition("#")
    path, _, query = text.partition("?")
    query = _harmless_fields(query)
    if "=" in fragment:
        fragment = _harmless_fields(fragment)
    return path + (f"?{query}" if query else "") + (hash_mark + fragment if fragment else "")


def _harmless_fields(fields: str) -> str:
    kept = (
        field
        for field in re.split("[&;]", fields)
        if not is_secret_field(unquote_plus(field.partition("=")[0]))
    )
    return "&".join(kept)


def _text(value: str) -> str:
    """The value as UTF-8, which variables need not be and properties must be."""
    return value.encode("utf-8", "replace").decode().strip()
