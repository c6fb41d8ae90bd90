"""Files of run configurations for the tests, and strategies for what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from runlore import RunConfiguration
from runlore.runconfig import HistoryConfiguration, MpiConfiguration, PyTorchConfiguration

AZURES_FILE = Path(__file__).with_name("azure.runconfig")


def written(project: Path, text: str, name: str = "train") -> Path:
    """The text as the project's run configuration."""
    folder = project / ".azureml"
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def loaded(project: Path, text: str) -> RunConfiguration:
    """What a file of this text is read as."""
    written(project, text)
    return RunConfiguration.load(project, "train")


words = st.text(st.characters(exclude_characters="\0"), max_size=12)
names = st.text(st.characters(exclude_characters="\0="), min_size=1, max_size=8)
counts = st.integers(1, 10**12)
plain_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
unknown: st.SearchStrategy[dict[object, object]] = st.dictionaries(
    st.from_regex(r"\Ax[a-zA-Z]{1,6}\Z"), plain_values, max_size=3
)
"""Keys that no version has had, with whatever a file may hold."""


@st.composite
def run_configs(draw: st.DrawFn) -> RunConfiguration:
    """Run configurations as a script or a file might make them, with keys nobody knows."""
    run_config = RunConfiguration(draw(st.none() | words), draw(st.lists(words, max_size=3)))
    run_config.command = draw(st.none() | words | st.lists(words, max_size=3)) or None
    run_config.target = draw(words.filter(bool))
    run_config.environment_variables = draw(st.dictionaries(names, words, max_size=3))
    run_config.environment.environment_variables = draw(st.dictionaries(names, words, max_size=3))
    run_config.environment.version = draw(st.none() | words)
    run_config.environment.python.interpreter_path = draw(words)
    run_config.node_count = draw(counts)
    run_config.max_run_duration_seconds = draw(st.none() | counts)
    run_config.mpi = MpiConfiguration(draw(counts), draw(counts))
    run_config.pytorch = PyTorchConfiguration("Gloo", draw(st.none() | counts), draw(counts))
    run_config.history = HistoryConfiguration(
        draw(st.booleans()), draw(st.booleans()), draw(st.lists(words, max_size=2))
    )
    run_config.extra_keys = draw(unknown) | {"mpi": draw(unknown)}
    run_config.environment.extra_keys = draw(unknown) | {"python": draw(unknown)}
    return run_config
