"""YAML files written by others: read within bounds, or refused with the line at fault."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from runlore.exceptions import RunConfigurationException, RunConfigurationFileNotFound
from runlore.storage.atomic_files import replacing

LARGEST_NBYTES = 1 << 20
MOST_VALUES = 100_000
"""Values in a file after its aliases are expanded, so that a short file cannot fill memory."""
DEEPEST = 50
"""Lists and mappings inside of each other: what is read can be copied and written as well."""

_YAML = "tag:yaml.org,2002:"
_Path = tuple[str, ...]


class _Size(NamedTuple):
    values: int
    depth: int


def read_mapping(
    path: Path, as_written: Callable[[_Path], bool] = lambda _: False
) -> dict[object, object]:
    """The file's one mapping, of plain values: tags for other objects are refused.

    Where `as_written` returns True, the values are the file's own text: `0.10`, not 0.1.

    Raises:
        RunConfigurationFileNotFound: the file does not exist.
        RunConfigurationException: it is not UTF-8, YAML or a mapping, or it is out of bounds.
    """
    try:
        root = yaml.compose(_text_of(path), Loader=_Loader)
        if not isinstance(root, yaml.MappingNode):
            kind = "list" if isinstance(root, yaml.SequenceNode) else "single value"
            found = "nothing" if root is None else f"a {kind}"
            raise RunConfigurationException(
                f"{path} must hold a mapping (lines of `key: value`), found {found}; "
                "RunConfiguration().save() writes a file to start from"
            )
        _check(root, path, {}, set())
        content = _constructed(_with_texts(root, (), as_written))
    except yaml.MarkedYAMLError as error:
        raise _refused(path, error.problem or str(error), error.problem_mark) from error
    except yaml.YAMLError as error:
        raise _refused(path, str(error), None) from error
    except RecursionError:
        raise _refused(path, "values are nested too deeply", None) from None
    if not isinstance(content, dict):  # !!set and the like are mappings in YAML only
        raise _refused(path, f"it is a {type(content).__name__}, not a mapping", root.start_mark)
    return content


def write_yaml(path: Path, content: object) -> None:
    """Write the whole file, or nothing. Raises FileNotWritten."""
    with replacing(path) as file:
        file.write(dump(content).encode())


def dump(content: object) -> str:
    """The content as YAML, in its own order."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20)


# Numbers and truth values as YAML 1.2 defines them and azureml-core writes them: `yes`, `on` and
# `1:30` are text. Text that looks like a value in either version is quoted when it is written.
_FORMS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|"
        r"\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
)


class _Loader(yaml.SafeLoader):
    """Reads the forms of YAML 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: [form for form in forms if form[0] not in {f"{_YAML}{name}" for name, _, _ in _FORMS}]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """Escapes text of several lines: PyYAML loses spaces and rare line breaks in it."""

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        self.allow_unicode = False
        super().write_double_quoted(text, split)
        self.allow_unicode = True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.splitlines() in ([], [text]) else '"'
    return dumper.represent_scalar(f"{_YAML}str", text, style=style)


_Dumper.add_representer(str, _represent_text)
for _name, _form, _firsts in _FORMS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"{_YAML}{_name}", re.compile(rf"(?:{_form})\Z"), list(_firsts)
        )


def _constructed(root: yaml.Node) -> object:
    try:
        return _Loader("").construct_document(root)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # PyYAML trusts explicit tags: `!!int x`, `!!bool 2`, `!!timestamp x` raise any of these.
        raise yaml.YAMLError(f"a value does not fit its form or tag ({error})") from error


def _text_of(path: Path) -> str:
    if not path.exists():
        raise RunConfigurationFileNotFound(f"file {path} does not exist; check the path")
    if not path.is_file():
        raise RunConfigurationException(f"{path} is not a file; give the path of a YAML file")
    with path.open("rb") as file:
        held = file.read(LARGEST_NBYTES + 1)
    if len(held) > LARGEST_NBYTES:
        raise _refused(path, f"it is larger than {LARGEST_NBYTES:,} bytes", None)
    try:
        return held.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RunConfigurationException(
            f"{path} is not UTF-8: found byte 0x{held[error.start]:02x} at {error.start}; "
            "save it again as UTF-8"
        ) from error


def _check(node: yaml.Node, path: Path, sizes: dict[int, _Size], open_nodes: set[int]) -> _Size:
    """The size of the node, each alias counted as the values it repeats."""
    if isinstance(node, yaml.ScalarNode):
        return _Size(1, 0)
    if id(node) in open_nodes:
        raise _refused(path, "a value refers to itself", node.start_mark)
    if id(node) not in sizes:
        open_nodes.add(id(node))
        parts = [_check(child, path, sizes, open_nodes) for child in _children(node, path)]
        open_nodes.remove(id(node))
        depth = 1 + max((part.depth for part in parts), default=0)
        sizes[id(node)] = _Size(1 + sum(part.values for part in parts), depth)
    size = sizes[id(node)]
    if size.depth > DEEPEST:
        raise _refused(path, "values are nested too deeply", node.start_mark)
    if size.values > MOST_VALUES:
        raise _refused(
            path,
            f"it makes over {MOST_VALUES:,} values after its aliases are expanded",
            node.start_mark,
        )
    return size


def _children(node: yaml.Node, path: Path) -> list[yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return list(node.value)
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != f"{_YAML}merge":
            if (key.tag, key.value) in seen:  # YAML forbids it; the parser would drop the first
                raise _refused(path, f"the key {key.value!r:.80} appears twice", key.start_mark)
            seen.add((key.tag, key.value))
    return [part for pair in node.value for part in pair]


def _with_texts(node: yaml.Node, at: _Path, as_written: Callable[[_Path], bool]) -> yaml.Node:
    """The node, with scalars as text where asked: copied there, since an alias may share it."""
    if at and as_written(at):
        return _as_text(node)
    if not isinstance(node, yaml.MappingNode) or len(at) > 2:
        return node
    pairs = [
        (key, _with_texts(held, (*at, str(key.value)), as_written)) for key, held in node.value
    ]
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)


def _as_text(node: yaml.Node) -> yaml.Node:
    marks = (node.start_mark, node.end_mark)
    if isinstance(node, yaml.ScalarNode):
        plain = node.tag.startswith(_YAML) and node.tag != f"{_YAML}null"
        plain = plain and not node.tag.startswith(f"{_YAML}python")
        return yaml.ScalarNode(f"{_YAML}str", node.value, *marks) if plain else node
    if isinstance(node, yaml.SequenceNode):
        items = [
            _as_text(item) if isinstance(item, yaml.ScalarNode) else item for item in node.value
        ]
        return yaml.SequenceNode(node.tag, items, *marks)
    if isinstance(node, yaml.MappingNode):
        pairs = [
            (key, _as_text(held) if isinstance(held, yaml.ScalarNode) else held)
            for key, held in node.value
        ]
        return yaml.MappingNode(node.tag, pairs, *marks)
    return node


def _refused(path: Path, problem: str, mark: yaml.Mark | None) -> RunConfigurationException:
    where = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
    return RunConfigurationException(
        f"{path}{where} cannot be read as YAML: {problem}; correct the file"
    )
