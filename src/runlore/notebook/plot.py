"""A plot of curves, which a notebook shows and which can be saved for a paper."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from runlore.domain.errors import InvalidInput, UserError
from runlore.domain.visible_text import visible
from runlore.shown.chart import Chart, scene_of
from runlore.shown.elements import Html
from runlore.shown.page_style import framed
from runlore.shown.scene import Scene, svg_of
from runlore.storage.atomic_files import replacing


class MatplotlibMissing(UserError, ImportError):
    """A PNG was asked for, and matplotlib is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "a plot becomes a PNG by matplotlib, which is not installed; install it with "
            "pip install 'runlore[plot]', or save the plot as .svg"
        )


class Plot:
    """Curves of metrics; a notebook shows them in its own theme, `save` writes them for a paper."""

    def __init__(self, chart: Chart) -> None:
        self._chart = chart

    @cached_property
    def _scene(self) -> Scene:
        return scene_of(self._chart)

    def svg(self) -> str:
        """The plot as an SVG document, on white."""
        return svg_of(self._scene)

    def png(self, scale: float = 2.0) -> bytes:
        """The plot as PNG, on white, of `scale` times its size. Raises MatplotlibMissing."""
        try:
            from runlore.shown.png import png_of
        except ImportError as error:
            raise MatplotlibMissing from error
        if not 0.1 <= scale <= 10:
            raise InvalidInput(f"scale is {scale!r:.80}; it takes a number from 0.1 to 10")
        return png_of(self._scene, scale)

    def save(self, path: str | os.PathLike[str], *, scale: float = 2.0) -> Path:
        """Write the plot to a file, as its name ends: .svg or .png; return the file's path.

        A file that is there is replaced, at once or not at all. `scale` is for PNG only. Raises
        InvalidInput for another ending, MatplotlibMissing, FileNotWritten.
        """
        target = Path(path)
        match target.suffix.lower():
            case ".svg":
                content = self.svg().encode()
            case ".png":
                content = self.png(scale)
            case other:
                raise InvalidInput(
                    f"a plot is saved as .svg or .png, and {target.name!r:.80} ends in "
                    f"{other!r:.20}; name it {target.stem}.svg"
                )
        with replacing(target) as file:
            file.write(content)
        return target

    def savefig(self, file: IO[bytes], format: str = "png", **unused: Any) -> None:
        """Write the plot to an open file, as figures of matplotlib do; for `run.log_image`."""
        file.write(self.svg().encode() if format == "svg" else self.png())

    def _repr_html_(self) -> str:
        return framed(Html(svg_of(self._scene)))

    def __repr__(self) -> str:
        lines = self._chart.lines
        curves = f"{len(lines)} {'curve' if len(lines) == 1 else 'curves'}"
        return visible(f"Plot({self._chart.title}: {curves}; .save('plot.svg') writes it)")
