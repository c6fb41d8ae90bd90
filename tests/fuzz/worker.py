"""One target under atheris: `python -m tests.fuzz.worker TARGET SEEDS OPTIONS-OF-LIBFUZZER...`.

The folder SEEDS gets the target's seeds, and the one above it the inputs that break something.
Most changes are the target's own, which keep the structure; the others are libFuzzer's.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from random import Random

import atheris

from tests.fuzz.surroundings import alone
from tests.fuzz.target import Target, examine
from tests.fuzz.targets import target_named

OWN_CHANGES = 0.7


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    _, name, seeds, *options = sys.argv
    folder = Path(seeds).absolute()
    options = [str(Path(one).absolute()) if one[0] != "-" else one for one in options]
    with alone():
        # Lazy imports of the code under test are instrumented as well: the hook stays.
        atheris.instrument_imports(include=["runlore"]).__enter__()
        target = target_named(name)
        _write_seeds(target, folder)

        def mutate(data: bytes, max_size: int, seed: int) -> bytes:
            random = Random(seed)
            if random.random() < OWN_CHANGES:
                changed = target.mutate(data, random)
                if len(changed) <= max_size:
                    return changed
            mutated: bytes = atheris.Mutate(data, max_size)
            return mutated

        def check(data: bytes) -> None:
            try:
                examine(target, data)
            except BaseException:  # Kept here: libFuzzer may not live to do it.
                (folder.parent / f"crash-{hashlib.sha1(data).hexdigest()}").write_bytes(data)
                raise

        arguments = [sys.argv[0], f"-max_len={target.max_nbytes}", *options, str(folder)]
        atheris.Setup(arguments, check, custom_mutator=mutate)
        atheris.Fuzz()


def _write_seeds(target: Target, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*target.seeds(), *target.regressions.values()]):
        (folder / f"seed-{number:03}").write_bytes(data)


if __name__ == "__main__":
    main()
