"""What public scripts for the Azure ML SDK v1 need around runs (587 files were read)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import runlore
from runlore import (
    ComputeTarget,
    CondaDependencies,
    Environment,
    Experiment,
    Run,
    RunConfiguration,
    ScriptRunConfig,
    Workspace,
)
from runlore.authentication import (
    InteractiveLoginAuthentication,
    MsiAuthentication,
    ServicePrincipalAuthentication,
)
from runlore.compute import AksCompute, AmlCompute
from runlore.environment import DockerBuildContext
from runlore.exceptions import AzureMLException, OutOfScope, RunConfigurationFileNotFound
from runlore.run import RUNNING_STATES, RunStatus, _OfflineRun  # type: ignore[attr-defined]
from runlore.runconfig import ContainerRegistry
from runlore.telemetry import set_diagnostics_collection
from runlore.widgets import RunDetails
from tests.workspaces import start


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    return Workspace.create("lab")


# --- online or offline --------------------------------------------------------------------


def test_a_script_finds_out_that_it_has_no_workspace(ws: Workspace) -> None:
    ws.write_config()
    run = Run.get_context()

    assert not hasattr(run, "experiment")
    assert not hasattr(run, "parent")
    assert isinstance(run, _OfflineRun)
    assert isinstance(run, Run)
    assert type(run).__name__ == "_OfflineRun"
    assert "_OfflineRun" in str(run)
    assert "_OfflineRun" in str(type(run))
    assert run.id.startswith("OfflineRun")
    found = run.experiment.workspace if hasattr(run, "experiment") else Workspace.from_config()
    assert found.name == "lab"
    with pytest.raises(AttributeError, match=r"runs without a workspace, .*start_logging"):
        print(run.experiment)


def test_an_offline_run_does_everything_else() -> None:
    run = Run.get_context()
    before = run.get_metrics().get("loss", [])

    run.log("loss", 0.5)
    child = run.child_run("child")
    child.complete()

    assert len(list(run.get_children())) >= 1
    assert child.parent is not None
    assert run.name
    assert run.get_metrics()["loss"] != before
    assert run.root is run


def test_a_run_in_a_workspace_has_an_experiment(ws: Workspace) -> None:
    assert hasattr(start(Experiment(ws, "e")), "experiment")


# --- names --------------------------------------------------------------------------------


def test_statuses_have_azures_names(ws: Workspace) -> None:
    run = start(Experiment(ws, "e"))

    assert run.get_status() == RunStatus.RUNNING
    assert run.get_status() in RUNNING_STATES
    run.complete()
    assert run.get_status() not in RUNNING_STATES
    assert RunStatus.COMPLETED in RunStatus.list()
    assert RunStatus.FINALIZING in RunStatus.get_post_processing_statuses()


AROUND = """
from runlore.dataset import Dataset
from runlore.datastore import Datastore
from runlore.keyvault import Keyvault
from runlore.model import Model
from runlore.container_registry import ContainerRegistry
from runlore.runconfig import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE, EnvironmentDefinition
from runlore.environment import DockerBuildContext
from runlore.compute import AksCompute, RemoteCompute, HDInsightCompute, ComputeInstance
from runlore.exceptions import AuthenticationException, ProjectSystemException, TrainingException
from runlore.exceptions import WebserviceException, ModelNotFoundException
from runlore.exceptions import DiscoveryUrlNotFoundException, WorkspacePrivateEndpointException
from runlore.exceptions import DatasetTimestampMissingError, ParallelRunException
from runlore.exceptions import ActivityCanceledException, AzureMLAggregatedException
from runlore.telemetry import INSTRUMENTATION_KEY, get_telemetry_log_handler
from runlore.widgets import RunDetails
from runlore.authentication import AzureCliAuthentication, TokenAuthentication
"""


@pytest.mark.parametrize("line", AROUND.strip().splitlines())
def test_names_around_runs_can_be_imported(line: str) -> None:
    exec(line, {})


def test_what_scripts_catch_is_an_error_of_azures() -> None:
    for name in ("AuthenticationException", "TrainingException", "ModelNotFoundException"):
        assert issubclass(getattr(runlore.exceptions, name), AzureMLException)


@pytest.mark.parametrize(
    "name",
    [
        "datasets",
        "datastores",
        "models",
        "webservices",
        "images",
        "linked_services",
        "set_default_datastore",
        "get_default_keyvault",
        "get_mlflow_tracking_uri",
    ],
)
def test_what_is_not_covered_says_what_to_do_instead(ws: Workspace, name: str) -> None:
    with pytest.raises(OutOfScope, match=rf"does not cover .*\({name}\); \w+"):
        getattr(ws, name)

    assert not hasattr(ws, name)


def test_a_workspace_has_an_edition_and_no_environments(ws: Workspace) -> None:
    assert ws.sku == "Basic"
    assert ws.environments == {}


def test_a_runs_datasets_are_not_covered(ws: Workspace) -> None:
    run = start(Experiment(ws, "e"))

    with pytest.raises(OutOfScope, match=r"datasets \(input_datasets\); read your data"):
        print(run.input_datasets["train"])


@pytest.mark.parametrize(
    "login",
    [
        lambda: InteractiveLoginAuthentication(tenant_id="t", force=True),
        lambda: ServicePrincipalAuthentication("t", "id", service_principal_password="secret"),
        MsiAuthentication,
    ],
    ids=["interactive", "service principal", "identity"],
)
def test_logins_can_be_passed_and_keep_no_secret(ws: Workspace, login: Callable[[], Any]) -> None:
    ws.write_config()
    auth = login()

    assert Workspace.from_config(auth=auth).name == "lab"
    assert "secret" not in repr(vars(auth)) + repr(auth)
    with pytest.raises(OutOfScope, match="a workspace needs no login"):
        auth.get_authentication_header()


def test_telemetry_is_inert() -> None:
    set_diagnostics_collection(send_diagnostics=True)


def test_registering_a_model_does_not_end_a_training(ws: Workspace) -> None:
    exp = Experiment(ws, "e")
    run = start(exp)

    with pytest.warns(UserWarning, match=r"no model registry: .*tags='model\.net'"):
        model = run.register_model("net", model_path="outputs/net.pt", tags={"a": "b"})

    assert (model.name, model.version, model.id) == ("net", 1, f"net:{run.id}")
    assert [found.id for found in exp.get_runs(tags="model.net")] == [run.id]


# --- environments and run configurations --------------------------------------------------


def test_environments_are_data(ws: Workspace, tmp_path: Path) -> None:
    curated = Environment.get(ws, "AzureML-Minimal")
    assert (curated.name, curated.version) == ("AzureML-Minimal", None)
    assert Environment.get(ws, "own", version="3").version == "3"
    assert Environment.list(ws) == {}
    registered = curated.register(workspace=ws)
    assert (registered.name, registered.version) == ("AzureML-Minimal", "1")
    assert registered is not curated

    (tmp_path / "requirements.txt").write_text("numpy\n")
    image = Environment.from_docker_image(
        "image", "python:3.11", ContainerRegistry("registry"), pip_requirements="requirements.txt"
    )
    assert image.docker.base_image == "python:3.11"
    assert image.docker.base_image_registry.address == "registry"
    assert list(image.python.conda_dependencies.pip_packages) == ["numpy"]
    built = Environment.from_dockerfile("built", "FROM python:3.11")
    assert built.docker.base_dockerfile == "FROM python:3.11"
    built.docker.build_context = DockerBuildContext.from_local_directory(ws, ".")
    built.docker.base_image_registry.password = "secret"
    assert "secret" not in repr(built.docker)
    built.inferencing_stack_version = "latest"
    built.spark.precache_packages = False
    with pytest.raises(OutOfScope, match="images; install the packages"):
        built.build(ws)


def test_tensorflow_is_a_package_like_any_other() -> None:
    dependencies = CondaDependencies()
    dependencies.add_tensorflow_conda_package(core_type="gpu", version="2.1")
    dependencies.add_tensorflow_pip_package()

    assert "tensorflow-gpu=2.1" in dependencies.conda_packages
    assert "tensorflow" in dependencies.pip_packages


def test_data_of_azures_is_kept_and_told_to_have_no_effect(tmp_path: Path) -> None:
    config = RunConfiguration()
    assert (config.data, config.data_references, config.output_data) == ({}, {}, {})
    assert config.auto_prepare_environment
    config.spark.precache_packages = False
    config.data_references["train"] = object()
    (tmp_path / "a.py").touch()

    from runlore.script_run_config import get_run_config_from_script_run

    with pytest.warns(UserWarning, match=r"run_config\.data_references has no effect"):
        get_run_config_from_script_run(ScriptRunConfig(tmp_path, "a.py", run_config=config))


def test_a_run_configurations_file_can_be_deleted(tmp_path: Path) -> None:
    (tmp_path / ".azureml").mkdir()
    RunConfiguration(script="a.py").save(tmp_path, "mine")

    RunConfiguration.delete(tmp_path, "mine")

    with pytest.raises(RunConfigurationFileNotFound):
        RunConfiguration.load(tmp_path, "mine")
    with pytest.raises(RunConfigurationFileNotFound):
        RunConfiguration.delete(tmp_path, "mine")


# --- compute targets ----------------------------------------------------------------------


def test_a_pool_is_azures_cluster(ws: Workspace) -> None:
    size = AmlCompute.provisioning_configuration(vm_size="STANDARD_NC6", max_nodes=3)
    ComputeTarget.create(ws, "gpu", size)

    for target in (ws.compute_targets["gpu"], ComputeTarget(ws, "gpu"), AmlCompute(ws, "gpu")):
        assert type(target) is AmlCompute
        assert target.type == "AmlCompute"
        assert target.kind == "pool"
        assert target.vm_size == ""
        assert target.status.serialize()["targetNodeCount"] == 3
        assert [node["nodeState"] for node in target.list_nodes()] == ["idle"] * 3
    target.update(max_nodes=2)
    assert ComputeTarget(ws, "gpu").slots == 2
    assert AmlCompute.supported_vmsizes(ws) == []
    assert type(ws.compute_targets["local"]) is ComputeTarget
    assert ws.compute_targets["local"].list_nodes() == []


def test_other_machines_of_azure_are_not_covered(ws: Workspace) -> None:
    with pytest.raises(OutOfScope, match="machines of Azure; attach a pool"):
        AksCompute(ws, "cluster")  # type: ignore[call-arg]  # Azure's arguments
    with pytest.raises(OutOfScope, match="attach_configuration"):
        print(AksCompute.attach_configuration)


# --- submitted commands -------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.parametrize(
    ("command", "printed"),
    [
        (["cd ."], ""),
        (["echo", "$GREETING", "|", "tr", "a-z", "A-Z"], "HELLO\n"),
        ("echo a && echo b", "a\nb\n"),
        (["echo a", "&&", "echo b"], "a\nb\n"),
    ],
    ids=["builtin", "pipe", "text", "list with blanks"],
)
def test_a_list_of_words_is_a_line_for_the_shell(
    ws: Workspace, tmp_path: Path, command: Any, printed: str
) -> None:
    (tmp_path / "source").mkdir()
    config = ScriptRunConfig(str(tmp_path / "source"), command=command)
    config.run_config.environment_variables["GREETING"] = "hello"

    run = Experiment(ws, "e").submit(config)
    run.wait_for_completion(raise_on_error=False)

    assert run.get_status() == "Completed"
    assert run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"] == printed


# --- widgets ------------------------------------------------------------------------------


def test_details_are_a_line_outside_of_notebooks(
    ws: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(Experiment(ws, "e"))

    RunDetails(run).show()

    assert capsys.readouterr().out == f"run {run.id}: Running\n"
    assert RunDetails(run).get_widget_data()["runId"] == run.id


def test_details_follow_the_run_in_a_notebook(
    ws: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, run: Run) -> None:
            shown.append(run.get_status())

    def display(run: Run, display_id: bool) -> Handle:
        shown.append("card")
        return Handle()

    notebook = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=object()),
        display=SimpleNamespace(display=display),
    )
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setattr("runlore.widgets._INTERVAL_S", 0.01)
    run = start(Experiment(ws, "e"))

    RunDetails(run).show()
    run.complete()

    deadline = time.monotonic() + 30
    while shown[-1] != "Completed" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert shown[0] == "card"
    assert shown[-1] == "Completed"
