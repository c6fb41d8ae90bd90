"""The short form of a target: its regressions, its seeds, and inputs made of them by chance.

It needs no fuzzer, and is the same each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tests.fuzz.mutations import mutated_bytes
from tests.fuzz.target import Target, examine


def inputs(target: Target, count: int, seed: int = 0) -> Iterator[bytes]:
    """This many inputs: some seeds as they are, and some that were changed once or a few times."""
    seeds, random = target.seeds(), Random(seed)
    kept = random.sample(seeds, min(len(seeds), count // 4))
    yield from kept
    for _ in range(count - len(kept)):
        data = random.choice(seeds)
        for _ in range(random.choice((1, 1, 2, 4))):
            change = target.mutate if random.random() < 0.9 else mutated_bytes
            data = change(data, random)
        if len(data) <= target.max_nbytes:
            yield data


def examine_some(target: Target, count: int, seed: int = 0) -> int:
    """Examine that many inputs, without those that are too long; returns how many they were.

    Raises as `examine`, with the command that shows it again as a note.
    """
    examined = 0
    for data in inputs(target, count, seed):
        try:
            examine(target, data)
        except BaseException as error:
            error.add_note(f"python -m tests.fuzz.replay {target.name} --hex {data.hex()}")
            raise
        examined += 1
    return examined
