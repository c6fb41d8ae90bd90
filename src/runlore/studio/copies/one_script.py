"""The Studio's modules as one plain script: browsers load no modules from disk.

This knows the few forms of `import` and `export` that the modules have, and refuses others.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from runlore.studio.shell.modules import IMPORT, LATER, named, resolved

_DECLARED: Final = re.compile(
    r"^export (?P<what>(?:async function|function|const|class) (?P<name>\w+))", re.MULTILINE
)
_LIST: Final = re.compile(r"(?:^|(?<=[;}]))export\s*\{(?P<names>[^}]*)\};?", re.MULTILINE)
_LEFT: Final = re.compile(r"^\s*(?:import[ {]|export[ {])|import\.meta", re.MULTILINE)
_AWAITED: Final = re.compile(r"^await ", re.MULTILINE)
_OWN_ADDRESS: Final = "import.meta.url"
_HERE: Final = "document.baseURI"


def one_script(folder: Path, entry: str) -> str:
    """A script that does what the module `entry` of the folder does, with all that it imports."""
    done: dict[str, str] = {}
    _add(folder, entry, done, ())
    return "(() => {\nconst modules = {};\n" + "".join(done.values()) + "})();\n"


def _add(folder: Path, name: str, done: dict[str, str], above: tuple[str, ...]) -> None:
    """Add a module after those that it imports."""
    if name in done:
        return
    if name in above:
        raise AssertionError(f"modules import each other in a circle: {' > '.join(above)} > {name}")
    text = (folder / name).read_text(encoding="utf-8")
    for path in (*named(IMPORT, name, text), *named(LATER, name, text)):
        _add(folder, path, done, (*above, name))
    done[name] = _wrapped(name, text)


def _wrapped(name: str, text: str) -> str:
    exported: list[str] = []

    def imported(found: re.Match[str]) -> str:
        source = f"modules[{resolved(name, found['path'])!r}]"
        if found["default"]:
            return f"const {found['default']} = {source}.default;"
        return f"const {{{found['names'].replace(' as ', ': ')}}} = {source};"

    def declared(found: re.Match[str]) -> str:
        exported.append(found["name"])
        return found["what"]

    def listed(found: re.Match[str]) -> str:
        for one in filter(None, map(str.strip, found["names"].split(","))):
            own, _, other = one.partition(" as ")
            exported.append(f"{other}: {own}" if other else own)
        return ""

    text = IMPORT.sub(imported, text)
    text = _LIST.sub(listed, _DECLARED.sub(declared, text))
    text = LATER.sub(lambda found: f"modules[{resolved(name, found['path'])!r}]", text)
    text = text.replace(_OWN_ADDRESS, _HERE)
    if left := _LEFT.search(text):
        raise AssertionError(f"{name} has a form of import or export that is not known: {left[0]}")
    result = f"return {{ {', '.join(exported)} }};"
    waits = "async " if _AWAITED.search(text) else ""  # Only the entry does.
    return f"modules[{name!r}] = ({waits}() => {{\n{text}\n{result}\n}})();\n"
