"""A side-by-side comparison of runs: their inputs and their results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runlore.domain.config import flattened
from runlore.domain.errors import InvalidInput
from runlore.run.metric_rows import last_values

if TYPE_CHECKING:
    from runlore.run import Run

Row = dict[str, Any]


def compare_runs(runs: Sequence[Run]) -> list[Row]:
    """One row per config key, tag, property, script parameter and metric that a run has.

    `{"kind", "name", "equal", <run id>: value, ...}`; the value is None for a run without it, the
    text `null` for a null in a config or property, and True for a key-only tag. Metrics show their
    last value. Raises InvalidInput for fewer than two runs.
    """
    ids = [run.id for run in runs]
    if len(set(ids)) < 2:
        raise InvalidInput(f"a comparison takes at least two runs, got {', '.join(ids) or 'none'}")
    kinds: dict[str, Callable[[Run], Mapping[str, Any]]] = {
        "run": _facts,
        "config": _config,
        "tag": lambda run: {key: _or_true(value) for key, value in run.get_tags().items()},
        "property": _properties,
        "param": lambda run: parameters_of(_arguments(run)),
        "metric": last_values,
    }
    rows: list[Row] = []
    for kind, named_values in kinds.items():
        by_run = [named_values(run) for run in runs]
        for name in dict.fromkeys(name for of_run in by_run for name in of_run):
            values = [of_run.get(name) for of_run in by_run]
            equal = all(value == values[0] for value in values)
            rows.append(
                {"kind": kind, "name": name, "equal": equal, **dict(zip(ids, values, strict=True))}
            )
    return rows


def parameters_of(arguments: Sequence[str]) -> dict[str, str]:
    """A script's arguments by name; positional ones are numbered.

    >>> parameters_of(["--lr", "0.1", "--seed=7", "--fast", "data.csv"])
    {'--lr': '0.1', '--seed': '7', '--fast': 'data.csv'}
    >>> parameters_of(["data.csv", "-v"])
    {'argument 1': 'data.csv', '-v': ''}
    """
    found: dict[str, str] = {}
    rest = list(arguments)
    place = 0
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not _is_option(word):
            place += 1
            found[f"argument {place}"] = word
        elif equals:
            found[name] = value
        else:
            found[word] = rest.pop(0) if rest and not _is_option(rest[0]) else ""
    return found


def _is_option(word: str) -> bool:
    return word.startswith("-") and not word[1:2].isdigit() and word != "-"


def _facts(run: Run) -> dict[str, Any]:
    record = run.get_record()
    shown = ("status", "target", "script_name", "start_time_utc", "end_time_utc")
    return {name: record[name] for name in shown if record[name] is not None}


def _config(run: Run) -> dict[str, Any]:
    leaves = flattened(run.get_config())
    return {key: text if text == "null" else json.loads(text) for key, text in leaves.items()}


def _properties(run: Run) -> dict[str, str]:
    return {key: "null" if v is None else v for key, v in run.get_properties().items()}


def _arguments(run: Run) -> Sequence[str]:
    definition = run.get_record()["run_definition"] or {}
    return [str(argument) for argument in definition.get("arguments") or ()]


def _or_true(value: str | None) -> str | bool:
    return True if value is None else value
