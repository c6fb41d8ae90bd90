"""Parts of log files as text, also of those that still grow."""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import IO, Any, Final

from runlore.domain.status import TERMINAL
from runlore.engine.inspection.log_search import hits_in
from runlore.engine.runs.handle import RunHandle
from runlore.engine.runs.logs import log_files, open_log
from runlore.run import Run
from runlore.run.run import handle_of

LOG_PART_MAX_NBYTES: Final = 1_000_000
_HITS_MAX: Final = 500


def log_part(run: Run, name: str, start: int | None, tail: int) -> dict[str, Any]:
    """The log from a byte on, at most 1 MB of it; without `start`, its last `tail` bytes."""
    has_ended = run.get_status() in TERMINAL  # Asked first: then all is there that will be.
    handle = handle_of(run)
    opened = _opened(handle, name)
    if opened is None:
        return {"text": "", "from": 0, "next": 0, "is_there": False, "has_ended": has_ended}
    with opened:
        nbytes = opened.seek(0, 2)
        begin = max(0, nbytes - tail) if start is None else min(start, nbytes)
        opened.seek(begin)
        held = opened.read(LOG_PART_MAX_NBYTES)
    if start is None and begin:
        whole = _from_a_character(held)
        begin, held = begin + len(held) - len(whole), whole
    is_last = has_ended and begin + len(held) >= nbytes
    decoder = getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(held, final=is_last)
    waiting, _ = decoder.getstate()
    return {
        "text": text,
        "from": begin,
        "next": begin + len(held) - len(waiting),
        "is_there": True,
        "has_ended": is_last,
    }


def log_hits(run: Run, name: str, text: str) -> dict[str, Any]:
    """The lines of the log that have the text: how many, and the first of them."""
    opened = _opened(handle_of(run), name)
    if opened is None:
        return {"total": 0, "hits": []}
    with opened:
        total, hits = hits_in(opened, text, _HITS_MAX)
    return {"total": total, "hits": [hit._asdict() for hit in hits]}


def _opened(run: RunHandle, name: str) -> IO[bytes] | None:
    # When a run ends, its logs move into the store, where the second attempt finds them.
    for _ in range(2):
        path = log_files(run).get(name)
        opened = None if path is None else open_log(run, path)
        if opened is not None:
            return opened
    return None


def _from_a_character(held: bytes) -> bytes:
    """The bytes without the rest of a character at their beginning."""
    for place, byte in enumerate(held[:4]):
        if byte & 0xC0 != 0x80:
            return held[place:]
    return held
