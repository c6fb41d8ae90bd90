"""The arguments of a program, as they are recorded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from runlore.domain.secrets import mask_words

_WORDS_MAX: Final = 1_000
_WORD_MAX_CHARS: Final = 1_000
_ALL_MAX_CHARS: Final = 50_000


def shown_words(words: Sequence[str], not_secret: Collection[str] = ()) -> list[str]:
    """Arguments as they are recorded: without secrets, and the first ones of very many."""
    masked = mask_words(
        [word.encode("utf-8", "replace").decode() for word in words[:_WORDS_MAX]], not_secret
    ).words
    shown: list[str] = []
    left = _ALL_MAX_CHARS
    for word in masked:
        cut = word if len(word) <= _WORD_MAX_CHARS else f"{word[:_WORD_MAX_CHARS]}..."
        left -= len(cut)
        if left < 0:
            break
        shown.append(cut)
    if len(shown) < len(words):
        shown.append(f"... ({len(words) - len(shown)} more)")
    return shown
