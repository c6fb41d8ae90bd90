"""`runlore computetarget`: the places where submitted runs execute."""

from __future__ import annotations

from typing import Any

import click

from runlore.cli.command_context import CommandContext
from runlore.cli.lazy import LazyGroup
from runlore.cli.options import (
    output_options,
    reading_options,
    trailing_query,
    workspace_options,
)
from runlore.cli.output import Columns, Output
from runlore.compute_target import ComputeTarget

computetarget = LazyGroup(
    "computetarget",
    help="Lists, attaches and detaches the places where submitted runs execute.",
    places={
        "list": "computetarget:list_",
        "show": "computetarget:show",
        "attach": "computetarget:attach",
        "create": "computetarget:create",
        "delete": "computetarget:delete",
    },
)

_COLUMNS: Columns = (
    ("name", lambda target: target.get("name")),
    ("type", lambda target: target.get("type")),
    ("slots", lambda target: target.get("slots")),
)


@click.command("list")
@trailing_query
@reading_options
@output_options
def list_(context: CommandContext, out: Output) -> None:
    """Lists the compute targets; "local" always exists.

    \b
    Example:
      runlore computetarget list -o table
    """
    targets = context.open().compute_targets
    out.put([_document(target) for target in targets.values()], _COLUMNS)


@click.command
@click.option("-n", "--name", required=True, help="The target's name.")
@reading_options
@output_options
def show(name: str, context: CommandContext, out: Output) -> None:
    """Shows a compute target, and its running and queued runs.

    \b
    Example:
      runlore computetarget show -n gpu-cluster
    """
    target = ComputeTarget(context.open(), name)
    out.put({**_document(target), "status": target.get_status().serialize()})


@click.command
@click.option("-n", "--name", required=True, help="The target's name.")
@click.option(
    "--slots", type=click.IntRange(min=1), default=2, help="The number of runs at a time."
)
@click.option("--grace-s", type=float, default=10.0, help="Seconds between TERM and KILL.")
@workspace_options
@output_options
def attach(name: str, slots: int, grace_s: float, context: CommandContext, out: Output) -> None:
    """Creates a pool of slots on this machine; more runs than slots wait in a queue.

    \b
    Example:
      runlore computetarget attach -n gpu-cluster --slots 2
    """
    target = ComputeTarget.attach(context.open(), name, slots=slots, grace_s=grace_s)
    out.put(_document(target))


@click.command("amlcompute")
@click.option("-n", "--name", required=True, help="The target's name.")
@click.option(
    "--max-nodes", type=click.IntRange(min=1), default=4, help="The number of runs at a time."
)
@click.option("-s", "--vm-size", help="Accepted and ignored, as is --min-nodes.")
@click.option("--min-nodes", type=int, help="Accepted and ignored.")
@click.option("--vm-priority", help="Accepted and ignored.")
@click.option("--idle-seconds-before-scaledown", type=int, help="Accepted and ignored.")
@workspace_options
@output_options
def create_amlcompute(
    name: str, max_nodes: int, context: CommandContext, out: Output, **_azures: object
) -> None:
    """Creates a pool of slots on this machine, one for each node of a cluster in Azure.

    \b
    Example:
      runlore computetarget create amlcompute -n cpu-cluster --max-nodes 4
    """
    out.put(_document(ComputeTarget.attach(context.open(), name, slots=max_nodes)))


create = LazyGroup(
    "create",
    help="Creates compute targets as `az ml` does; see `attach`.",
    places={"amlcompute": "computetarget:create_amlcompute"},
)


@click.command
@click.option("-n", "--name", required=True, help="The target's name.")
@workspace_options
@output_options
def delete(name: str, context: CommandContext, out: Output) -> None:
    """Detaches a compute target; its runs and their history stay.

    \b
    Example:
      runlore computetarget delete -n gpu-cluster
    """
    target = ComputeTarget(context.open(), name)
    document = _document(target)
    target.delete()
    out.put(document)


def _document(target: ComputeTarget) -> dict[str, Any]:
    document: dict[str, Any] = target.serialize()
    return document
