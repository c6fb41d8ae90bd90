"""Image files and plots that are kept as metrics."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

from runlore.domain.errors import UserError

_IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".svg", ".webp", ".tif", ".tiff"}
)


def image_file(name: str, path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if file.suffix.lower() not in _IMAGE_SUFFIXES or not file.is_file():
        raise UserError(
            f"log_image of {name!r}: {os.fspath(path)!r} is not an image file; give an "
            f"existing file ending in {', '.join(sorted(_IMAGE_SUFFIXES))}"
        )
    return file


def drawn(name: str, plot: Any) -> io.BytesIO:
    if not callable(getattr(plot, "savefig", None)):
        raise UserError(
            f"log_image of {name!r}: a {type(plot).__name__} has no savefig(); pass a "
            "matplotlib figure or pyplot"
        )
    picture = io.BytesIO()
    plot.savefig(picture, format="png")
    picture.seek(0)
    return picture


def file_stem(name: str) -> str:
    """A file name made from a metric's name, with `_` for characters that are unsafe in paths."""
    return re.sub(r"[^\w. -]", "_", name)[:100].strip(". ") or "metric"


def name_of_file(file: Path) -> str:
    """The path relative to the working folder; of a file elsewhere, its name."""
    resolved, here = file.resolve(), Path.cwd().resolve()
    if resolved.is_relative_to(here):
        return resolved.relative_to(here).as_posix()
    return file.name
