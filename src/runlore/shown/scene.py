"""A picture as shapes in pixels from the top left, and the SVG of it.

Shapes name their colours; whoever writes the picture chooses the theme. The SVG has the colours of
the light one, for papers, and classes by which a notebook's style sheet replaces them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from runlore.shown.colours import LIGHT, Theme
from runlore.shown.elements import escaped

Colour = Literal["ink", "faint", "rule"] | int
"""A colour of texts or rules, or the number of one of lines."""

Point = tuple[float, float]
FONT: Final = "Inter, system-ui, Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Stroke:
    """A line through points."""

    points: Sequence[Point]
    colour: Colour
    width: float = 1.5
    dash: str = ""
    title: str = ""
    opacity: float = 1.0


@dataclass(frozen=True)
class Area:
    """A filled polygon, through which what lies below is seen."""

    points: Sequence[Point]
    colour: Colour
    opacity: float = 0.2


@dataclass(frozen=True)
class Mark:
    """A small sign at a place: a dot, or a triangle that points up or down; hollow or full."""

    at: Point
    colour: Colour
    shape: Literal["dot", "up", "down"] = "dot"
    hollow: bool = False

    @property
    def corners(self) -> Sequence[Point]:
        """The corners of a triangle."""
        x, y = self.at
        way = -1 if self.shape == "up" else 1
        return ((x - 4, y - 3 * way), (x + 4, y - 3 * way), (x, y + 4 * way))


@dataclass(frozen=True)
class Label:
    """A text; `at` is the start, middle or end of its base line. Upright texts read upwards."""

    at: Point
    text: str
    size: float = 12
    anchor: Literal["start", "middle", "end"] = "start"
    colour: Colour = "ink"
    upright: bool = False
    bold: bool = False


Shape = Stroke | Area | Mark | Label


@dataclass(frozen=True)
class Scene:
    """A picture of a width and a height; later shapes lie above earlier ones."""

    width: int
    height: int
    title: str
    shapes: Sequence[Shape]


def colour_of(colour: Colour, theme: Theme) -> str:
    """A colour in a theme."""
    if isinstance(colour, int):
        return theme.lines[colour % len(theme.lines)]
    return {"ink": theme.text, "faint": theme.muted, "rule": theme.rule}[colour]


def svg_of(scene: Scene, theme: Theme = LIGHT) -> str:
    """The picture as an SVG document, which also is an element of HTML."""
    shapes = "\n".join(part for shape in scene.shapes for part in _elements(shape, theme))
    title = escaped(scene.title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{scene.width}" height="{scene.height}" '
        f'viewBox="0 0 {scene.width} {scene.height}" role="img" aria-label="{title}" '
        f'font-family="{FONT}">\n<title>{title}</title>\n'
        f'<rect class="rl-ground" width="{scene.width}" height="{scene.height}" '
        f'fill="{theme.ground}"/>\n{shapes}\n</svg>'
    )


def _elements(shape: Shape, theme: Theme) -> Iterator[str]:
    colour = colour_of(shape.colour, theme)
    match shape:
        case Stroke():
            dash = f' stroke-dasharray="{shape.dash}"' if shape.dash else ""
            title = f"<title>{escaped(shape.title)}</title>" if shape.title else ""
            faint = f' stroke-opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
            yield (
                f'<polyline class="{_stroke_class(shape.colour)}" points="{_path(shape.points)}" '
                f'fill="none" stroke="{colour}" stroke-width="{shape.width:g}" '
                f'stroke-linejoin="round"{dash}{faint}>{title}</polyline>'
            )
        case Area():
            yield (
                f'<polygon class="{_fill_class(shape.colour)}" points="{_path(shape.points)}" '
                f'fill="{colour}" fill-opacity="{shape.opacity:g}"/>'
            )
        case Mark(shape="dot"):
            x, y = shape.at
            yield (
                f'<circle class="{_fill_class(shape.colour)}" cx="{x:.1f}" cy="{y:.1f}" r="2.5" '
                f'fill="{colour}"/>'
            )
        case Mark():
            kind, fill = (
                (_stroke_class, f'fill="none" stroke="{colour}"')
                if shape.hollow
                else (_fill_class, f'fill="{colour}"')
            )
            yield f'<polygon class="{kind(shape.colour)}" points="{_path(shape.corners)}" {fill}/>'
        case Label():
            x, y = shape.at
            turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if shape.upright else ""
            bold = ' font-weight="600"' if shape.bold else ""
            yield (
                f'<text class="{_fill_class(shape.colour)}" x="{x:.1f}" y="{y:.1f}" '
                f'font-size="{shape.size:g}" text-anchor="{shape.anchor}" fill="{colour}"'
                f"{bold}{turned}>{escaped(shape.text)}</text>"
            )


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _stroke_class(colour: Colour) -> str:
    return f"rl-line{colour % len(LIGHT.lines)}" if isinstance(colour, int) else f"rl-{colour}"


def _fill_class(colour: Colour) -> str:
    return f"rl-fill{colour % len(LIGHT.lines)}" if isinstance(colour, int) else f"rl-{colour}"
