"""The content of a `.runconfig` file, to and from a `RunConfiguration`: names, order, defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from runlore.configuration import values
from runlore.configuration.environment import Environment
from runlore.exceptions import RunConfigurationException

Content = dict[object, object]


class Configuration(Protocol):
    """The parts of a `RunConfiguration` that are not read and written key by key."""

    environment: Environment
    extra_keys: Content


@runtime_checkable
class _ChecksItself(Protocol):
    def check(self) -> None: ...


class _Key(NamedTuple):
    """A key with an attribute of its own; without `read` its value is a section."""

    name: str
    attribute: str
    read: Callable[[object, str], object] | None = None
    optional: bool = False  # null means None; elsewhere it means "as if left out"
    unused: bool = False  # kept, with a warning if it asks for something


# In the order of a file that azureml-core 1.61 saves.
_KEYS: dict[str, tuple[_Key, ...]] = {
    "": (
        _Key("script", "script", values.path, optional=True),
        _Key("arguments", "arguments", values.texts),
        _Key("target", "target", values.text),
        _Key("framework", "framework", values.text),
        _Key("communicator", "communicator", values.text),
        _Key("maxRunDurationSeconds", "max_run_duration_seconds", values.positive, optional=True),
        _Key("nodeCount", "node_count", values.positive),
        _Key("priority", "priority", values.whole, optional=True, unused=True),
        _Key("environment", "environment"),
        _Key("history", "history"),
        _Key("docker", "docker"),
        _Key("tensorflow", "tensorflow"),
        _Key("mpi", "mpi"),
        _Key("pytorch", "pytorch"),
        _Key("command", "command", values.command, optional=True),
        _Key("environmentVariables", "environment_variables", values.variables),
    ),
    "environment": (
        _Key("name", "name", values.text, optional=True),
        _Key("version", "version", values.text, optional=True),
        _Key("environmentVariables", "environment_variables", values.variables),
        _Key("python", "python"),
        _Key("docker", "docker"),
    ),
    "environment.python": (
        _Key("userManagedDependencies", "user_managed_dependencies", values.truth),
        _Key("interpreterPath", "interpreter_path", values.path),
        _Key("condaDependenciesFile", "conda_dependencies_file", values.text, optional=True),
        _Key("baseCondaEnvironment", "base_conda_environment", values.text, True, unused=True),
    ),
    "environment.docker": (
        _Key("enabled", "enabled", values.truth, unused=True),
        _Key("baseImage", "base_image", values.text, optional=True, unused=True),
        _Key("baseDockerfile", "base_dockerfile", values.text, optional=True, unused=True),
        _Key("sharedVolumes", "shared_volumes", values.truth, unused=True),
        _Key("shmSize", "shm_size", values.text, optional=True, unused=True),
        _Key("arguments", "arguments", values.texts, unused=True),
    ),
    "history": (
        _Key("outputCollection", "output_collection", values.truth),
        _Key("snapshotProject", "snapshot_project", values.truth),
        _Key("directoriesToWatch", "directories_to_watch", values.texts),
    ),
    "docker": (
        _Key("useDocker", "use_docker", values.truth, unused=True),
        _Key("sharedVolumes", "shared_volumes", values.truth, unused=True),
        _Key("arguments", "arguments", values.texts, unused=True),
        _Key("shmSize", "shm_size", values.text, optional=True, unused=True),
    ),
    "tensorflow": (
        _Key("workerCount", "worker_count", values.positive),
        _Key("parameterServerCount", "parameter_server_count", values.whole),
    ),
    "mpi": (
        _Key("processCountPerNode", "process_count_per_node", values.positive),
        _Key("nodeCount", "node_count", values.positive),
    ),
    "pytorch": (
        _Key("communicationBackend", "communication_backend", values.text),
        _Key("processCount", "process_count", values.positive, optional=True),
        _Key("nodeCount", "node_count", values.positive),
    ),
}

# The values in a file that azureml-core writes and nobody has changed. False, 0 and empty values
# ask for nothing either and are not listed.
_ASKS_FOR_NOTHING: dict[str, tuple[object, ...]] = {
    "docker.sharedVolumes": (True,),
    "docker.shmSize": ("2g", "1g"),
    "environment.docker.sharedVolumes": (True,),
    "environment.docker.shmSize": ("2g", "1g"),
    "environment.docker.platform.os": ("Linux",),
    "environment.docker.platform.architecture": ("amd64",),
    "environment.spark.precachePackages": (True,),
    "spark.configuration.spark.app.name": ("Azure ML Experiment",),
    "spark.configuration.spark.yarn.maxAppAttempts": (1,),
    "hdi.yarnDeployMode": ("cluster",),
    "paralleltask.workerCountPerNode": (1,),
    "amlcompute.clusterMaxNodeCount": (1,),
}
_AZURES_IMAGES = "/azureml/"  # the part of the default image that stays the same in all versions


def written_as_text(path: tuple[str, ...]) -> bool:
    """Whether the value at this path is always text: the argument `0.10` is not 0.1."""
    return tuple(map(_camel, path)) in {
        ("arguments",),
        ("argumentVector",),
        ("command",),
        ("environmentVariables",),
        ("environment", "environmentVariables"),
        ("environment", "name"),
        ("environment", "version"),
    }


def content_of(run_config: Configuration) -> Content:
    """The content of a run configuration's file: its attributes and its extra keys.

    The conda dependencies are left out: they have a file of their own.
    """
    return _merged(_written(run_config, ""), _extra_keys_of(run_config))


def check(section: object, at: str = "") -> None:
    """Convert every value to its type, or raise RunConfigurationException if it has none."""
    for key in _KEYS[at]:
        where = f"{at}.{key.attribute}".lstrip(".")
        held = getattr(section, key.attribute, None)
        if key.read is not None:
            if held is not None or not key.optional:
                setattr(section, key.attribute, key.read(held, where))
        elif held is None:
            raise values.refusal(where, "a section", held, "keep that of a new configuration")
        else:
            check(held, f"{at}.{key.name}".lstrip("."))
    if isinstance(section, _ChecksItself):
        section.check()


def take(run_config: Configuration, content: Content, file: str) -> list[str]:
    """Set a new configuration from a file's content.

    Returns the keys that ask for features which runlore does not have.
    """
    content = _modern(content, file)
    unused: list[str] = []
    extra = _read(run_config, "", content, file, unused)
    environment = extra.pop("environment", None)
    run_config.environment.extra_keys = environment if isinstance(environment, dict) else {}
    run_config.extra_keys = extra
    unused += _asking({**extra, "environment": environment})
    return unused


def _written(section: object, at: str) -> Content:
    content: Content = {}
    for key in _KEYS[at]:
        held = getattr(section, key.attribute)
        if key.read is None:
            content[key.name] = _written(held, f"{at}.{key.name}".lstrip("."))
        else:
            content[key.name] = held
    if not at and content["command"] is None:
        content["command"] = ""  # azureml-core does not submit a file with null there
    return content


def _extra_keys_of(run_config: Configuration) -> Content:
    extra = dict(run_config.extra_keys)
    if environment := run_config.environment.extra_keys:
        extra["environment"] = environment
    return extra


def _merged(content: Content, extra: Content) -> Content:
    merged = dict(content)
    for key, held in extra.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(held, dict):
            merged[key] = _merged(known, held)
        else:
            merged.setdefault(key, held)
    return merged


def _read(target: object, at: str, content: Content, file: str, unused: list[str]) -> Content:
    """Set the attributes of a section, and return its other keys."""
    keys = {key.name: key for key in _KEYS[at]}
    seen: set[str] = set()
    extra: Content = {}
    for name, held in content.items():
        key = keys.get(_camel(name)) if isinstance(name, str) else None
        if key is None:
            extra[name] = held
            continue
        where = f"{at}.{key.name}".lstrip(".")
        if key.name in seen:
            raise RunConfigurationException(
                f"{file}: {where} appears twice, the second time as {name}; remove one of them"
            )
        seen.add(key.name)
        if key.read is None:
            rest = _read_section(target, key, where, held, file, unused)
            extra.update({key.name: rest} if rest else {})
        elif held is not None:
            setattr(target, key.attribute, key.read(held, f"{file}: {where}"))
            unused += _asking_at(held, where) if key.unused else ()
        elif key.optional:
            setattr(target, key.attribute, None)
    return extra


def _read_section(
    target: object, key: _Key, where: str, held: object, file: str, unused: list[str]
) -> Content:
    if held is None:
        return {}
    if not isinstance(held, dict):
        raise values.refusal(f"{file}: {where}", "a mapping", held, "indent its keys below it")
    section = getattr(target, key.attribute)
    extra = _read(section, where, held, file, unused)
    if isinstance(section, _ChecksItself):
        try:
            section.check()
        except RunConfigurationException as error:
            raise RunConfigurationException(f"{file}: {error.message}") from error
    return extra


def _modern(content: Content, file: str) -> Content:
    """The content under current names: early versions wrote other ones, in TitleCase."""
    modern = dict(content)
    for name, held in content.items():
        match _camel(name) if isinstance(name, str) else "":
            case "argumentVector":
                words = values.texts(modern.pop(name), f"{file}: {name}")
                modern |= {"script": words[0], "arguments": words[1:]} if words else {}
            case "condaDependenciesFile" if "environment" not in content:
                modern.pop(name)
                modern["environment"] = {"python": {"condaDependenciesFile": held}}
            case "trackedRun" if "history" not in content:
                modern.pop(name)
                modern["history"] = {"outputCollection": held}
    return modern


def _asking(content: Content, at: str = "") -> Iterator[str]:
    for name, held in content.items():
        yield from _asking_at(held, f"{at}.{_camel(str(name))}".lstrip("."))


def _asking_at(held: object, where: str) -> Iterator[str]:
    """The keys, at or below `where`, that ask for something runlore keeps and does not use."""
    if where == "environment.python.condaDependencies":
        return
    if isinstance(held, dict):
        yield from _asking(held, where)
    elif held and held not in _ASKS_FOR_NOTHING.get(where, ()):
        image = where == "environment.docker.baseImage" and _AZURES_IMAGES in str(held)
        if not image:
            yield where


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first[:1].lower() + first[1:] + "".join(word[:1].upper() + word[1:] for word in others)
