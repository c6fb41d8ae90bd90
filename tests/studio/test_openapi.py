"""Each endpoint of the OpenAPI description, asked for what nobody thought of."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import positive_data_acceptance
from schemathesis.core.result import Ok

from tests.studio.asking import Served

EXAMPLES = 15
# A position beyond the log's end is refused, and so is a change without an Origin.
NOT_PROMISED = [positive_data_acceptance]


@pytest.mark.long
@pytest.mark.processes
def test_no_question_breaks_the_server_or_its_description(studio: Served) -> None:
    description = schemathesis.openapi.from_url(f"{studio.origin}/api/openapi.json")
    broken: dict[str, str] = {}
    asked = 0
    for found in description.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(headers={"Origin": studio.origin}, excluded_checks=NOT_PROMISED)

        try:
            ask()
        except BaseExceptionGroup as error:  # All of them are told together.
            broken[operation.label] = str(error)
        asked += 1
    assert asked > 15
    assert broken == {}, "\n\n".join(f"{label}: {text}" for label, text in broken.items())
