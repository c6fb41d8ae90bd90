"""A picture as PNG, drawn by matplotlib: without pyplot, so without any state of its own."""

from __future__ import annotations

import io
import warnings
from typing import Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Polygon
from matplotlib.text import Text

from runlore.domain.visible_text import visible
from runlore.shown.colours import LIGHT, Theme
from runlore.shown.scene import Area, Label, Mark, Scene, Shape, Stroke, colour_of

_DPI: Final = 96


def png_of(scene: Scene, scale: float = 2.0, theme: Theme = LIGHT) -> bytes:
    """The picture as PNG, of `scale` times its width and height in pixels."""
    figure = Figure((scene.width / _DPI, scene.height / _DPI), dpi=_DPI, facecolor=theme.ground)
    FigureCanvasAgg(figure)
    for order, shape in enumerate(scene.shapes):
        artist = _artist(shape, scene, theme)
        artist.set(transform=figure.transFigure, zorder=order)
        figure.add_artist(artist)
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # It draws a box instead.
        figure.savefig(picture, format="png", dpi=_DPI * scale, facecolor=theme.ground)
    return picture.getvalue()


def _artist(shape: Shape, scene: Scene, theme: Theme) -> Line2D | Polygon | Text:
    colour = colour_of(shape.colour, theme)
    points = 72 / _DPI

    def placed(at: tuple[float, float]) -> tuple[float, float]:
        return at[0] / scene.width, 1 - at[1] / scene.height

    match shape:
        case Stroke():
            xs, ys = zip(*map(placed, shape.points), strict=True)
            line = Line2D(xs, ys, color=colour, linewidth=shape.width * points)
            line.set_alpha(shape.opacity)
            if shape.dash:
                line.set_dashes([float(n) * points for n in shape.dash.split()])
            return line
        case Area():
            corners = [placed(at) for at in shape.points]
            return Polygon(corners, facecolor=colour, alpha=shape.opacity, linewidth=0)
        case Mark(shape="dot"):
            x, y = placed(shape.at)
            size = 5 * points
            return Line2D([x], [y], color=colour, marker="o", markersize=size, markeredgewidth=0)
        case Mark():
            corners = [placed(at) for at in shape.corners]
            fill = "none" if shape.hollow else colour
            return Polygon(corners, facecolor=fill, edgecolor=colour, linewidth=points)
        case Label():
            return Text(
                *placed(shape.at),
                text=visible(shape.text),
                color=colour,
                fontsize=shape.size * points,
                fontweight="bold" if shape.bold else "normal",
                ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
                va="baseline",
                rotation=90 if shape.upright else 0,
                rotation_mode="anchor",
                parse_math=False,
            )
