"""Notebooks as people use them: cells executed by a real kernel, made into Jupyter's own pages."""

from __future__ import annotations

import copy
import os
import re
import warnings
from pathlib import Path
from typing import Any

from tests.fresh_python import without_settings

LIMIT_S = 120
_PICTURES = "svg|title|rect|polyline|polygon|circle|text"


def executed(cells: list[str], folder: Path) -> Any:
    """A notebook of these cells after a kernel has executed them in the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of libraries that are not ours.
        from nbclient import NotebookClient
        from nbformat import v4

        make: Any = v4  # Not typed.
        notebook = make.new_notebook(cells=list(map(make.new_code_cell, cells)))
        client = NotebookClient(
            notebook,
            timeout=LIMIT_S,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=without_settings(os.environ))
    return notebook


def page_of(notebook: Any, *, theme: str = "light", is_trusted: bool = True) -> str:
    """The page that Jupyter makes of the notebook; of one it does not trust, only what is safe."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import nbconvert

        exporter_of: Any = nbconvert.HTMLExporter  # Not typed.
        exporter = exporter_of(
            theme=theme,
            # Libraries from elsewhere, which these pages do not need.
            **dict.fromkeys(("mathjax_url", "require_js_url", "jquery_url"), ""),
        )
        page, _ = exporter.from_notebook_node(notebook if is_trusted else _not_trusted(notebook))
    return str(page)


def _not_trusted(notebook: Any) -> Any:
    """The notebook as JupyterLab shows it before it is trusted.

    Its sanitizer drops styles and scripts with what is in them, and of pictures the elements.
    """
    copied = copy.deepcopy(notebook)
    for cell in copied["cells"]:
        for output in cell["outputs"]:
            if "text/html" in output.get("data", {}):
                html = re.sub(r"(?s)<(style|script)>.*?</\1>", "", output["data"]["text/html"])
                html = re.sub(rf"</?(?:{_PICTURES})\b[^>]*>", "", html)
                output["data"]["text/html"] = html
    return copied


def shown(notebook: Any, mime: str = "text/html") -> list[str]:
    """What the cells show in one form, without those that have it not."""
    return [
        output["data"][mime]
        for cell in notebook["cells"]
        for output in cell["outputs"]
        if mime in output.get("data", {})
    ]
