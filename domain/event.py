"""The base of all events: frozen fields, checked by a pydantic model that the first event makes.

A process that only reads makes no events, so it neither loads pydantic nor pays for the models: a
class of fifty took longer than all else that a command needs to show a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform, get_type_hints

from runlore.domain.record import Record

if TYPE_CHECKING:
    from pydantic import BaseModel

_Check = Callable[[Mapping[str, Any], bool], dict[str, Any]]


class InvalidEvent(ValueError):
    """The fields are not those of the event's class, or have values of other types.

    `problem` names the first such field, and what is wrong with it.
    """

    def __init__(self, topic: str, problem: str) -> None:
        super().__init__(f"these are not the fields of {topic!r}: {problem}")
        self.problem = problem


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Event(Record):
    """Base of all events; subclasses have a `topic`, and fields that msgpack can encode.

    Fields are named by keyword and never change. A wrong one raises InvalidEvent.
    """

    topic: ClassVar[str]
    schema_version: ClassVar[int] = 1
    log_versions: ClassVar[tuple[int, ...]] = (1,)
    """The log's version that a reader must know, for each schema version of the topic.

    A log's version rises with the first such event in it. An event that a reader may pass over
    (ignorable) asks for none that the topic's earlier versions did not ask for.
    """

    _check: ClassVar[_Check]
    """Each class has its own, once it made an event."""

    def __init__(self, **fields: Any) -> None:  # `Any`: the model checks them.
        check = vars(type(self)).get("_check") or self._made_check()
        vars(self).update(check(fields, True))

    @classmethod
    def of_stored(cls, data: Mapping[str, Any]) -> Self:
        """The event of a decoded payload: msgpack has lists where events have tuples."""
        event = cls.__new__(cls)
        check = vars(cls).get("_check") or cls._made_check()
        vars(event).update(check(data, False))
        return event

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON schema of the event's fields."""
        return _model(cls).model_json_schema()

    def __hash__(self) -> int:
        return hash(self.topic)  # Fields may be mappings.

    @classmethod
    def _made_check(cls) -> _Check:
        """The check of the fields: it takes them, and whether to convert nothing.

        It gives all fields, in their order.
        """
        from pydantic import ValidationError

        validated = _model(cls).__pydantic_validator__.validate_python

        def checked(fields: Mapping[str, Any], strict: bool) -> dict[str, Any]:
            try:
                made: dict[str, Any] = vars(validated(fields, strict=strict))
                return made
            except ValidationError as error:
                first = error.errors()[0]
                problem = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
                raise InvalidEvent(cls.topic, problem) from error

        cls._check = checked
        return checked


def _model(kind: type[Event]) -> type[BaseModel]:
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(kind)
    fields: dict[str, Any] = {
        name: (hints[name], getattr(kind, name, ...)) for name in kind.field_names
    }
    config = ConfigDict(extra="forbid", use_enum_values=True)
    return create_model(kind.__name__, __config__=config, __doc__=kind.__doc__, **fields)
