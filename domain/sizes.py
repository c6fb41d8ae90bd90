"""Sizes in bytes, as people write them."""

from __future__ import annotations

import re
from typing import Final

_SIZE: Final = r"(\d+(?:\.\d+)?) *([KMGT]?)(I?)B?"  # Compiled at its first use, which is rare.


def nbytes_of(text: str) -> int | None:
    """The number of bytes that a text such as `300MB`, `1.5 GiB` or `1000` means; None if none.

    >>> nbytes_of("300MB"), nbytes_of("1 KiB"), nbytes_of("much")
    (300000000, 1024, None)
    """
    found = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE | re.ASCII)
    if found is None:
        return None
    number, prefix, binary = found.groups()
    unit: int = (1024 if binary else 1000) ** (" KMGT".index(prefix.upper() or " "))
    return int(float(number) * unit)


def shown_size(nbytes: int) -> str:
    """The size in the largest fitting unit.

    >>> shown_size(1_000_000_000), shown_size(312_500_000), shown_size(7)
    ('1 GB', '312.5 MB', '7 B')
    """
    for unit, prefix in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if nbytes >= unit:
            return f"{nbytes / unit:.4g} {prefix}B"
    return f"{nbytes} B"
