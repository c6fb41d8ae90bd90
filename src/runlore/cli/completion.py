"""`runlore completion`: the scripts by which shells complete commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from runlore.cli.output import write


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Prints the script by which a shell completes commands and options.

    \b
    Example:
      eval "$(runlore completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows the shells of the argument"
    root = click.get_current_context().find_root().command
    write(kind(root, {}, "runlore", "_RUNLORE_COMPLETE").source() + "\n")
