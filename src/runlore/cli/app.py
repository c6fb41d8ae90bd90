"""The root command, and the exit codes.

0 success; 1 failure, with a message on stderr; 2 a wrong command line; 3 the run that was waited
for did not complete; 130 Ctrl-C.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Sequence
from typing import Final, TextIO

import click

from runlore.cli.frame.diagnostics import Diagnostics
from runlore.cli.frame.guard import guarded
from runlore.cli.plug_ins import PlugInGroup
from runlore.domain.errors import RunloreError
from runlore.domain.visible_text import visible_lines
from runlore.version import VERSION

ERROR: Final = 1
INTERRUPTED: Final = 130

_HELP: Final = """Keeps, finds and compares machine-learning runs.

The commands are those of `az ml` (version 1), and more. Data goes to stdout: as a table to a
terminal, as JSON to a pipe, or in the form that --output selects. Everything else goes to stderr.

\b
Example:
  runlore folder attach -w myworkspace -g mygroup
  runlore run list -e myexperiment --status Completed --last 5
"""

root = PlugInGroup(
    "runlore",
    help=_HELP,
    places={
        "folder": "folder:folder",
        "workspace": "workspace:workspace",
        "experiment": "experiment:experiment",
        "run": "run:run",
        "computetarget": "computetarget:computetarget",
        "sql": "sql:sql",
        "studio": "studio:studio",
        "events": "log.events:events",
        "alert": "run.alert:alert",
        "diff": "log.diff:diff",
        "audit": "audit:audit",
        "artifacts": "artifacts:artifacts",
        "cache": "cache:cache",
        "repair": "repair:repair",
        "trust": "folder:trust",
        "completion": "completion:completion",
    },
    uncovered={
        "dataset": "read your data from paths, and record its digest as a property",
        "datastore": "read your data from paths, and keep files with run.upload_file()",
        "environment": "runs execute in the environment of the process that submits them",
        "model": "keep models with run.upload_file(), and find them by tags",
        "endpoint": "serve the model with a server of your own",
        "pipeline": "submit runs one after the other, or as children of one run",
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
root = click.version_option(VERSION, message="runlore %(version)s")(root)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of the process; return the exit code."""
    threshold = gc.get_threshold()
    # Long lists are many objects without garbage: collecting takes a seventh of the time.
    gc.set_threshold(1_000_000)
    warnings.showwarning = _show_warning
    with guarded():
        try:
            return _run(arguments)
        finally:
            gc.set_threshold(*threshold)  # The caller's program may go on.
            # The process ends: what is alive need not be searched for garbage. The package of
            # DuckDB is in cycles, and would complain that it is not freed.
            if arguments is None and "duckdb" not in sys.modules:
                gc.freeze()


def _run(arguments: Sequence[str] | None) -> int:
    diagnostics = Diagnostics(owns_process=arguments is None)
    try:
        code = root.main(
            None if arguments is None else list(arguments),
            prog_name="runlore",
            standalone_mode=False,
            obj=diagnostics,
        )
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except (RunloreError, OSError) as error:  # OSError: an unwritable folder, say.
        if isinstance(error.__cause__, KeyboardInterrupt):
            _say(str(error))
            return INTERRUPTED
        if diagnostics.debug:
            _print_traceback()
        _say(f"error: {error}")
        return ERROR
    except Exception:  # A mistake of ours: printed here, where text from a log is still escaped.
        _print_traceback()
        return ERROR


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()


def _say(text: str) -> None:
    click.echo(visible_lines(text), err=True)  # A live table takes stderr over, with no guard.


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    _say(f"warning: {message}")
