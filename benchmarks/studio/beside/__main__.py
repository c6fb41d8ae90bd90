"""`python -m benchmarks.studio.beside FOLDER [TOOL ...]`: ten tasks in four trackers.

The same trainings are logged into runlore, MLflow, Aim and trackio, and a headless
browser does each task as a person would.
FOLDER gets a picture for each task, `beside.md` with the numbers of actions, and the single pages
in `pages`.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from playwright.sync_api import Browser
from playwright.sync_api import Error as BrowserError

from benchmarks.fresh import WorkloadFailed
from benchmarks.harness import machine, scratch
from benchmarks.peers.environments import CannotInstall
from benchmarks.studio.beside.person import SEEN_MS, Person, Way
from benchmarks.studio.beside.report import markdown
from benchmarks.studio.beside.sheet import Shot, sheet
from benchmarks.studio.beside.tasks import TASKS
from benchmarks.studio.beside.tool import TOOLS, Tool, with_trainings
from benchmarks.studio.browser import SIZE, browsing

_SETTLED_MS: Final = 2_000
"""Charts of all tools have been drawn, and what moves has come to rest."""


class Ways(Protocol):
    """The module of a tool in `tools`."""

    PATH: str
    WAYS: Mapping[str, Way]

    def ready(self, person: Person) -> None:
        """Waits for the page of runs, without what a first visit alone shows."""
        ...


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studio.beside", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("tool", nargs="*", help="all, or some of them")
    options = parser.parse_args()
    pages = options.folder / "pages"
    pages.mkdir(parents=True, exist_ok=True)
    chosen = [tool for tool in TOOLS if not options.tool or tool.name in options.tool]
    shots: dict[str, list[Shot]] = {task.key: [] for task in TASKS}
    missing = []
    with scratch() as stores, browsing() as browser:
        for tool in chosen:
            (stores / tool.name).mkdir()
            try:
                for key, shot in _shots(browser, tool, stores / tool.name):
                    shots[key].append(shot)
                    (pages / f"{key}-{tool.name}.png").write_bytes(shot.png)
                    print(f"{tool.title:16} {key:12} {shot.result}  {shot.remark}", flush=True)
            except (CannotInstall, WorkloadFailed, TimeoutError) as error:
                missing.append(f"{tool.title}: not shown: {str(error).splitlines()[0]}")
                print(missing[-1], flush=True)
    for key, found in shots.items():
        (options.folder / f"{key}.png").write_bytes(sheet(found))
    page = "\n".join([markdown(shots), machine(), *missing, ""])
    (options.folder / "beside.md").write_text(page, encoding="utf-8")
    print(page)
    return 1 if missing else 0


def _shots(browser: Browser, tool: Tool, folder: Path) -> Iterator[tuple[str, Shot]]:
    ways: Ways = importlib.import_module(f"benchmarks.studio.beside.tools.{tool.name}")
    with with_trainings(tool, folder) as address:
        for task in TASKS:
            yield task.key, _shot(browser, tool, ways, task.key, address)


def _shot(browser: Browser, tool: Tool, ways: Ways, key: str, address: str) -> Shot:
    """Does a task in a new profile of the browser. Raises TimeoutError if it does not succeed."""
    context = browser.new_context(
        viewport=SIZE, reduced_motion="reduce", timezone_id="UTC", locale="en-US"
    )
    try:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(SEEN_MS)
        page.goto(address + ways.PATH)
        person = Person(page)
        ways.ready(person)
        way = ways.WAYS[key]
        way.act(person)
        page.wait_for_timeout(_SETTLED_MS)
        return Shot(tool.title, page.screenshot(), person.actions, way.not_possible, way.note)
    except BrowserError as error:
        raise TimeoutError(f"{key}: {error.message.splitlines()[0]}") from error
    finally:
        context.close()


if __name__ == "__main__":
    raise SystemExit(main())
