"""Configs as scripts have them: typed values, set once, corrected with a reason."""

from __future__ import annotations

import enum
import math
import warnings
from argparse import Namespace
from collections import OrderedDict, UserDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from pydantic import BaseModel

from runlore import Experiment, Run
from runlore.domain.errors import ConfigConflict, InvalidInput, InvalidType
from runlore.exceptions import UserErrorException
from runlore.run.comparison import compare_runs
from tests.workspaces import seen_again, start


class Optimizer(BaseModel):
    name: str = "adam"
    lr: float = 0.1


@dataclass
class Settings:
    optimizer: Optimizer = field(default_factory=Optimizer)
    layers: tuple[int, ...] = (64, 64)


class Pair(NamedTuple):
    a: int
    b: int


class Colour(enum.Enum):
    RED = 1


class OmegaLike:
    """A mapping that is none to Python, as some libraries have them."""

    def keys(self) -> list[str]:
        return ["lr"]

    def items(self) -> list[tuple[str, float]]:
        return [("lr", 0.1)]


@pytest.mark.parametrize(
    "config",
    [
        {"lr": 0.1},
        OrderedDict(lr=0.1),
        UserDict(lr=0.1),
        Namespace(lr=0.1),
        SimpleNamespace(lr=0.1),
        OmegaLike(),
    ],
    ids=lambda config: type(config).__name__,
)
def test_a_config_is_any_object_that_names_its_parts(run: Run, config: object) -> None:
    run.add_config(config)
    assert seen_again(run).get_config() == {"lr": 0.1}


def test_dataclasses_and_models_may_be_nested(run: Run) -> None:
    run.add_config(Settings())
    run.add_config({"pair": Pair(1, 2), "args": Namespace(debug=True)})
    assert run.get_config() == {
        "optimizer": {"name": "adam", "lr": 0.1},
        "layers": [64, 64],
        "pair": {"a": 1, "b": 2},
        "args": {"debug": True},
    }


VALUES: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    (3, 3),
    (2**63, 2**63),
    (2**64, "18446744073709551616"),
    (0.1, 0.1),
    (math.nan, "nan"),
    (-math.inf, "-inf"),
    ("é", "é"),
    ([1, [2.5, None]], [1, [2.5, None]]),
    ((), []),
    ({"b", "a"}, ["a", "b"]),
    ({}, {}),
    ({1: "one"}, {"1": "one"}),
    ({"a.b": {"c\\": 1}}, {"a.b": {"c\\": 1}}),
    (Colour.RED, "RED"),
    (Path("data/x"), "data/x"),
    (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
    (timedelta(hours=1), "1:00:00"),
    (Decimal("0.5"), 0.5),
    (np.float32(0.5), 0.5),
    (np.int64(3), 3),
    (np.bool_(True), True),
    (np.array([1, 2]), [1, 2]),
    (np.array([[0.5]]), [[0.5]]),
    (math.sqrt, "math.sqrt"),
    (Optimizer, f"{__name__}.Optimizer"),
]


@pytest.mark.parametrize(("value", "kept"), VALUES, ids=map(str, range(len(VALUES))))
def test_a_value_is_kept_as_json(run: Run, value: object, kept: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.add_config({"key": value})
    assert seen_again(run).get_config() == {"key": kept}
    assert type(run.get_config()["key"]) is type(kept)


def test_what_json_does_not_have_becomes_text_with_a_warning(run: Run) -> None:
    with pytest.warns(UserWarning, match="'key' has a complex, which JSON does not have"):
        run.add_config({"key": 1j})
    assert run.get_config() == {"key": "1j"}


def test_a_config_is_refused_whole(run: Run) -> None:
    itself: dict[str, Any] = {}
    itself["itself"] = itself
    for wrong, kind in (
        (itself, InvalidInput),
        ({"": 1}, InvalidInput),
        ({"big": "x" * 2**21}, InvalidInput),
        ({"text": "\ud800"}, InvalidInput),
        ("lr=0.1", InvalidType),
        (["lr", 0.1], InvalidType),
        (Optimizer, InvalidType),
    ):
        with pytest.raises(kind, match="config"):
            run.add_config(wrong)
    assert run.get_config() == {}


def test_a_key_keeps_its_value_until_it_is_corrected(run: Run) -> None:
    run.add_config({"net": {"lr": 0.1}, "seed": None})
    run.add_config({"net": {"lr": 0.1}})
    with pytest.raises(ConfigConflict, match=r"net\.lr"):
        run.add_config({"net": {"lr": 0.2}, "other": 1})
    run.correct_config("net.lr", np.float64(0.2), reason="the script read another file")
    assert run.get_config() == {"net": {"lr": 0.2}, "seed": None}
    with pytest.raises(UserErrorException, match="no config key 'other'"):
        run.correct_config("other", 1, reason="a typo")


def test_a_comparison_tells_null_from_true_and_from_nothing(exp: Experiment) -> None:
    one, two = start(exp), start(exp)
    one.add_config({"seed": None, "same": 1})
    two.add_config({"seed": True, "same": 1, "more": 2})
    rows = {row["name"]: row for row in compare_runs([one, two]) if row["kind"] == "config"}
    shown = {name: (row[one.id], row[two.id], row["equal"]) for name, row in rows.items()}
    assert shown == {
        "seed": ("null", True, False),
        "same": (1, 1, True),
        "more": (None, 2, False),
    }
