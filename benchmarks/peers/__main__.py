"""`python -m benchmarks.peers [peer ...] [--quick]`: all peers beside runlore, or those named.

Writes `benchmark-output/peers.json` and `peers.md`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import machine, scratch, shown
from benchmarks.peers.environments import PEERS, Peer
from benchmarks.peers.measures import FULL, QUANTITIES, QUICK, Figure, Quantity, measure

Table = Mapping[str, Mapping[str, Figure]]
ALWAYS = ("runlore", "list", "write")


def main(arguments: Sequence[str]) -> int:
    names = [argument for argument in arguments if argument != "--quick"]
    known = [peer.name for peer in PEERS]
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no peer {unknown[0]!r}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    sizes = QUICK if "--quick" in arguments else FULL
    chosen = [peer for peer in PEERS if not names or peer.name in (*ALWAYS, *names)]
    print(machine(), flush=True)
    table: dict[str, dict[str, Figure]] = {}
    for peer in chosen:
        table[peer.name] = {}
        with scratch() as folder:
            for figure in measure(peer, folder, sizes):
                table[peer.name][figure.quantity] = figure
                print(f"{peer.name:14} {figure.quantity:11} {text(figure)}", flush=True)
    command = " ".join(("python -m benchmarks.peers", *arguments))
    write(chosen, table, command if arguments else "make bench-peers", Path("benchmark-output"))
    return 0


def text(figure: Figure) -> str:
    if figure.value is None:
        return f"not run: {figure.note}"
    return shown(figure.value) + (f"  ({figure.note})" if figure.note else "")


def write(peers: Sequence[Peer], table: Table, command: str, folder: Path) -> None:
    """The table as JSON and as Markdown."""
    folder.mkdir(exist_ok=True)
    page = markdown(peers, table, command)
    (folder / "peers.md").write_text(page)
    document = {
        "machine": machine(),
        "command": command,
        "peers": [
            asdict(peer)
            | {"pin": peer.pin, "figures": [asdict(f) for f in table[peer.name].values()]}
            for peer in peers
        ],
    }
    (folder / "peers.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    print(f"\n{page}")


def markdown(peers: Sequence[Peer], table: Table, command: str) -> str:
    """A row per quantity, a column per peer; ratios are how many times runlore's time or size."""
    names = " | ".join(peer.pin if peer.package is None else title(peer) for peer in peers)
    lines = [
        f"`{command}` · {machine()} · in parentheses: the figure divided by runlore's (for rates: "
        "how many times slower)",
        "",
        f"| what | {names} |",
        "|---" * (len(peers) + 1) + "|",
    ]
    for quantity in QUANTITIES:
        cells = " | ".join(cell(quantity, table, peer.name) for peer in peers)
        lines.append(f"| {quantity.what}{', ' * bool(quantity.unit)}{quantity.unit} | {cells} |")
    lines += ["", "What each guarantees:", ""]
    lines += [f"- **{peer.name}**: {peer.guarantees}" for peer in peers]
    lines += ["", "How each figure was measured, and what was not run:", ""]
    lines += [f"- **{peer.name}**: {notes(table[peer.name])}" for peer in peers]
    return "\n".join(lines) + "\n"


def notes(figures: Mapping[str, Figure]) -> str:
    """What there is to say of the figures, those with the same remark together."""
    remarks: dict[str, list[str]] = {}
    for quantity in QUANTITIES:
        figure = figures[quantity.key]
        remark = f"not run: {figure.note}" if figure.value is None else figure.note
        if remark:
            remarks.setdefault(remark, []).append(quantity.key)
    return "; ".join(f"{', '.join(keys)} ({remark})" for remark, keys in remarks.items())


def title(peer: Peer) -> str:
    """The peer's name and the version of its package."""
    return f"{peer.name} {peer.pin.partition('==')[2]}"


def cell(quantity: Quantity, table: Table, name: str) -> str:
    figure = table[name][quantity.key]
    if figure.value is None:
        return "not run"
    reference = table["runlore"][quantity.key] if "runlore" in table else None
    ours = reference.value if reference is not None else None
    if not quantity.compared or name == "runlore" or not ours or not figure.value:
        return shown(figure.value)
    if quantity.key == "tags" and reference is not None and figure.note != reference.note:
        return f"{shown(figure.value)} (among {figure.note})"  # It stopped early: no ratio.
    ratio = ours / figure.value if quantity.larger_is_better else figure.value / ours
    return f"{shown(figure.value)} ({shown(ratio)} ×)"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
