"""The table of tasks and tools in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.studio.beside.sheet import Shot
from benchmarks.studio.beside.tasks import TASKS


def markdown(shots: Mapping[str, Sequence[Shot]]) -> str:
    """A row per task, a column per tool, the remarks of all below."""
    tools = [shot.tool for shot in next(iter(shots.values()))]
    lines = [f"| task | {' | '.join(tools)} |", "|---" * (len(tools) + 1) + "|"]
    for task in TASKS:
        if task.key in shots:
            cells = " | ".join(_cell(shot) for shot in shots[task.key])
            lines.append(f"| {task.what} | {cells} |")
    lines += ["", *_remarks(shots)]
    return "\n".join(lines) + "\n"


def _cell(shot: Shot) -> str:
    return "no" if shot.not_possible else str(shot.actions)


def _remarks(shots: Mapping[str, Sequence[Shot]]) -> list[str]:
    return [
        f"- {task.what}, {shot.tool}: {shot.remark}"
        for task in TASKS
        for shot in shots.get(task.key, ())
        if shot.remark
    ]
