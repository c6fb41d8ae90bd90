from __future__ import annotations

import importlib
import inspect
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runlore
from runlore import (
    CondaDependencies,
    Dataset,
    Datastore,
    Environment,
    Experiment,
    Keyvault,
    Model,
    Run,
    RunConfiguration,
    ScriptRun,
    ScriptRunConfig,
    Workspace,
)
from runlore.compute import ComputeTarget
from runlore.exceptions import (
    AzureMLException,
    ComputeTargetException,
    OutOfScope,
    RunConfigurationException,
    UserErrorException,
)
from runlore.runconfig import DockerConfiguration, MpiConfiguration
from tests.workspaces import start

# --- the names that Azure ML's scripts import -------------------------------------------------

AZURES_IMPORTS = """
import azureml.core
from azureml.core import Workspace, Experiment, Run, ScriptRun, ScriptRunConfig
from azureml.core import RunConfiguration, ComputeTarget, Environment, Dataset
from azureml.core import Datastore, Model, Keyvault, get_run, VERSION
from azureml.core.run import Run, get_run
from azureml.core.experiment import Experiment, ViewType
from azureml.core.workspace import Workspace
from azureml.core.script_run import ScriptRun
from azureml.core.script_run_config import ScriptRunConfig
from azureml.core.runconfig import RunConfiguration, MpiConfiguration, PyTorchConfiguration
from azureml.core.runconfig import TensorflowConfiguration, DockerConfiguration
from azureml.core.compute import ComputeTarget, AmlCompute
from azureml.core.compute_target import ComputeTargetException
from azureml.core.runconfig import CondaDependencies, Environment
from azureml.core.script_run import Run
from azureml.core.script_run_config import RunConfiguration, DockerConfiguration
from azureml.core.environment import CondaDependencies, Environment
from azureml.core.conda_dependencies import CondaDependencies
from azureml.exceptions import AzureMLException, UserErrorException, RunEnvironmentException
from azureml.exceptions import ActivityFailedException, ExperimentExecutionException
from azureml.exceptions import SnapshotException, RunConfigurationException, WorkspaceException
from azureml.exceptions import ComputeTargetException, ModelPathNotFoundException, ServiceException
"""


@pytest.mark.parametrize("line", AZURES_IMPORTS.strip().splitlines())
def test_azures_imports_work_with_the_package_replaced(line: str) -> None:
    exec(re.sub(r"azureml\.core|azureml(?=\.exceptions)", "runlore", line), {})


def test_the_version_is_a_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\w*", runlore.VERSION)
    assert runlore.__version__ == runlore.VERSION


# --- signatures, as azureml-core 1.61 has them ------------------------------------------------

SIGNATURES: list[tuple[Callable[..., Any], str]] = [
    (Run, "experiment, run_id, outputs=None"),
    (Run.get, "workspace, run_id"),
    (
        Run.list,
        "experiment, type=None, tags=None, properties=None, status=None, "
        "include_children=False, _rehydrate_runs=True",
    ),
    (Run.get_context, "allow_offline=True"),
    (Run.add_type_provider, "runtype, run_factory"),
    (Run.start, "self"),
    (Run.complete, "self, _set_status=True"),
    (Run.fail, "self, error_details=None, error_code=None, _set_status=True"),
    (Run.cancel, "self"),
    (Run.child_run, "self, name=None, run_id=None, outputs=None"),
    (Run.create_children, "self, count=None, tag_key=None, tag_values=None"),
    (Run.submit_child, "self, config, tags=None"),
    (
        Run.get_children,
        "self, recursive=False, tags=None, properties=None, type=None, status=None, "
        "_rehydrate_runs=True",
    ),
    (Run.tag, "self, key, value=None"),
    (Run.set_tags, "self, tags"),
    (Run.remove_tags, "self, tags"),
    (Run.add_properties, "self, properties"),
    (Run.flush, "self, timeout_seconds=300"),
    (
        Run.wait_for_completion,
        "self, show_output=False, wait_post_processing=False, raise_on_error=True",
    ),
    (Run.get_all_logs, "self, destination=None"),
    (Run.log, "self, name, value=Ellipsis, description='', step=None"),  # A dict has no value.
    (Run.log_list, "self, name, value, description=''"),
    (Run.log_row, "description=None"),  # Its name may be a keyword, unless a column has it.
    (Run.log_table, "self, name, value, description=''"),
    (Run.log_image, "self, name, path=None, plot=None, description=''"),
    (Run.log_confusion_matrix, "self, name, value, description=''"),
    (Run.log_accuracy_table, "self, name, value, description=''"),
    (Run.log_residuals, "self, name, value, description=''"),
    (Run.log_predictions, "self, name, value, description=''"),
    (Run.get_metrics, "self, name=None, recursive=False, run_type=None, populate=False"),
    (Run.upload_file, "self, name, path_or_stream, datastore_name=None"),
    (
        Run.upload_files,
        "self, names, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None",
    ),
    (Run.upload_folder, "self, name, path, datastore_name=None"),
    (Run.download_file, "self, name, output_file_path=None, _validate_checksum=True"),
    (
        Run.download_files,
        "self, prefix=None, output_directory=None, output_paths=None, batch_size=100, "
        "append_prefix=True, timeout_seconds=None",
    ),
    (Run.take_snapshot, "self, file_or_folder_path"),
    (Run.restore_snapshot, "self, snapshot_id=None, path=None"),
    (runlore.get_run, "experiment, run_id, rehydrate=True"),
    (Experiment, "workspace, name, _skip_name_validation=False"),
    (
        Experiment.start_logging,
        "self, name=None, run_id=None, outputs=None, snapshot_directory='.', "
        "display_name=None, description=None, tags=None",
    ),
    (Experiment.submit, "self, config, tags=None"),
    (Experiment.get_runs, "self, type=None, tags=None, properties=None, include_children=False"),
    (Experiment.list, "workspace, experiment_name=None, view_type='ActiveOnly', tags=None"),
    (Experiment.delete, "workspace, experiment_id"),
    (Experiment.reactivate, "self, new_name=None"),
    (Experiment.tag, "self, key, value=None"),
    (
        Workspace.create,
        "name, auth=None, subscription_id=None, resource_group=None, location=None, "
        "create_resource_group=True, sku='basic', tags=None, friendly_name=None",
    ),
    (Workspace.get, "name, auth=None, subscription_id=None, resource_group=None, location=None"),
    (Workspace.list, "subscription_id=None, auth=None, resource_group=None"),
    (Workspace.from_config, "path=None, auth=None, _logger=None, _file_name=None"),
    (Workspace.write_config, "self, path=None, file_name=None"),
    (Workspace.get_run, "self, run_id"),
    (
        RunConfiguration,
        "script=None, arguments=None, framework=None, communicator=None, conda_dependencies=None, "
        "_history_enabled=None, _path=None, _name=None, command=None",
    ),
    (RunConfiguration.save, "self, path=None, name=None, separate_environment_yaml=False"),
    (RunConfiguration.load, "path=None, name=None"),
    (
        ScriptRunConfig,
        "source_directory, script=None, arguments=None, run_config=None, _telemetry_values=None, "
        "compute_target=None, environment=None, distributed_job_config=None, resume_from=None, "
        "max_run_duration_seconds=2592000, command=None, docker_runtime_config=None",
    ),
]


@pytest.mark.parametrize(
    ("function", "expected"), SIGNATURES, ids=[f.__qualname__ for f, _ in SIGNATURES]
)
def test_a_signature_is_azures(function: Callable[..., Any], expected: str) -> None:
    """What we add is keyword-only; what Azure takes and we have no use for goes into `**`."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]

    assert ", ".join(map(str, parameters)) == expected


def test_the_members_of_a_run_are_there() -> None:
    properties = {
        "id", "name", "display_name", "description", "type", "number", "experiment", "parent",
        "root", "status", "tags", "properties", "erased", "should_stop", "environment",
    }  # fmt: skip

    members = inspect.getmembers(Run, lambda member: isinstance(member, property))
    assert {name for name, _ in members if not name.startswith("_")} == properties


# --- what is kept as data ---------------------------------------------------------------------


def test_an_environment_is_data() -> None:
    environment = Environment("training", version="1")
    environment.python.conda_dependencies = CondaDependencies.create(
        pip_packages=["pandas"], conda_packages=["scikit-learn"], python_version="3.11"
    )
    environment.python.conda_dependencies.add_pip_package("polars")
    environment.python.conda_dependencies.add_conda_package("numpy")
    environment.python.conda_dependencies.add_channel("conda-forge")
    environment.environment_variables["MODE"] = "fast"

    assert repr(environment) == "Environment(name='training', version='1')"
    assert environment.python.conda_dependencies.as_dict() == {
        "channels": ["conda-forge"],
        "dependencies": [
            "python=3.11",
            "scikit-learn",
            "numpy",
            {"pip": ["pandas", "polars"]},
        ],
    }


def test_an_environment_can_name_one_of_conda() -> None:
    environment = Environment.from_existing_conda_environment("mine", "base")

    assert environment.name == "mine"
    assert environment.python.interpreter_path == "base"


def test_dependencies_begin_empty_and_are_nobody_elses() -> None:
    first, second = CondaDependencies(), CondaDependencies()
    first.add_channel("conda-forge")
    first.set_python_version("3.12")

    assert second.as_dict() == {"channels": [], "dependencies": []}
    assert first.as_dict() == {"channels": ["conda-forge"], "dependencies": ["python=3.12"]}


def test_a_script_run_config_is_data_and_can_be_changed() -> None:
    src = ScriptRunConfig(source_directory=".", script="train.py", arguments=["--alpha", 0.5])
    environment = Environment("training")

    src.run_config.environment = environment
    src.run_config.target = "local"

    assert (src.source_directory, src.script) == (".", "train.py")
    assert src.arguments == ["--alpha", "0.5"]
    assert src.run_config.script == "train.py"
    assert src.run_config.environment is environment


def test_a_script_run_config_takes_its_parts() -> None:
    environment, docker = Environment("e"), DockerConfiguration(True)

    src = ScriptRunConfig(
        Path("src"),
        command=["python", "train.py"],
        environment=environment,
        distributed_job_config=MpiConfiguration(2),
        docker_runtime_config=docker,
    )

    assert src.source_directory == "src"
    assert src.run_config.environment is environment
    assert src.run_config.docker is docker


def test_a_distributed_job_of_another_kind_is_refused() -> None:
    with pytest.raises(RunConfigurationException, match="must be a Mpi-, PyTorch- or Tensorflow"):
        ScriptRunConfig(".", distributed_job_config="mpi")


def test_resuming_from_a_data_path_is_refused() -> None:
    with pytest.raises(UserErrorException, match="resume_from"):
        ScriptRunConfig(".", resume_from="outputs/checkpoint")


# --- what is out of scope ---------------------------------------------------------------------


@pytest.mark.parametrize("uncovered", [Dataset, Datastore, Model, Keyvault])
def test_what_is_not_covered_can_be_imported_and_says_so_on_use(uncovered: Any) -> None:
    uses: list[Callable[[], object]] = [
        lambda: uncovered("x"),
        lambda: uncovered.get("x"),
        lambda: uncovered.Tabular,
    ]
    for use in uses:
        with pytest.raises(OutOfScope, match="runlore does not cover .*; ") as raised:
            use()
        assert isinstance(raised.value, NotImplementedError)
        assert isinstance(raised.value, AzureMLException)


def test_what_is_not_covered_still_behaves_as_a_class() -> None:
    assert Dataset.__name__ == "Dataset"
    assert isinstance(Dataset, type)
    assert not hasattr(Dataset, "__wrapped__")
    assert inspect.getdoc(Dataset)


def test_an_unknown_compute_target_is_an_error_that_names_those_there_are(ws: Workspace) -> None:
    assert list(ComputeTarget.list(ws)) == ["local"]
    with pytest.raises(ComputeTargetException, match="no compute target 'gpu' in workspace 'lab'"):
        ComputeTarget(ws, "gpu")


def test_a_script_run_is_a_run(exp: Experiment) -> None:
    run = start(exp)

    assert ScriptRun(exp, run.id) == run


# --- errors -----------------------------------------------------------------------------------


def test_errors_have_azures_attributes(ws: Workspace) -> None:
    with pytest.raises(UserErrorException) as raised:
        Experiment(ws, "")

    assert isinstance(raised.value, AzureMLException)
    assert raised.value.message == str(raised.value)
    assert raised.value.inner_exception is None


@pytest.mark.parametrize(
    "module",
    ["conda_dependencies", "environment", "runconfig", "script_run_config"],
)
def test_a_public_class_says_where_users_import_it_from(module: str) -> None:
    """Pickles and reprs must not depend on where the code lies."""
    public = importlib.import_module(f"runlore.{module}")

    classes = [value for value in vars(public).values() if inspect.isclass(value)]
    assert classes
    assert {value.__module__.rpartition(".")[0] for value in classes} == {"runlore"}
    assert [pickle.loads(pickle.dumps(value)) for value in classes] == classes


@pytest.mark.parametrize("name", ["domain", "storage", "projections"])
def test_layers_are_imported_by_the_packages_name(name: str) -> None:
    assert importlib.import_module(f"runlore.{name}").__name__ == f"runlore.{name}"
