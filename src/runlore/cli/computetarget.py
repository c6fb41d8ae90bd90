"""`runlore computetarget`: the places where submitted runs execute."""

from __future__ import annotations

import json
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
    help="Lists, attaches, trusts and detaches the places where submitted runs execute.",
    places={
        "list": "computetarget:list_",
        "show": "computetarget:show",
        "attach": "computetarget:attach",
        "create": "computetarget:create",
        "trust": "computetarget:trust",
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
@click.option("--type", "kind", default="pool", help="The kind of target: pool, slurm, ray, ...")
@click.option("--slots", type=click.IntRange(min=1), help="The number of runs at a time; 2.")
@click.option("--grace-s", type=float, help="Seconds between TERM and KILL; 10.")
@click.option(
    "--setting",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of the kind; numbers, true, false and lists as in JSON. Repeat it for more.",
)
@workspace_options
@output_options
def attach(
    name: str,
    kind: str,
    slots: int | None,
    grace_s: float | None,
    settings: tuple[str, ...],
    context: CommandContext,
    out: Output,
) -> None:
    """Attaches a compute target: a pool of slots on this machine, or a cluster.

    \b
    Example:
      runlore computetarget attach -n gpus --slots 2
      runlore computetarget attach -n cluster --type slurm --setting partition=gpu --setting gpus=2
    """
    given: dict[str, Any] = dict(map(_setting, settings))
    given |= {} if slots is None else {"slots": slots}
    given |= {} if grace_s is None else {"grace_s": grace_s}
    out.put(_document(ComputeTarget.attach(context.open(), name, type=kind, **given)))


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
def trust(name: str, context: CommandContext, out: Output) -> None:
    """Lets you submit to a cluster that somebody else has attached, and shows it.

    Whoever may write to the log has chosen the target's settings: the cluster, the interpreter,
    the folder for your environment. `show` tells them. If they change, trust the target again.

    \b
    Example:
      runlore computetarget trust -n gpu-cluster
    """
    target = ComputeTarget(context.open(), name)
    target.trust()
    out.put(_document(target))


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


def _setting(text: str) -> tuple[str, Any]:
    """The name and value of a setting; what is not JSON is a text, such as `1:30:00`."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r:.80} is not NAME=VALUE", param_hint="--setting")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _document(target: ComputeTarget) -> dict[str, Any]:
    document: dict[str, Any] = target.serialize()
    return document
