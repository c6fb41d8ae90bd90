"""Write the table of topics into docs/format.md: `python -m tests.docs.topics_table`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgpack

from runlore.domain.events import EVENT_TYPES, Event
from runlore.domain.status import Status
from tests.golden import make as golden

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "format.md"
_BEGIN: Final = "<!-- begin of the generated table of topics -->\n"
_END: Final = "<!-- end of the generated table of topics -->\n"
_NAMES: Final[dict[Any, str]] = {
    str: "text",
    int: "int",
    bool: "bool",
    bytes: "bytes",
    Any: "any",
    type(None): "nil",
    Status: "text",
}


def table() -> str:
    """The table in Markdown: a row for each version of each topic, the newest first."""
    rows = ["| topic | v | log | what happened | fields |", "|---|---|---|---|---|"]
    for event in sorted(EVENT_TYPES, key=lambda event: event.topic):
        what = (event.__doc__ or "").partition("\n")[0]
        rows.append(_row(event, event.schema_version, what, _fields(event)))
        rows += [
            _row(event, version, "the same", _old_fields(event, version))
            for version in range(event.schema_version - 1, 0, -1)
        ]
    return "\n".join(rows) + "\n"


def _row(event: type[Event], version: int, what: str, fields: str) -> str:
    log_version = event.log_versions[version - 1]
    return f"| `{event.topic}` | {version} | {log_version} | {what} | {fields} |"


def in_document() -> str:
    """The table as it is in the document."""
    return DOCUMENT.read_text().partition(_BEGIN)[2].partition(_END)[0]


def write() -> None:
    """Replace the table in the document."""
    text = DOCUMENT.read_text()
    DOCUMENT.write_text(text.replace(_BEGIN + in_document() + _END, _BEGIN + table() + _END))


def _fields(event: type[Event]) -> str:
    hints = get_type_hints(event)
    return ", ".join(f"`{name}` {_type(hints[name])}" for name in event.field_names) or "none"


def _old_fields(event: type[Event], version: int) -> str:
    """The names alone, as the old bytes have them."""
    stored = msgpack.unpackb(golden.path_of(event.topic, version).read_bytes())
    return ", ".join(f"`{name}`" for name in stored if name != "v") or "none"


def _type(hint: Any) -> str:
    if hint in _NAMES:
        return _NAMES[hint]
    inner = [_type(one) for one in get_args(hint) if one is not Ellipsis]
    origin = get_origin(hint)
    if origin is dict:
        return f"map of {inner[1]}" if inner[1] != "any" else "map"
    if origin is tuple:
        is_list = get_args(hint)[-1] is Ellipsis
        return f"list of {inner[0]}" if is_list else f"[{', '.join(inner)}]"
    if origin is Literal:
        return "text"
    assert origin is Union or "|" in str(hint), f"a field has the type {hint}"
    named = [re.sub(r"^(map|list) of (.*)$", r"(\1 of \2)", one) for one in inner]
    return " or ".join(named)


if __name__ == "__main__":
    write()
