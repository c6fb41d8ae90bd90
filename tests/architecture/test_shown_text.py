"""Text from a log is shown by functions that escape it: nothing else writes to terminals and pages.

`click.echo` is free to all commands: it writes to the guarded streams of `cli/frame/guard.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

import pytest

from tests.architecture.house import House
from tests.architecture.source import Module

SHOW_TEXT: Final[dict[str, str]] = {
    "runlore.domain.visible_text": "escapes it",
    "runlore.cli.frame.guard": "guards the streams of the command line",
    "runlore.cli.output.output": "writes tables and data, escaped cell by cell",
    "runlore.cli.output.tables": "writes tables, escaped cell by cell",
    "runlore.cli.audit.verify": "shows a progress bar without any text of the log",
    "runlore.cli.run.submission": "leads to runlore.execution.shown_log",
    "runlore.execution.shown_log": "shows the logs of scripts, see runlore.domain.log_text",
    "runlore.audit.offline": "has its own escapes: it works without runlore",
    "runlore.widgets": "shows a run's id and status",
    "runlore.entry.init": "names the caller's own arguments",
    "runlore.entry.start_line": "names a run that has started, escaped",
    "runlore.entry.notebooks": "says which run it ended, escaped",
    "runlore.engine.ends.this_process": "warns at the end of a process, escaped",
    "runlore.engine.shared_log": "warns at the end of a process, escaped",
    # Into the file of a supervisor's own messages, which `monitor-logs` escapes.
    "runlore.execution.supervisor": "writes to its log",
    "runlore.execution.leash": "writes to its log",
    # Messages of RunloreErrors, which are escaped.
    "runlore.projections.sql_process.watched": "says why a query was ended",
}
"""The modules that write to standard streams by themselves, past the guard, or make HTML."""


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    modules = House().checkout.modules
    calls = {name: list(_calls_in(module)) for name, module in modules.items()}
    return {
        name: of_module
        for name, of_module in calls.items()
        if of_module and not name.startswith("runlore.testing")
    }


def test_only_named_modules_write_to_terminals_and_pages(found: dict[str, list[str]]) -> None:
    assert {name: calls for name, calls in found.items() if name not in SHOW_TEXT} == {}


def test_each_named_module_does_write(found: dict[str, list[str]]) -> None:
    assert sorted(SHOW_TEXT.keys() - found.keys()) == []


def _calls_in(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in _CALLS:
            yield f"{node.lineno}: {called}"


_CALLS: Final = frozenset(
    {
        *("print", "unguarded", "html.escape"),
        *(f"sys.{name}.write" for name in ("stdout", "stderr", "__stdout__", "__stderr__")),
        *("sys.stdout.buffer.write", "sys.stderr.buffer.write", "sys.stdout.writelines"),
    }
)
