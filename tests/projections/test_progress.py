"""What people see of a long catch-up: on stderr, never on stdout."""

from __future__ import annotations

import io
from functools import partial
from itertools import count

import pytest

from runlore.projections.own_projection import OwnProjection
from runlore.projections.progress import SignsOfLife, on_stderr
from tests.projections.histories import History


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def signs_on(stream: io.StringIO | None, clock: Clock) -> SignsOfLife:
    return SignsOfLife(1_000, lambda: 5_000, stream=stream, clock_s=clock)


def test_a_short_catch_up_shows_nothing() -> None:
    clock, stream = Clock(), Terminal()
    signs = signs_on(stream, clock)

    clock.now_s = 0.9
    signs.tell(4_000)
    signs.end()

    assert stream.getvalue() == ""


def test_a_file_gets_a_line_after_a_second_and_one_every_ten() -> None:
    clock, stream = Clock(), io.StringIO()
    signs = signs_on(stream, clock)

    for tenths in range(215):
        clock.now_s = tenths / 10
        signs.tell(1_000 + tenths * 10)
    signs.end()

    assert stream.getvalue().splitlines() == [
        "runlore: reading 4,000 new events, 2 %, about 39 s left",
        "runlore: reading 4,000 new events, 27 %, about 29 s left",
        "runlore: reading 4,000 new events, 52 %, about 19 s left",
    ]


def test_a_terminal_gets_one_line_that_is_removed() -> None:
    clock, stream = Clock(), Terminal()
    signs = signs_on(stream, clock)

    clock.now_s = 1.0
    signs.tell(1_000)
    clock.now_s = 2.0
    signs.tell(3_000)
    signs.end()

    assert stream.getvalue() == (
        "\rrunlore: reading 4,000 new events\x1b[K"
        "\rrunlore: reading 4,000 new events, 50 %, about 2 s left\x1b[K"
        "\r\x1b[K"
    )


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "none"])
def test_without_a_stream_a_catch_up_goes_on(closed: bool) -> None:
    clock = Clock()
    stream = io.StringIO() if closed else None
    if stream is not None:
        stream.close()
    signs = signs_on(stream, clock)

    clock.now_s = 5.0
    signs.tell(2_000)
    signs.end()


def test_a_catch_up_tells_how_far_it_is_on_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    history = History()
    history.experiment()
    for number in range(1_500):  # The first batch is one of a thousand.
        history.run(f"r{number}")
    seconds = count(step=6)
    slow = partial(on_stderr, clock_s=lambda: float(next(seconds)))

    projection = OwnProjection(history.log, None, shown=slow)
    assert projection.refresh() == 1_501
    projection.close()

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "runlore: reading 1,501 new events",
        "runlore: reading 1,501 new events, 66 %, about 12 s left",
    ]
