"""The base of all commands: what somebody asks to be changed, for a `decide` to answer."""

from __future__ import annotations

from typing import Any, Self, dataclass_transform

from runlore.domain.record import Record


@dataclass_transform(frozen_default=True)
class BaseCommand(Record):
    """Fields are given by position or name, as to a dataclass.

    >>> class Rename(BaseCommand):
    ...     key: str
    ...     reason: str = "none"
    >>> Rename("a"), Rename("a", reason="typo") == Rename(key="a", reason="typo")
    (Rename(key='a', reason='none'), True)
    """

    def __init__(self, *values: Any, **named: Any) -> None:  # `Any`: type checkers see the fields.
        names, kind = self.field_names, type(self)
        if len(values) > len(names):
            raise TypeError(f"{kind.__name__} takes {len(names)} fields, got {len(values)} values")
        given = dict(zip(names, values, strict=False))
        if twice := sorted(given.keys() & named.keys()):
            raise TypeError(f"{kind.__name__} got {twice} twice")
        given.update(named)
        if unknown := sorted(given.keys() - names):
            raise TypeError(f"{kind.__name__} has no fields {unknown}")
        if missing := [name for name in names if name not in given and not hasattr(kind, name)]:
            raise TypeError(f"{kind.__name__} lacks {missing}")
        super().__init__(
            **{name: given[name] if name in given else getattr(kind, name) for name in names}
        )

    def with_fields(self, **changes: Any) -> Self:
        """The same command with other values of these fields."""
        return type(self)(**{**vars(self), **changes})
