from __future__ import annotations

import pytest

from runlore.alerts.occasions import KINDS, Occasions
from runlore.domain.errors import FilterError, InvalidInput


def test_kinds_metrics_and_conditions_stand_side_by_side() -> None:
    wanted = Occasions.of(["failed,lost, nan,val/acc", "metrics.loss > 10"])

    assert wanted.kinds == {"failed", "lost", "nan"}
    assert wanted.metrics == {"val/acc"}
    assert [condition.text for condition in wanted.conditions] == ["metrics.loss > 10"]
    assert str(wanted) == "failed, lost, nan, metrics.val/acc, metrics.loss > 10"


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("status in (Failed, Canceled),lost", ["status in (Failed, Canceled)"]),
        ("tags.a = 'x,y',tags.b = \"u,v\"", ['tags.a = "x,y"', 'tags.b = "u,v"']),
        ("m.`a,b` > 1", ["metrics.`a,b` > 1"]),
        ("m.loss>10 AND not has(t.debug)", ["metrics.loss > 10 and not has(tags.debug)"]),
    ],
    ids=["list", "quotes", "backquotes", "both"],
)
def test_commas_in_quotes_and_brackets_separate_nothing(text: str, conditions: list[str]) -> None:
    assert [condition.text for condition in Occasions.of([text]).conditions] == conditions


def test_a_metric_may_have_any_name() -> None:
    assert Occasions.of(["metrics.failed,m.`val loss`"]).metrics == {"failed", "val loss"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fialed", "did you mean failed"),
        ("cancelled", "did you mean canceled"),
        (",", "nothing to watch for: name some of"),
        ("metrics.loss.max", "compare it, as in metrics.loss.max > 0.9"),
        ("config.lr", "config.lr is not compared"),
        ("status", "status is not compared"),
        ("metrics.loss >", "has no value"),
        ("metrics.loss > 'x", "has no partner"),
        ("x" * 5000 + " > 1", "is not an attribute of runs"),
        (" or ".join([f"m.a{n} > 1" for n in range(200)]), "at most 900 characters"),
    ],
    ids=[
        "typo",
        "spelling",
        "nothing",
        "aggregate",
        "config",
        "status",
        "no-value",
        "quote",
        "long",
        "or",
    ],
)
def test_what_is_no_occasion_says_what_could_stand_there(text: str, message: str) -> None:
    with pytest.raises((InvalidInput, FilterError), match=message):
        Occasions.of([text])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("m.loss > 10", "metrics.loss > 10 or metrics.loss.max > 10"),
        (
            "m.acc <= 1 and c.lr > 0.1",
            "(metrics.acc <= 1 or metrics.acc.min <= 1) and config.lr > 0.1",
        ),
        ("m.loss = nan", "metrics.loss = nan"),
        ("m.loss.mean > 1", "metrics.loss.mean > 1"),
        ("not m.loss > 1", "not metrics.loss > 1"),
    ],
    ids=["greater", "less", "equal", "aggregate", "not"],
)
def test_a_bare_metric_counts_with_any_of_its_values(text: str, where: str) -> None:
    [condition] = Occasions.of([text]).conditions

    assert condition.where == where


def test_only_the_topics_that_matter_are_read() -> None:
    assert Occasions.of(["failed"]).topics == ("run.failed",)
    assert set(Occasions.of(["nan"]).topics) == {"run.values_logged", "run.alerted"}
    assert set(Occasions.of(["alert,lost"]).topics) == {"run.lost", "run.alerted"}
    assert Occasions.of(["val"]).topics == ("run.values_logged",)
    assert "run.tag_set" in Occasions.of(["has(tags.bad)"]).topics
    assert len(KINDS) == 6
