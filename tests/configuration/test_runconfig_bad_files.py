"""Files of run configurations that are wrong, broken or hostile: each refused, with the way out."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from runlore import CondaDependencies, RunConfiguration
from runlore.configuration.yaml_file import LARGEST_NBYTES
from runlore.exceptions import RunConfigurationException, RunConfigurationFileNotFound
from tests.configuration.runconfigs import loaded, written

WRONG = {
    "arguments: 3": "arguments must be a list, found '3' (str); pass a list",
    "arguments: --a 1": "arguments must be a list, found '--a 1' (str); pass a list",
    "arguments: {a: b}": "arguments must be a list, found {'a': 'b'} (dict)",
    "arguments: [[a]]": "arguments[0] must be a string, a number or a path, found ['a'] (list)",
    "arguments: [a, null]": "arguments[1] must be a string, a number or a path, found nothing",
    "command: {a: b}": "command must be a list, found {'a': 'b'} (dict)",
    "script: [a]": "script must be a string, found ['a'] (list); put it in quotes",
    "script: 1": "script must be a string, found 1 (int); put it in quotes",
    'script: "a\\0b"': "script must be a string without NUL characters",
    "target: {name: gpu}": "target must be a string, found {'name': 'gpu'} (dict)",
    "nodeCount: 0": "nodeCount must be a whole number from 1, found 0 (int)",
    "nodeCount: two": "nodeCount must be a whole number from 1, found 'two' (str)",
    "nodeCount: true": "nodeCount must be a whole number from 1, found True (bool)",
    "maxRunDurationSeconds: -1": "maxRunDurationSeconds must be a whole number from 1, found -1",
    "maxRunDurationSeconds: 1.5": "maxRunDurationSeconds must be a whole number from 1, found 1.5",
    "environment: [a]": "environment must be a mapping, found ['a'] (list)",
    "environment: {python: here}": "environment.python must be a mapping, found 'here' (str)",
    "environment: {python: {interpreterPath: 3}}": "interpreterPath must be a string, found 3",
    "environment: {python: {condaDependencies: a}}": "condaDependencies must be a mapping",
    "environmentVariables: [A=b]": "environmentVariables must be a mapping of names to strings",
    "environmentVariables: {A: [b]}": "environmentVariables[A] must be a string, a number",
    "environmentVariables: {A: null}": "environmentVariables[A] must be a string",
    "environmentVariables: {1: b}": "a name in ",
    "environmentVariables: {A=B: c}": "a name in ",
    "history: {outputCollection: 'yes'}": "history.outputCollection must be true or false",
    "history: {directoriesToWatch: logs}": "history.directoriesToWatch must be a list",
    "pytorch: {processCount: 0}": "pytorch.processCount must be a whole number from 1",
    "pytorch: {communicationBackend: mpi}": "must be 'Nccl' or 'Gloo', found 'mpi'",
    "mpi: {processCountPerNode: 0}": "mpi.processCountPerNode must be a whole number from 1",
    "tensorflow: {parameterServerCount: -1}": "parameter_server_count of TensorFlow must be",
    "nodeCount: 1\nnode_count: 2": "nodeCount appears twice, the second time as node_count",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_a_wrong_value_says_file_key_found_and_expected(
    project: Path, text: str, message: str
) -> None:
    with pytest.raises(RunConfigurationException, match=re.escape(message)) as raised:
        loaded(project, text)

    assert str(project / ".azureml" / "train") in str(raised.value)


BROKEN = {
    "script: [a": "line 1, column 11 cannot be read as YAML: expected ',' or ']'",
    "a: 1\n\tb: 2": "line 2, column 1 cannot be read as YAML: found character '\\t'",
    "a: 1\nb: 1\na: 2": "line 3, column 1 cannot be read as YAML: the key 'a' appears twice",
    "a: *nobody": "line 1, column 4 cannot be read as YAML: found undefined alias",
    "a: 1\n---\nb: 2": "but found another document",
    "a: 2024-99-99": "month must be in 1..12",
    "a: \x01": "special characters are not allowed",
    "": "must hold a mapping (lines of `key: value`), found nothing",
    "- a": "must hold a mapping (lines of `key: value`), found a list",
    "just words": "must hold a mapping (lines of `key: value`), found a single value",
    "? [a]\n: b": "found unhashable key",
    "a: !!int x": "a value does not fit its form or tag",
    "a: !!bool 2": "a value does not fit its form or tag",
    "a: !!timestamp x": "a value does not fit its form or tag",
    "!!set {a, b}": "it is a set, not a mapping",
}


@pytest.mark.parametrize(("text", "message"), BROKEN.items())
def test_what_is_no_yaml_says_where(project: Path, text: str, message: str) -> None:
    with pytest.raises(RunConfigurationException, match=re.escape(message)):
        loaded(project, text)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.mkdir [made]",
        "arguments: [!!python/object/apply:os.mkdir [made]]",
        "arguments: !!python/tuple [a]",
        "a: !!python/name:os.system",
        "a: !mine {b: c}",
    ],
)
def test_tags_are_refused_and_nothing_is_executed(project: Path, text: str) -> None:
    with pytest.raises(RunConfigurationException, match="could not determine a constructor"):
        loaded(project, text)

    assert not (project / "made").exists()


def test_aliases_that_would_fill_the_memory_are_refused(project: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )

    with pytest.raises(RunConfigurationException, match="over 100,000 values after its aliases"):
        loaded(project, bomb)


def test_merged_aliases_that_would_fill_the_memory_are_refused(project: Path) -> None:
    bomb = "a0: &a0 {x: y}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 30)
    )

    with pytest.raises(RunConfigurationException, match="over 100,000 values after its aliases"):
        loaded(project, bomb)


def test_a_few_aliases_are_fine(project: Path) -> None:
    run_config = loaded(
        project, "environmentVariables: &all {A: 1}\nenvironment: {environmentVariables: *all}"
    )

    assert run_config.environment_variables == {"A": "1"}
    assert run_config.environment.environment_variables == {"A": "1"}


def test_a_value_that_holds_itself_is_refused(project: Path) -> None:
    with pytest.raises(RunConfigurationException, match="line 1, .* a value refers to itself"):
        loaded(project, "a: &a [*a]")


@pytest.mark.slow
def test_nesting_without_end_is_refused(project: Path) -> None:
    with pytest.raises(RunConfigurationException, match="nested too deeply"):
        loaded(project, "a: " + "[" * 100_000)


def test_a_file_that_is_too_large_is_refused(project: Path) -> None:
    with pytest.raises(RunConfigurationException, match="larger than 1,048,576 bytes"):
        loaded(project, "#" * (LARGEST_NBYTES + 1))


def test_a_file_that_is_not_utf_8_says_where(project: Path) -> None:
    written(project, "").write_bytes(b"script: caf\xe9.py")

    with pytest.raises(RunConfigurationException, match="not UTF-8: found byte 0xe9 at 11"):
        RunConfiguration.load(project, "train")


def test_a_byte_order_mark_is_skipped(project: Path) -> None:
    assert loaded(project, "\ufeffscript: a.py").script == "a.py"


def test_what_is_not_a_file_is_not_waited_for(project: Path) -> None:
    os.mkfifo(project / "pipe")

    with pytest.raises(RunConfigurationException, match="is not a file"):
        CondaDependencies(project / "pipe")


def test_a_missing_environment_file_is_named(project: Path) -> None:
    with pytest.raises(RunConfigurationFileNotFound, match="environment names the file 'gone.yml'"):
        loaded(project, "environment: gone.yml")
