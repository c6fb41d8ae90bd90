"""The content of packed records of a spool, checked: a stranger may have written it.

What these functions return can be written to the log and read from there.
"""

from __future__ import annotations

from typing import Any, Final

import msgpack

from runlore.domain.errors import RunloreError
from runlore.domain.ids import check_run_id
from runlore.domain.status import TERMINAL, Status
from runlore.domain.text import check_key, check_text
from runlore.storage.spool_format import (
    DEFINITION,
    INTENT,
    WIDE_MAX,
    Channel,
    EndIntent,
    columns_of,
)
from runlore.storage.value_codec import Series, unpack_other

_FORMS: Final = frozenset("fiwFGIJb")
_SCALARS: Final = frozenset({float, int, bool, str, type(None)})
_COLUMNS_MAX: Final = 100_000


def defined(data: bytes) -> tuple[int, Channel]:
    """The number and channel in a definition. Raises ValueError if they make no sense."""
    try:
        number, run_id, form, series = msgpack.unpackb(data)
        if type(number) is not int or not DEFINITION < number < INTENT or form not in _FORMS:
            raise ValueError(f"series {number!r:.80} has form {form!r:.80}")
        channel = Channel(check_run_id(run_id), form, tuple(_series(*one) for one in series))
    except (RunloreError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"a definition makes no sense: {error}") from error
    _check_fit(channel)
    return number, channel


def value_of(data: bytes, series: Series) -> Any:
    """The value, or the row as a tuple, in a record of form b.

    Raises ValueError if it is none that can be logged.
    """
    try:
        value = msgpack.unpackb(data, ext_hook=unpack_other, use_list=False)
    except (ValueError, TypeError) as error:
        raise ValueError(f"a value of {series.name!r:.80} cannot be unpacked: {error}") from error
    if not series.columns:
        if type(value) not in _SCALARS:
            raise ValueError(f"a value of {series.name!r:.80} is none that can be logged")
        if series.kind != "scalar" and type(value) is not str:
            raise ValueError(f"a value of {series.name!r:.80} is not the address of a file")
    elif type(value) is not tuple or len(value) != len(series.columns):
        raise ValueError(f"a row of {series.name!r:.80} does not have its columns")
    elif not _SCALARS.issuperset(map(type, value)):
        raise ValueError(f"a row of {series.name!r:.80} has a value that cannot be logged")
    return value


def intent_of(data: bytes) -> EndIntent:
    """The intent in its record. Raises ValueError if it makes no sense."""
    try:
        found = msgpack.unpackb(data)
        error = found["error"]
        intent = EndIntent(
            check_run_id(found["run"]),
            Status(found["status"]),
            None if error is None else {_text(key): _text(error[key]) for key in error},
            found["observed_at"],
        )
    except (RunloreError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"an intent makes no sense: {error}") from error
    if intent.status not in TERMINAL or type(intent.observed_at) is not int:
        raise ValueError(f"an intent of {intent.run_id} is no end: {intent.status!r:.80}")
    return intent


def _series(name: object, columns: list[object], kind: object, description: object) -> Series:
    if type(columns) is not list or len(columns) > _COLUMNS_MAX:
        raise ValueError(f"a series cannot have the columns {columns!r:.80}")
    return Series(
        check_key(name, "metric name"),
        tuple(check_key(column, "column name") for column in columns),
        check_key(kind, "kind of metric"),
        check_text(description, "description"),
    )


def _check_fit(channel: Channel) -> None:
    """Raise ValueError if the channel's form cannot hold its series."""
    form, series = channel.form, channel.series
    if not series:
        raise ValueError("a definition has no series")
    for one in series:
        if (one.kind == "row") is not bool(one.columns):
            raise ValueError(f"{one.name!r:.80} has {len(one.columns)} columns and is a {one.kind}")
        if form != "b" and one.kind not in ("scalar", "row"):
            raise ValueError(f"form {form} cannot hold the {one.kind} {one.name!r:.80}")
    names = series[0].columns if len(series) == 1 else [one.name for one in series]
    if len(set(names)) < len(names):
        raise ValueError(f"columns of {series[0].name!r:.80} have the same name")
    if form == "w":
        fits = 1 < columns_of(channel) <= WIDE_MAX and (
            len(series) == 1 or not any(one.columns for one in series)
        )
    else:
        fits = len(series) == 1 and (form == "b" or not series[0].columns)
    if not fits:
        raise ValueError(f"form {form} cannot hold {len(series)} series")


def _text(text: object) -> str:
    return check_text(text, "error document")
