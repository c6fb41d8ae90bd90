"""The text of a run configuration's file, and of a conda file.

Loading it gives a RunConfiguration, or RunConfigurationException (or that a file which it names was
not found). What was loaded is the same after it was saved and loaded again. Nothing outside of the
project is written.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml

from runlore import CondaDependencies, RunConfiguration
from runlore.configuration.content import content_of
from runlore.configuration.yaml_file import dump
from runlore.exceptions import RunConfigurationException, RunConfigurationFileNotFound
from tests.configuration.runconfigs import AZURES_FILE
from tests.configuration.test_environments import CONDA_FILE
from tests.configuration.test_runconfig_bad_files import WRONG
from tests.fuzz.mutations import JSON_VALUES, TEXTS, mutated_bytes, mutated_text, mutated_tree
from tests.fuzz.target import Broken, Target

_WORDS: Final = (
    *TEXTS,
    *("script: ", "arguments: ", "environment: ", "python: ", "history: ", "condaDependencies: "),
    *(
        "condaDependenciesFile: ",
        "environmentVariables: ",
        "command: ",
        "nodeCount: ",
        "TrackedRun: ",
    ),
    *("dependencies:\n", "- pip:\n  - ", "\n", "\n  ", "- ", ": ", "? ", "| \n", ">-\n", "{", "}"),
    *("[", "]", "&a ", "*a", "<<: *a", "!!int ", "!!set ", "!!binary ", "!!timestamp ", "!!omap "),
    *(
        "!!python/object/apply:os.system ",
        "!!null ",
        "%YAML 1.1\n---\n",
        "---\n",
        "...\n",
        "'",
        '"',
    ),
    *(
        "0x1f",
        "0o17",
        "1_000",
        "1:30",
        "yes",
        "~",
        ".inf",
        ".nan",
        "2026-03-03",
        "#",
        "\t",
        "\ufeff",
    ),
)


def seeds() -> list[bytes]:
    """Azure's own file, the wrong ones of other tests, and a conda file."""
    texts = [AZURES_FILE.read_text(), CONDA_FILE, *WRONG]
    texts += [
        "script: a.py\narguments: [0.10, x]\nenvironment: {python: {condaDependencies: {}}}\n"
    ]
    texts += ["a: &a {b: c}\nd: *a\n<<: *a\n", "TrackedRun: true\nArgumentVector: [a, b]\n"]
    return [text.encode() for text in texts]


def mutate(data: bytes, random: Random) -> bytes:
    """YAML with other values, or with other marks."""
    if random.random() < 0.05:
        return mutated_bytes(data, random)
    text = data.decode(errors="replace")
    if random.random() < 0.5:
        try:
            changed: Any = mutated_tree(yaml.safe_load(text), random, JSON_VALUES)
            return dump(changed).encode(errors="replace")
        except Exception:  # PyYAML raises nearly everything.
            pass
    return mutated_text(text, random, _WORDS).encode(errors="replace")


def check(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / ".azureml").mkdir()
        (project / ".azureml" / "train.runconfig").write_bytes(data)
        try:
            loaded = RunConfiguration.load(project, "train")
        except (RunConfigurationException, RunConfigurationFileNotFound):
            loaded = None
        if loaded is not None:
            _check_saved(loaded, project)
        (project / "conda.yml").write_bytes(data)
        try:
            dependencies = CondaDependencies(project / "conda.yml")
        except (RunConfigurationException, RunConfigurationFileNotFound):
            return
        (project / "saved.yml").unlink(missing_ok=True)
        dependencies.save(project / "saved.yml")
        again = CondaDependencies(project / "saved.yml")
        if repr(again.as_dict()) != repr(dependencies.as_dict()):
            raise Broken(f"{dependencies.as_dict()!r:.300} was saved as {again.as_dict()!r:.300}")


def _check_saved(loaded: RunConfiguration, project: Path) -> None:
    other = project / "other"
    (other / ".azureml").mkdir(parents=True)
    try:
        loaded.save(other, "again")
    except (RunConfigurationException, RunConfigurationFileNotFound) as error:
        if "conda" in str(error):  # It names a conda file outside of the project, or in no folder.
            return
        raise Broken(f"what was loaded cannot be saved: {error}") from error
    again = RunConfiguration.load(other, "again")
    before, after = content_of(loaded.checked()), content_of(again.checked())
    for content in (before, after):
        python: Any = content["environment"]
        python["python"].pop("condaDependenciesFile", None)  # Saving gives it a name.
    if repr(before) != repr(after):
        raise Broken(f"{before!r:.2000}\nwas saved as\n{after!r:.2000}")


TARGET: Final = Target(
    "runconfig",
    check,
    seeds,
    mutate,
    regressions={
        "lists nested by aliases so deeply that they cannot be saved": b"a0: &a0 []\n"
        + b"".join(
            b"a%d: &a%d %b*a%d%b\n" % (n, n, b"[" * 45, n - 1, b"]" * 45) for n in range(1, 31)
        ),
    },
    quick=60,
)
