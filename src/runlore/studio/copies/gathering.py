"""All answers that the pages of a copy ask for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from runlore.studio.copies.questions import Questions

_BUCKETS: Final = 1_000
_TEXT_MAX_NBYTES: Final = 200_000
_FILE_MAX_NBYTES: Final = 20_000_000
_TEXTS: Final = (".txt", ".log", ".md", ".json", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".py")
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_COLUMNS_MAX: Final = 60
_AXES: Final = ("step", "time", "since")


class CopiedFile(NamedTuple):
    """A file of a run: where its pages look for it, and its content."""

    key: str
    suffix: str
    content: bytes


async def gather(questions: Questions, run_ids: Sequence[str]) -> list[CopiedFile]:
    """Ask what the pages of these runs ask; return the pictures that they show."""
    await questions.ask("workspace")
    fields = (await questions.ask("columns", {"limit": 100}))["fields"]
    metrics = [field for field in fields if field.startswith("metrics.")]
    others = [field for field in fields if not field.startswith("metrics.")]
    quoted = ", ".join(_quoted(run_id) for run_id in run_ids)
    table = await questions.ask(
        "runs",
        {
            "f": f"id in ({quoted})",
            "children": "true",
            "limit": len(run_ids),
            "cols": ["status", "duration", *others[:_COLUMNS_MAX], *metrics[:_COLUMNS_MAX]],
        },
    )
    files: list[CopiedFile] = []
    names: dict[str, None] = {}
    for run_id in run_ids:
        files += await _gather_run(questions, run_id, names)
    for name in names:
        await _ask_chart(questions, table["ids"], name)
    return files


async def _gather_run(
    questions: Questions, run_id: str, names: dict[str, None]
) -> list[CopiedFile]:
    path = f"runs/{run_id}"
    details = await questions.ask(path)
    for name in (await questions.ask(f"{path}/metrics"))["metrics"]:
        names[name] = None
        await _ask_chart(questions, [run_id], name)
    await questions.ask(f"{path}/history")
    await questions.ask(f"{path}/rollup", {"mode": "min"})
    await questions.ask("runs", _children(run_id))
    for name in details["logs"]:
        await questions.ask(f"{path}/logs/{name}")
    logged = await questions.ask(f"{path}/logged")
    for name in logged["tables"]:
        rows = await questions.ask(f"{path}/table", {"metric": name, "offset": 0, "limit": 50})
        if rows["total"] > 50:  # Its chart has more.
            await questions.ask(f"{path}/table", {"metric": name, "offset": 0, "limit": 1000})
    for name in logged["documents"]:
        await questions.ask(f"{path}/documents", {"metric": name})
    for one in (await questions.ask(f"{path}/snapshot") or {"files": []})["files"]:
        if one["nbytes"] <= _TEXT_MAX_NBYTES:
            await questions.ask(f"{path}/snapshot/text/{one['name']}")
    found = (await questions.ask(f"{path}/files"))["files"]
    return [file for one in found if (file := await _gather_file(questions, path, one))]


async def _gather_file(questions: Questions, path: str, one: dict[str, Any]) -> CopiedFile | None:
    """The file if it is a picture; a text's beginning is asked for."""
    name, suffix = one["name"], PurePosixPath(one["name"]).suffix.lower()
    if one["uri"] is not None or one["nbytes"] is None:
        return None
    if suffix in _TEXTS and one["nbytes"] <= _TEXT_MAX_NBYTES:
        await questions.ask(f"{path}/text/{name}")
    if suffix not in _PICTURES or one["nbytes"] > _FILE_MAX_NBYTES:
        return None
    status, content = await questions.content(f"{path}/files/{name}")
    return CopiedFile(f"{path}/files/{name}", suffix, content) if status == 200 else None


async def _ask_chart(questions: Questions, run_ids: Sequence[str], name: str) -> None:
    for x in _AXES:
        await questions.ask(
            "charts", {"run": list(run_ids), "metric": name, "x": x, "buckets": _BUCKETS}
        )


def _children(run_id: str) -> dict[str, Any]:
    """As `run/children.js` asks."""
    columns = ["status", "duration", "created", "parent"]
    return {"parent": run_id, "children": "true", "limit": 1000, "cols": columns, "sort": "created"}


def _quoted(text: str) -> str:
    """As `JSON.stringify` writes an id."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
