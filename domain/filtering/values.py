"""Whether a value fits the field that it is compared with."""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from typing import Final

from runlore.domain.errors import InvalidInput
from runlore.domain.filtering.expressions import Value
from runlore.domain.filtering.fields import ATTRIBUTES, Field, Kind, Namespace
from runlore.domain.human_time import DURATION_FORMS, TIME_FORMS, duration_of, time_of
from runlore.domain.status import Status

CONTAINS: Final = ("~", "!~")
_EQUAL: Final = ("=", "!=")


def check_value(field: Field, operator: str, value: Value, now: datetime) -> Value:
    """The value, a status in its own spelling. Raises InvalidInput if it does not fit."""
    if operator in CONTAINS:
        if _kind(field) not in (Kind.TEXT, None):
            raise InvalidInput(f"{field} is not text: compare it by = != < <= > >=")
        if field.namespace is Namespace.METRICS and field.aggregate != "last":
            raise InvalidInput(f"{field} is a number: compare it by = != < <= > >=")
        return value
    if field.namespace is Namespace.METRICS:
        return _of_metric(field, operator, value)
    match _kind(field):
        case Kind.STATUS:
            return _status(field, operator, value)
        case Kind.FLAG if operator not in _EQUAL or value.literal not in ("true", "false"):
            raise InvalidInput(f"{field} is compared by = or != with true or false")
        case Kind.WHOLE if value.number is None:
            raise InvalidInput(f"{field} is compared with a number, not {value.text!r:.80}")
        case Kind.TIME if time_of(value.text, now) is None:
            raise InvalidInput(f"{field} is a time: it takes {TIME_FORMS}")
        case Kind.DURATION if duration_of(value.text) is None:
            raise InvalidInput(f"{field} is a duration: it takes {DURATION_FORMS}")
    return value


def _of_metric(field: Field, operator: str, value: Value) -> Value:
    number = value.number
    if number is None and (field.aggregate != "last" or operator not in _EQUAL):
        raise InvalidInput(f"{field} is compared with a number; its last text by = != ~ !~")
    if number is not None and number != number and operator not in _EQUAL:
        raise InvalidInput(f"{field} is compared with nan by = or !=")
    return value


def _status(field: Field, operator: str, value: Value) -> Value:
    if operator not in _EQUAL:
        raise InvalidInput(f"{field} is compared by = != or in")
    known = {str(status).lower(): str(status) for status in Status}
    found = known.get(value.text.lower())
    if found is None:
        near = get_close_matches(value.text.lower(), known, 1)
        statuses = [known[name] for name in near] or list(known.values())
        raise InvalidInput(
            f"{value.text!r:.80} is not a status; did you mean {' or '.join(statuses)}?"
            if near
            else f"{value.text!r:.80} is not a status; there are {', '.join(statuses)}"
        )
    return Value(found)


def _kind(field: Field) -> Kind | None:
    return ATTRIBUTES[field.name] if field.namespace is Namespace.ATTRIBUTE else None
