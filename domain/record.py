"""Frozen records with named fields, whose classes are made fast.

A frozen dataclass compiles its methods when its class is made, which takes as long as importing a
small module: a hundred events and commands were a third of what a short command took. The methods
here are the same for all classes.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn


class Record:
    """The fields are the annotations of the class and its bases; they never change."""

    field_names: ClassVar[tuple[str, ...]] = ()
    """The fields, in order."""
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        own = cls.__dict__.get("__annotations__", {})
        fields = (name for name, hint in own.items() if not str(hint).startswith("ClassVar"))
        cls.field_names = (*cls.field_names, *fields)
        cls.__match_args__ = cls.field_names  # type: ignore[misc]  # mypy takes it for final

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"

    def __init__(self, **fields: Any) -> None:  # `Any`: each class has fields of its own.
        vars(self).update(fields)
