"""The program that this process executes: its script, arguments, working folder and Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

_NO_SCRIPTS: Final = ("", "-", "-c", "-m")
_KERNELS: Final = ("ipykernel_launcher.py", "colab_kernel_launcher.py")


class Program(NamedTuple):
    """The program's document without its arguments, and the folders where its source may lie."""

    document: Mapping[str, Any]
    arguments: tuple[str, ...]
    source_folders: tuple[str, ...]


def program() -> Program:
    """The program as it is now. It takes some microseconds: each new run waits for it."""
    return _program(tuple(sys.argv), working_folder(), _notebook())


@lru_cache(maxsize=16)
def _program(argv: tuple[str, ...], cwd: str | None, notebook: str | None) -> Program:
    version = sys.version_info
    path = None if notebook else _path_of_script(argv, cwd)
    document = {
        "script": _script(argv, cwd, notebook or path),
        "cwd": cwd,
        "python": {
            "version": f"{version.major}.{version.minor}.{version.micro}",
            "implementation": sys.implementation.name,
            "executable": _utf8(sys.executable or ""),
        },
    }
    known = {name: value for name, value in document.items() if value is not None}
    of_script = None if path is None or _is_installed(path) else os.path.dirname(path)
    folders = dict.fromkeys(folder for folder in (of_script, cwd) if folder is not None)
    return Program(known, argv[1:], tuple(folders))


def _script(argv: Sequence[str], cwd: str | None, path: str | None) -> str | None:
    """The script or notebook: below the working folder from there, else its absolute path.

    "-c" for a command, None in a shell, the bare name of a program that is installed.
    """
    if path is None:
        return "-c" if argv[:1] == ("-c",) else None
    if _is_installed(path):
        return _utf8(os.path.basename(path))
    if cwd is not None and os.path.isabs(path) and Path(path).is_relative_to(cwd):
        return _utf8(os.path.relpath(path, cwd))
    return _utf8(path)


def working_folder() -> str | None:
    """The working folder; None if it was removed."""
    try:
        return _utf8(os.getcwd())
    except OSError:
        return None


def _path_of_script(argv: Sequence[str], cwd: str | None) -> str | None:
    """The absolute path of the script, if there is one."""
    if not argv or argv[0] in _NO_SCRIPTS or argv[0].endswith(_KERNELS):
        return None
    path = _utf8(argv[0])
    if os.path.isabs(path):
        return os.path.normpath(path)
    return None if cwd is None else os.path.normpath(os.path.join(cwd, path))


def _is_installed(path: str) -> bool:
    """Whether a program was installed into Python's folder, and so is no source of the user's."""
    return Path(path).is_relative_to(sys.prefix)


def _notebook() -> str | None:
    """The path of the notebook, where Jupyter or VS Code tell it."""
    told = getattr(sys.modules.get("__main__"), "__vsc_ipynb_file__", None)
    if isinstance(told, str) and told:
        return told
    in_kernel = bool(sys.argv) and sys.argv[0].endswith(_KERNELS)
    return (in_kernel and os.environ.get("JPY_SESSION_NAME")) or None


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
