"""Which runs a question is about, as plain data that is checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from types import EllipsisType
from typing import Any, Final

from runlore.domain.errors import InvalidInput

Filter = str | Sequence[str] | Mapping[str, str | EllipsisType | None] | None
"""A filter by tags or properties.

A text keeps runs that have the key, whatever its value; a list of texts those that have all the
keys; a dict those that have all its pairs, where None stands for a key without a value and `...`
for any value.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """The conditions of a question over runs: a run must meet all that are given.

    `type` is the run's type or its property `azureml.runsource`. `target` is the compute target
    that records show, `local` for runs that were never submitted; `submitted_to` leaves those
    out. Runs below others count only with `include_children`. With `below_run` the question is
    about that run's children, or with `include_children` about all its descendants; a descendant
    counts even if the runs above it do not meet the other conditions. Archived runs count only
    with `include_archived`, except below others: trees are whole. `where` is a text in the filter
    language (docs/filters.md), which is read with the question; one that names `archived` decides
    on archived runs itself. `search` keeps runs that have a text in their name, id, description,
    experiment, user, or the key or value of a tag, in any case; an empty one keeps all.

    Raises InvalidInput for a condition of another type.
    """

    experiment_id: str | None = None
    type: str | None = None
    tags: Filter = None
    properties: Filter = None
    statuses: Sequence[str] = ()
    target: str | None = None
    submitted_to: str | None = None
    include_children: bool = False
    include_archived: bool = False
    below_run: str | None = None
    where: str | None = None
    search: str | None = None
    run_ids: Sequence[str] | None = None

    def __post_init__(self) -> None:
        checked = {
            "experiment_id": check_text_filter("experiment_id", self.experiment_id),
            "statuses": tuple(check_text_filter("status", status) for status in self.statuses),
            "target": check_text_filter("target", self.target),
            "submitted_to": check_text_filter("target", self.submitted_to),
            "type": check_text_filter("type", self.type),
            "tags": checked_pairs("tags", self.tags),
            "properties": checked_pairs("properties", self.properties),
            "below_run": check_text_filter("run_id", self.below_run),
            "where": check_text_filter("where", self.where),
            "search": check_text_filter("search", self.search),
            "run_ids": None
            if self.run_ids is None
            else tuple(check_text_filter("run_id", run_id) for run_id in self.run_ids),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # A copy: the caller's list may change.


def statuses_of(status: str | None) -> tuple[str, ...]:
    """The one status that Azure's methods take as the filter's statuses; None is any."""
    return () if status is None else (status,)


def check_text_filter(what: str, wanted: object) -> str | None:
    """The filter, which must be a text or None. Raises InvalidInput."""
    if wanted is None:
        return None
    if isinstance(wanted, str):
        return _utf8(what, wanted)
    raise InvalidInput(f"Unknown filter type {type(wanted).__name__} for {what}: it takes a str")


def checked_pairs(what: str, wanted: Filter) -> dict[str, str | EllipsisType | None]:
    """The filter's keys and values, `...` for any value. Raises InvalidInput."""
    pairs: list[tuple[Any, Any]]
    if wanted is None:
        return {}
    if isinstance(wanted, str):
        pairs = [(wanted, ...)]
    elif isinstance(wanted, Mapping):
        pairs = list(wanted.items())
    elif isinstance(wanted, list | tuple | set | frozenset):
        pairs = [(key, ...) for key in wanted]
    else:
        pairs = [(None, None)]
    for key, value in pairs:
        if not isinstance(key, str) or not (value is ... or isinstance(value, str | None)):
            raise InvalidInput(
                f"Unknown filter type {type(wanted).__name__} for {what}: it takes a key (str), a "
                f"list of keys, or a dict of str to str or None, got {wanted!r:.80}"
            )
    return {
        _utf8(what, key): _utf8(what, value) if isinstance(value, str) else value
        for key, value in pairs
    }


def check_position(as_of: object) -> int:
    """The position, which must be one of a log. Raises InvalidInput."""
    try:
        position = index(as_of)  # type: ignore[arg-type]  # What is checked here.
    except TypeError:
        position = -1
    if not 0 <= position < 2**63:
        raise InvalidInput(f"as_of is {as_of!r:.80}; it takes a position of the log, 0 or more")
    return position


def check_mode(mode: object) -> None:
    """Raises InvalidInput for what says neither that the greatest value is best nor the least."""
    if mode not in ("max", "min"):
        raise InvalidInput(f"mode is {mode!r:.80}; it takes 'max' or 'min'")


def _utf8(what: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{text!r:.80} in {what} cannot be stored as text") from error
    return str.__str__(text)  # A plain one, also of an enumeration.


TOP_LEVEL: Final = RunFilter()
"""All runs but those below others."""

ALL_RUNS: Final = RunFilter(include_children=True)
