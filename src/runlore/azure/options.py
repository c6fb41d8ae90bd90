"""Options that azureml-core has and that mean nothing here: they are accepted, all others refused.

One class per function that takes such options; the names are those of azureml-core 1.61. Type
checkers read them as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Final, TypedDict

from runlore.domain.errors import InvalidType


class NoOptions(TypedDict, total=False):
    """Of functions that take none: an unknown one is refused by us, with the nearest name."""


class CreateOptions(TypedDict, total=False):
    """Of `Workspace.create`: resources in Azure, and who may reach them."""

    storage_account: object
    key_vault: object
    app_insights: object
    container_registry: object
    adb_workspace: object
    primary_user_assigned_identity: object
    cmk_keyvault: object
    resource_cmk_uri: object
    hbi_workspace: object
    default_cpu_compute_target: object
    default_gpu_compute_target: object
    private_endpoint_config: object
    private_endpoint_auto_approval: object
    user_assigned_identity_for_cmk_encryption: object
    system_datastores_auth_mode: object
    v1_legacy_mode: object


class RunOptions(TypedDict, total=False):
    """Of `Run(...)`: how Azure's client sends and logs."""

    logs: object
    clean_up: object
    deny_list: object
    flush_eager: object
    py_wd: object
    redirect_output_stream: object
    _batch_upload_metrics: object
    _ident: object
    _parent_logger: object
    _run_dto: object
    _user_agent: object
    _worker_pool: object


class ScriptRunOptions(RunOptions, total=False):
    """Of `ScriptRun(...)`: where Azure's client keeps the source."""

    directory: object
    _run_config: object


class ContextOptions(RunOptions, total=False):
    """Of `Run.get_context`: those of the run, submitted or offline."""

    parent_logger: object
    run_id: object
    used_for_context_manager: object


class SubmitOptions(TypedDict, total=False):
    """Of `Experiment.submit` and `Run.submit_child`: accounts of Azure."""

    credential_passthrough: object


class ProvisioningOptions(TypedDict, total=False):
    """Of `AmlCompute.provisioning_configuration`: the machines of a cluster in Azure."""

    admin_username: object
    admin_user_password: object
    admin_user_ssh_key: object
    vnet_resourcegroup_name: object
    vnet_name: object
    subnet_name: object
    tags: object
    description: object
    remote_login_port_public_access: object
    identity_type: object
    identity_id: object
    location: object
    enable_node_public_ip: object


class UpdateOptions(TypedDict, total=False):
    """Of `ComputeTarget.update`."""

    idle_seconds_before_scaledown: object


class WaitingOptions(TypedDict, total=False):
    """Of `ComputeTarget.wait_for_completion`."""

    is_delete_operation: object
    min_node_count: object
    timeout_in_minutes: object


IGNORED: Final[Mapping[str, type]] = {
    "AmlCompute.provisioning_configuration": ProvisioningOptions,
    "ComputeTarget.update": UpdateOptions,
    "ComputeTarget.wait_for_completion": WaitingOptions,
    "Experiment.start_logging": NoOptions,
    "Experiment.submit": SubmitOptions,
    "Run.__init__": RunOptions,
    "Run.get_context": ContextOptions,
    "Run.submit_child": SubmitOptions,
    "ScriptRun.__init__": ScriptRunOptions,
    "Workspace.create": CreateOptions,
    "init": NoOptions,
}
"""The accepted and ignored options of each function that has some."""

# What other libraries, and other functions of this one, call it.
_MEANT: Final = {
    "dir": ("path", "workspace"),
    "directory": ("path", "workspace"),
    "folder": ("path", "workspace"),
    "name": ("display_name",),
    "params": ("config",),
    "path": ("workspace",),
    "uri": ("path", "workspace"),
    "url": ("path", "workspace"),
}
_ALIKE: Final = 0.5


def refuse_unknown(
    function: Callable[..., object], given: Mapping[str, object], *, name: str | None = None
) -> None:
    """Raise InvalidType, a TypeError, for an option that Azure's function does not have either.

    The message names the nearest option. `name` is that of the function in IGNORED, by default
    its qualified name.
    """
    if not given:
        return
    name = name or function.__qualname__
    for option in given:
        if option not in ignored_by(name):
            raise InvalidType(_message(function, name, option))


def ignored_by(name: str) -> frozenset[str]:
    """The options that the function of this name in IGNORED accepts and ignores."""
    names: frozenset[str] = vars(IGNORED[name])["__optional_keys__"]
    return names


def _message(function: Callable[..., object], name: str, option: str) -> str:
    import difflib

    called = name.removesuffix(".__init__")
    own = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        and parameter.name not in ("self", "cls")
    ]
    known = [*own, *sorted(ignored_by(name))]
    meant = next(
        (name for name in _MEANT.get(option, ()) if name in own),
        next(iter(difflib.get_close_matches(option, known, 1, _ALIKE)), None),
    )
    advice = f"did you mean {meant!r}?" if meant else f"its options are {', '.join(own)}"
    return f"{called}() has no option {option!r}; {advice}"
