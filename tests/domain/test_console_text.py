"""What is kept of a program's output."""

import pytest

from runlore.domain.console_text import ConsoleText
from runlore.domain.secrets import mask_text


def kept(*pieces: str) -> str:
    text = ConsoleText()
    return "".join(map(text.feed, pieces)) + text.finish()


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        (["a\nb"], "a\nb"),
        (["\r 10%", "\r 50%", "\r100%", "\n", "done\n"], "100%\ndone\n"),
        (["1%\r2%\r"], "2%"),
        (["windows\r\n"], "windows\n"),
        (["\r\n"], "\n"),
        (["token=ab", "cdef\n"], "token=***\n"),
        (
            ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nok\n"],
            "***\nok\n",
        ),
    ],
    ids=["plain", "bar", "bar-at-the-end", "crlf", "empty-crlf", "in-pieces", "private-key"],
)
def test_lines_are_folded_and_masked(pieces: list[str], lines: str) -> None:
    assert kept(*pieces) == lines


def test_a_line_without_end_does_not_grow_for_ever() -> None:
    text = ConsoleText()
    assert len("".join(text.feed("x" * 10_000) for _ in range(20))) >= 150_000


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("cloning https://me:pw@host/code", "cloning https://***@host/code"),
        ("password=hunter2 user=ann", "password=*** user=ann"),
        ('{"api_key": "abc", "lr": 0.1}', '{"api_key": "***", "lr": 0.1}'),
        ("--api-key=zzz --token abc --lr 3", "--api-key=*** --token *** --lr 3"),
        ("GET /a?sig=abc&x=1", "GET /a?sig=***&x=1"),
        ("key ghp_" + "a1" * 20, "key ***"),
        ("tokens: 512, loss=0.5 2026-11-30 20:00:00", "tokens: 512, loss=0.5 2026-11-30 20:00:00"),
        ("no secret here", "no secret here"),
    ],
)
def test_secrets_in_text_are_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked
