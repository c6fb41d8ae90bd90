"""Writing a copy: one page, one script, one style sheet, the answers, and pictures."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from runlore.domain.errors import InvalidInput
from runlore.storage.atomic_files import replacing
from runlore.studio.access.guard import Policy
from runlore.studio.application import Studio
from runlore.studio.copies.gathering import gather
from runlore.studio.copies.one_script import one_script
from runlore.studio.copies.questions import Questions
from runlore.studio.encoding import json_text
from runlore.studio.shell.modules import FONT_IN, style_sheet
from runlore.studio.shell.pages import STATIC
from runlore.workspace import Workspace

RUNS_MAX: Final = 200
_NEWEST: Final = 20

# Nothing but what lies beside the page is loaded: no other host is asked for anything.
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' file:; \
style-src 'self' file:; img-src 'self' file: blob:; font-src data:; base-uri 'none'; \
form-action 'none'; require-trusted-types-for 'script'; trusted-types studio">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>runlore</title>
<link rel="stylesheet" href="studio.css">
</head>
<body>
<noscript>This copy needs scripts.</noscript>
<script src="answers.js"></script>
<script src="studio.js"></script>
</body>
</html>
"""


def write_copy(workspace: Workspace, folder: Path, run_ids: Sequence[str]) -> list[Path]:
    """Write a copy of runs into a folder, which is made; return its files.

    The pages are those of the Studio, with the curves over steps and times, the first 50 rows of
    tables and texts of up to 200 kB; other files are named only. A browser opens `index.html` from
    disk.
    Raises InvalidInput if the folder has something in it, or for no runs and more than 200;
    RunNotFound; FileNotWritten.
    """
    ids = [workspace.get_run(run_id).id for run_id in dict.fromkeys(run_ids)]
    if not 1 <= len(ids) <= RUNS_MAX:
        raise InvalidInput(f"a copy has 1 to {RUNS_MAX} runs, not {len(ids)}; choose some")
    if folder.exists() and any(folder.iterdir()):
        raise InvalidInput(f"{str(folder)!r} has files already; choose a new folder for the copy")
    studio = Studio(workspace, Policy(hosts=()))
    questions = Questions(studio.api)
    try:
        pictures = anyio.run(partial(gather, questions, ids))
    finally:
        studio.lanes.close()
    content: dict[str, bytes] = {
        "index.html": _PAGE.encode(),
        "studio.js": one_script(STATIC, "main.js").encode(),
        "studio.css": _style().encode(),
    }
    names = {}
    for number, picture in enumerate(pictures, 1):
        names[picture.key] = f"files/{number:04}{picture.suffix}"
        content[names[picture.key]] = picture.content
    held = {"answers": questions.answers, "files": names, "runs": ids}
    content["answers.js"] = f"self.runloreCopy = {json_text(held)};\n".encode()
    return [_written(folder / name, held) for name, held in content.items()]


def newest_runs(workspace: Workspace) -> list[str]:
    """The ids of the newest runs, at most 20."""
    rows = workspace.runs_table(columns=["id"], limit=_NEWEST).fetchall()
    return [run_id for (run_id,) in rows]


def _written(path: Path, content: bytes) -> Path:
    with replacing(path) as file:
        file.write(content)
    return path


def _style() -> str:
    """The style sheet with its fonts: a page from disk may load no other ones."""

    def font(found: re.Match[str]) -> str:
        held = base64.b64encode((STATIC / found[1]).read_bytes()).decode()
        return f'url("data:font/woff2;base64,{held}")'

    return FONT_IN.sub(font, style_sheet(STATIC))
