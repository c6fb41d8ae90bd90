"""The calls by which a module opens, lists or changes what is at a path, found by their names.

Paths below a held folder (`HeldPath`) have methods of the names of `Path`'s. So `unlink`, `rename`,
`open` and the like count only in modules that name `Path` and no `HeldPath`, or on a held path's
`plain`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tests.architecture.source import Module

_OS: Final = frozenset(
    {
        *("open", "mkfifo", "mknod", "mkdir", "makedirs", "symlink", "link", "truncate"),
        *("listdir", "scandir", "walk", "fwalk"),
        *("unlink", "remove", "rmdir", "removedirs", "rename", "renames", "replace"),
        *("chmod", "lchmod", "chown", "lchown"),
    }
)
_NOT_PATHS: Final = frozenset({"which", "copyfileobj", "get_terminal_size", "disk_usage"})
_OF_PATH: Final = frozenset(
    {
        *("read_text", "write_text", "write_bytes", "touch", "mkdir", "rmdir"),
        *("chmod", "lchmod", "symlink_to", "hardlink_to", "iterdir", "glob", "rglob"),
    }
)
_OF_BOTH: Final = frozenset({"read_bytes", "unlink", "rename", "open"})
_MODE: Final = re.compile(r"[rwxab+t]{1,3}")


def calls_in(module: Module) -> Iterator[str]:
    """The calls, as `line: name`."""
    named = {
        alias.name
        for node in module.nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    names_path = "Path" in named and not named & {"HeldPath", "AnyPath"}
    for node in module.nodes:
        if isinstance(node, ast.Call) and (found := _called(node, names_path)):
            yield f"{node.lineno}: {found}"


def _called(call: ast.Call, names_path: bool) -> str | None:
    function = call.func
    if isinstance(function, ast.Name):
        return "open" if function.id == "open" else None
    if not isinstance(function, ast.Attribute):
        return None
    name, of = function.attr, function.value
    if isinstance(of, ast.Name) and of.id in ("os", "shutil"):
        counts = name in _OS if of.id == "os" else name not in _NOT_PATHS
        return f"{of.id}.{name}" if counts else None
    is_plain = isinstance(of, ast.Attribute) and of.attr == "plain"
    if name in _OF_PATH or (name in _OF_BOTH and is_plain):
        return f".{name}"
    if name in _OF_BOTH and names_path and (name != "open" or _has_mode(call)):
        return f".{name}"
    return None


def _has_mode(call: ast.Call) -> bool:
    """Whether the call gives a file's mode, as `Path.open` takes it."""
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Constant) and bool(_MODE.fullmatch(str(first.value)))
