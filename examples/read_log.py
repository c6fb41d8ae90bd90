"""Read a workspace without runlore, by docs/format.md alone: `python read_log.py FOLDER`."""

import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from hashlib import sha256
from itertools import accumulate, count, cycle, repeat
from pathlib import Path
from struct import pack, unpack_from
from typing import Any

import msgpack
import zstandard

STATUS = {"started": "Running", "resumed": "Running", "cancel_requested": "CancelRequested"}
STATUS |= {"completed": "Completed", "failed": "Failed", "canceled": "Canceled", "lost": "Failed"}


def decode(data: bytes) -> Any:
    return msgpack.unpackb(data, ext_hook=lambda _, digits: int(digits, 16), strict_map_key=False)


def leaf(row: tuple[Any, ...]) -> bytes:
    texts = [one.encode() if isinstance(one, str) else one for one in (*row[:4], *row[5:8], row[4])]
    fields = [pack(">q", one) if isinstance(one, int) else one for one in texts]
    sized = [b"\xff" * 4 if one is None else pack(">I", len(one)) + one for one in fields]
    return sha256(b"\0" + b"".join(sized)).digest()


def frontier(leaves: list[bytes]) -> bytes:
    nodes: list[bytes] = []
    for size, node in enumerate(leaves):
        while size & 1:
            node, size = sha256(b"\1" + nodes.pop() + node).digest(), size >> 1
        nodes.append(node)
    return b"".join(nodes)


def integers(n: int, first: int, code: Any, held: Any = None) -> list[int]:
    if held is None:
        return [first + code * place for place in range(n)]
    gaps = held if code == "any" else unpack_from(f"<{n - 1}{code}", held)
    return [*accumulate(gaps, initial=first)]


def batch(data: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    found: list[tuple[int, str, list[Any]]] = []
    blocks = decode(zstandard.ZstdDecompressor().decompress(data["payload"]))
    for series, block in zip(data["series"], blocks, strict=True):
        columns: list[Any] = [integers(series["n"], *block[key]) for key in "ist"]
        for kind, held in block["v"]:
            other = unpack_from(f"<{series['n']}d", held) if kind == "f8" else held
            columns.append(integers(series["n"], *held) if kind == "i8" else other)
        found += [(place, series["name"], row) for place, *row in zip(*columns, strict=True)]
    return [(name, row) for _, name, row in sorted(found, key=lambda one: one[0])]


def spool(content: bytes, drained: Any, known: dict[int, Any]) -> Iterator[tuple[str, str, Any]]:
    old = content[:8] == b"rlspool\1"
    header, size, end, floats, piece = (64, 32, 24, 16, 28) if old else (192, 64, 48, 32, 48)
    lap, after = unpack_from("=Q", content, 8)[0], 0
    slots = [content[at : at + size] for at in range(header, len(content), size)]
    ends = {at: unpack_from("=II", slot, end) for at, slot in enumerate(slots)}
    for at, (number, mark) in ends.items():
        run, form, series = known.get(number, ("", "?" if number else "b", [["", []]]))
        step, time, n = unpack_from("=qqI", slots[at])
        width = len(series) if len(series) > 1 else len(series[0][1])
        more = -(-(2 * n if form in "GJ" else n) * 8 // end)  # The slots after the first.
        more = {"w": (width + 1) // 3, "b": -(-n // piece), "f": 0, "i": 0}.get(form, more)
        marks = mark, ends.get(at + more, (0, 0))[1]
        if at < after or form == "?" or marks != (lap | 2 ** (30 if more else 31), lap | 2**31):
            continue
        steps: Any = count(step) if form in "FI" else repeat(step)
        after = at + more + 1
        rest = b"".join(slot[: piece if form == "b" else end] for slot in slots[at + 1 : after])
        if form == "b":
            rows: Any = [decode(rest[:n]) if series[0][1] or not number else [decode(rest[:n])]]
        elif form == "w":
            row = unpack_from(f"={width}d", slots[at][floats:end] + rest)
            rows = [row] if series[0][1] else [[cell] for cell in row]
        else:
            code = f"={n if more else 1}{'d' if form in 'fFG' else 'q'}"
            rows = [[cell] for cell in unpack_from(code, rest or slots[at][16:])]
            steps = unpack_from(f"={n}q", rest, 8 * n) if form in "GJ" else steps
        if number == 0:
            known[rows[0][0]] = rows[0][1:]
        elif (lap, at) >= drained:
            for (name, *_), step, row in zip(cycle(series), steps, rows, strict=False):
                yield run, name, [step, time if old else time // 1000, *row]


def apply(run: dict[str, Any], what: str, data: dict[str, Any]) -> None:
    if what == "created":
        run |= {key: data[key] for key in ("status", "tags", "properties")}
    elif what in STATUS or what in ("status_changed", "found"):
        run["status"] = STATUS.get(what) or data["status"]
    elif what == "tag_removed":
        run["tags"].pop(data["key"], None)
    elif what in ("tag_set", "property_added", "property_corrected"):
        run["tags" if what == "tag_set" else "properties"][data["key"]] = data["value"]
    elif what == "values_logged":
        for name, row in batch(data):
            run["values"][name].append(row)
    elif what == "rewound":
        for rows in run["values"].values():
            rows[:] = [row for row in rows if row[0] <= data["step"]]


def read(folder: Path) -> dict[str, Any]:
    """Status, tags, properties and values ([step, time in µs, columns...]) of each run, by id."""
    log = sqlite3.connect(f"file:{folder}/log.sqlite?mode=ro", uri=True)
    rows = log.execute("SELECT * FROM stored_events ORDER BY notification_id").fetchall()
    head = log.execute("SELECT size, frontier FROM log_head").fetchone()
    drained = {w: tuple(m) for w, *m in log.execute("SELECT writer_id, lap, slot FROM drained")}
    log.close()
    leaves = [leaf(row) for row in rows]
    assert leaves == [row[8] for row in rows] and head == (len(rows), frontier(leaves))
    runs: dict[str, Any] = defaultdict(lambda: {"values": defaultdict(list)})
    for _, stream, _, topic, state, *_ in rows:
        if stream.startswith("run/"):
            apply(runs[stream.split("/")[1]], topic.removeprefix("run."), decode(state))
    known: dict[str, dict[int, Any]] = defaultdict(dict)
    files = [(path.stem[:32], path.read_bytes()) for path in folder.glob("spools/*.spool*")]
    for writer, content in sorted(files, key=lambda file: unpack_from("=Q", file[1], 8)):
        if content.startswith(b"rlspool"):  # Else the file was never used.
            for run_id, name, row in spool(content, drained.get(writer, (0, 0)), known[writer]):
                runs[run_id]["values"][name].append(row)
    return runs


if __name__ == "__main__":
    print(read(Path(sys.argv[1])))
