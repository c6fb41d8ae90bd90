"""Exports take the moments that `as_of` takes, and give the same answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runlore import Workspace
from runlore.audit.bundles.checks import verify_bundle
from runlore.domain.errors import InvalidInput, MomentInFuture
from runlore.domain.fact import utc_time
from runlore.engine.moments import Moment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "exported.bundle"


@pytest.mark.parametrize("argument", ["since", "until"])
@pytest.mark.parametrize(
    ("moment", "error"),
    [
        (datetime(2100, 1, 1, tzinfo=UTC), MomentInFuture),
        ("2100-01-01T00:00:00Z", MomentInFuture),
        (10**9, InvalidInput),
        (-1, InvalidInput),
        (datetime(2026, 1, 1), InvalidInput),
        ("soon", InvalidInput),
        (True, InvalidInput),
        (1.5, InvalidInput),
    ],
)
def test_an_export_refuses_the_moments_that_as_of_refuses(
    ws: Workspace, path: Path, argument: str, moment: Moment, error: type[Exception]
) -> None:
    with pytest.raises(error):
        ws.as_of(moment)
    with pytest.raises(error):
        ws.export(path, **{argument: moment})  # type: ignore[arg-type]  # The name varies.

    assert not path.exists()


def test_every_form_of_a_moment_selects_the_same(ws: Workspace, path: Path) -> None:
    [*_, last] = ws.log.read_stream("run/child-0")
    checkpoint = path.with_name("checkpoint")
    checkpoint.write_text(f"lab\n{last.position}\nAAAA\n")
    by_position = ws.export(path, until=last.position)

    by_text = ws.export(path, until=str(last.position))
    by_file = ws.export(path, until=checkpoint)
    by_note = ws.export(path, until=checkpoint.read_text())

    assert by_text == by_file == by_note == by_position
    assert by_position.selection == {"until": last.position}


def test_a_time_selects_the_events_recorded_then(ws: Workspace, path: Path) -> None:
    ws.get_run("child-0").tag("looked", "at")
    [*_, last] = ws.log.read_stream("run/child-0")
    then = utc_time(last.recorded_at)

    since = ws.export(path, since=then)
    as_text = ws.export(path, since=then.isoformat())
    later = ws.export(path, since=then + timedelta(microseconds=1))

    assert since.selection == {"since": then.isoformat()} == as_text.selection
    assert since.events == as_text.events > later.events
    assert verify_bundle(path).holds


def test_an_export_until_a_time_after_the_last_event_gives_the_same_bytes_again(
    ws: Workspace, path: Path
) -> None:
    now = datetime.now(UTC)

    ws.export(path, until=now)
    first = path.read_bytes()
    ws.export(path, until=now)

    assert path.read_bytes() == first
