"""Contract suites that the recorders and compute targets of other packages can run."""

import pytest

pytest.register_assert_rewrite(
    "runlore.testing.erasable_recorders",
    "runlore.testing.log_contract",
    "runlore.testing.logs",
    "runlore.testing.recorders",
    "runlore.testing.submitted",
    "runlore.testing.targets",
)
