"""How the house stands: its rooms, the arrows between them, circles, private uses, full folders.

    python -m tests.architecture.house [ROOT]

measures this checkout, or that in the folder ROOT. A room is a child of the package `runlore`: a
package or a single module. An arrow says that one room imports from another. Imports count
wherever they stand, at the top, in functions and under TYPE_CHECKING; a name that a package
re-exports counts for the module that defines it.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from tests.architecture.circles import best_order, circles, running_up
from tests.architecture.layers import declared_layers
from tests.architecture.private_uses import PrivateUse, private_uses
from tests.architecture.source import PACKAGE, Checkout

HERE = Path(__file__).parents[2]
MOST_MODULES_IN_A_FOLDER = 16
WIDTH = 100


class House:
    """The figures of one checkout."""

    def __init__(self, root: Path = HERE) -> None:
        self._root = root
        self.checkout = Checkout(root)

    @cached_property
    def floors(self) -> list[list[str]]:
        """The rooms by layer, the highest first; within a layer as few arrows run up as can be."""
        checkout = self.checkout
        floors = [[PACKAGE], *declared_layers(self._root)]
        return [
            best_order((room for room in floor if room in checkout.rooms), checkout.room_arrows)
            for floor in floors
        ]

    @cached_property
    def arrows_up(self) -> list[tuple[str, str]]:
        """Arrows from a room to one that stands above it."""
        order = [room for floor in self.floors for room in floor]
        return running_up(order, self.checkout.room_arrows)

    @cached_property
    def circles(self) -> list[list[str]]:
        """Groups of modules that import each other, by whatever way round."""
        return circles(self.checkout.arrows)

    @cached_property
    def private_uses(self) -> list[PrivateUse]:
        return private_uses(self.checkout)

    @cached_property
    def folders(self) -> dict[Path, int]:
        """The number of modules in each folder of src/, without `__init__.py`."""
        source = self._root / "src"
        return {
            folder.relative_to(self._root): modules
            for folder in sorted({path.parent for path in source.rglob("*.py")})
            if (modules := len([*folder.glob("*.py")]) - (folder / "__init__.py").exists())
        }

    @property
    def full_folders(self) -> dict[Path, int]:
        return {
            folder: modules
            for folder, modules in self.folders.items()
            # The root holds the names that Azure's users import, and tests/face lists them.
            if modules > MOST_MODULES_IN_A_FOLDER and folder != Path("src/runlore")
        }

    def figures(self) -> dict[str, int]:
        arrows = self.checkout.room_arrows
        return {
            "modules": len(self.checkout.modules),
            "rooms": len(self.checkout.rooms),
            "arrows between rooms": sum(map(len, arrows.values())),
            "arrows that run up": len(self.arrows_up),
            "circles": len(self.circles),
            "modules in the largest circle": max(map(len, self.circles), default=0),
            "private uses across modules": len(self.private_uses),
            f"folders in src/ with more than {MOST_MODULES_IN_A_FOLDER} modules": len(
                self.full_folders
            ),
        }


def report(house: House) -> Iterator[str]:
    yield from _rooms(house)
    yield from _arrows(house)
    yield from _arrows_up(house)
    yield from _circles(house)
    yield from _private_uses(house)
    yield from _folders(house)
    yield from _section("Figures")
    for name, figure in house.figures().items():
        yield f"{figure:6}  {name}"


def _rooms(house: House) -> Iterator[str]:
    yield from _section("Rooms, by layer")
    for floor in house.floors:
        for room in floor:
            modules = house.checkout.rooms[room]
            inside = [name.removeprefix(f"{room}.") for name in modules if name != room]
            yield from _entry(_short(room), inside or ["(one module)"])
        yield ""


def _arrows(house: House) -> Iterator[str]:
    yield from _section("Arrows: each room imports from")
    rank = {room: index for index, room in enumerate(_in_order(house))}
    for room in rank:
        imported = sorted(house.checkout.room_arrows[room], key=lambda name: rank[name])
        yield from _entry(_short(room), map(_short, imported))


def _arrows_up(house: House) -> Iterator[str]:
    yield from _section(f"Arrows that run up: {len(house.arrows_up)}")
    for importer, imported in house.arrows_up:
        yield f"  {_short(importer)} → {_short(imported)}"
        yield from (f"      {line}" for line in _lines_of(house, importer, imported))


def _lines_of(house: House, importer: str, imported: str) -> Iterator[str]:
    modules = house.checkout.modules
    for found in house.checkout.imports:
        if (
            found.imported in modules
            and modules[found.importer].room == importer
            and modules[found.imported].room == imported
        ):
            taken = "" if found.name is None else f": {found.name}"
            yield f"{found.importer}:{found.line} → {found.imported}{taken}"


def _circles(house: House) -> Iterator[str]:
    yield from _section(f"Circles: {len(house.circles)}")
    for circle in house.circles:
        yield from _entry(f"{len(circle)} modules", map(_short, circle))


def _private_uses(house: House) -> Iterator[str]:
    yield from _section(f"Private uses across modules: {len(house.private_uses)}")
    yield from (f"  {use}" for use in house.private_uses)


def _folders(house: House) -> Iterator[str]:
    yield from _section("Modules per folder")
    for folder, modules in house.folders.items():
        full = "  too many" if folder in house.full_folders else ""
        yield f"{modules:6}  {folder}{full}"


def _in_order(house: House) -> list[str]:
    return [room for floor in house.floors for room in floor]


def _section(title: str) -> list[str]:
    return ["", title, "─" * len(title)]


def _entry(title: str, names: Iterable[str]) -> list[str]:
    return textwrap.wrap(
        " ".join(names) or "nothing",
        WIDTH,
        initial_indent=f"  {title:<19} ",
        subsequent_indent=" " * 22,
        break_on_hyphens=False,
    )


def _short(name: str) -> str:
    return name.removeprefix(f"{PACKAGE}.")


if __name__ == "__main__":
    print(*report(House(*map(Path, sys.argv[1:2]))), sep="\n")
