"""Fields that filters, sort keys and columns name, such as `config.lr` or `metrics.loss.min`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Namespace(StrEnum):
    """The first part of a field's name."""

    ATTRIBUTE = "attribute"
    CONFIG = "config"
    TAGS = "tags"
    PROPERTIES = "properties"
    METRICS = "metrics"


class Kind(StrEnum):
    """The kind of an attribute's values."""

    TEXT = "text"
    STATUS = "status"
    WHOLE = "whole number"
    TIME = "time"
    DURATION = "duration"
    FLAG = "true or false"


ATTRIBUTES: Final[Mapping[str, Kind]] = {
    "id": Kind.TEXT,
    "name": Kind.TEXT,
    "experiment": Kind.TEXT,
    "number": Kind.WHOLE,
    "status": Kind.STATUS,
    "created": Kind.TIME,
    "started": Kind.TIME,
    "ended": Kind.TIME,
    "duration": Kind.DURATION,
    "type": Kind.TEXT,
    "target": Kind.TEXT,
    "user": Kind.TEXT,
    "host": Kind.TEXT,
    "script": Kind.TEXT,
    "git_commit": Kind.TEXT,
    "parent": Kind.TEXT,
    "root": Kind.TEXT,
    "depth": Kind.WHOLE,
    "description": Kind.TEXT,
    "error": Kind.TEXT,
    "error_code": Kind.TEXT,
    "lost": Kind.FLAG,
    "archived": Kind.FLAG,
}
"""What every run has: its attributes and the kinds of their values.

`name` is the name that lists display, `error` the message of a failed run's error. `duration` is
in seconds, of a run that goes on until now. `script` and `git_commit` are what the run recorded of
its surroundings. `lost` says that its process died without an end.
"""

AGGREGATES: Final = ("last", "first", "min", "max", "mean", "n")
"""The aggregates of a metric: of its finite values, but for `last`, `first` and `n`."""

SHORT: Final[Mapping[str, Namespace]] = {
    "a": Namespace.ATTRIBUTE,
    "c": Namespace.CONFIG,
    "t": Namespace.TAGS,
    "p": Namespace.PROPERTIES,
    "m": Namespace.METRICS,
}

PLAIN_NAME: Final = re.compile(r"[\w/-]+(?:\.[\w/-]+)*")
"""A name that needs no backquotes, unless it ends like an aggregate of a metric."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field; `str(field)` is its canonical name. `aggregate` is that of a metric, else empty."""

    namespace: Namespace
    name: str
    aggregate: str = ""

    def __str__(self) -> str:
        if self.namespace is Namespace.ATTRIBUTE:
            return self.name
        metric = self.namespace is Namespace.METRICS
        plain = PLAIN_NAME.fullmatch(self.name) is not None
        if metric and self.name.rpartition(".")[2] in AGGREGATES:
            plain = False
        name = self.name if plain else "`" + self.name.replace("`", "``") + "`"
        aggregate = f".{self.aggregate}" if metric and self.aggregate != "last" else ""
        return f"{self.namespace}.{name}{aggregate}"
