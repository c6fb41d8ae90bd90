"""Arrow tables as bytes, by the structures of Arrow's C data interface.

arro3 cannot write Arrow's IPC format, and pyarrow need not be there. The format strings, structures
and rules are those of arrow.apache.org/docs/format/CDataInterface.html. A schema and the lengths of
a batch are plain lists; the buffers go beside them, as they are in memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char, c_char_p, c_int64, c_void_p
from itertools import count
from typing import Any, Final

from arro3.core import RecordBatch, Schema

Tree = list[Any]
"""A schema as [format, name, metadata, flags, children, dictionary], or an array as [length,
nulls, offset, sizes of its buffers, children, dictionary]; both without objects."""


class _Schema(Structure):
    pass


class _Array(Structure):
    pass


_Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_void_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(_Schema))),
    ("dictionary", POINTER(_Schema)),
    ("release", c_void_p),
    ("private_data", c_void_p),
]
_Array._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(_Array))),
    ("dictionary", POINTER(_Array)),
    ("release", c_void_p),
    ("private_data", c_void_p),
]

_FIXED_BITS: Final = {
    "b": 1,
    **dict.fromkeys("cC", 8),
    **dict.fromkeys("sSe", 16),
    **dict.fromkeys("iIf", 32),
    **dict.fromkeys("lLg", 64),
    **dict.fromkeys(("tdD", "tts", "ttm", "tiM"), 32),
    **dict.fromkeys(("tdm", "ttu", "ttn", "tDs", "tDm", "tDu", "tDn", "tiD"), 64),
    "tin": 128,
}
_OFFSETS: Final = {"u": 4, "z": 4, "+l": 4, "+m": 4, "U": 8, "Z": 8, "+L": 8}


# --- to bytes ---------------------------------------------------------------------------------


def schema_tree(schema: Schema) -> Tree:
    """The schema as a tree."""
    capsule = schema.__arrow_c_schema__()
    return _described(_pointed(capsule, b"arrow_schema", _Schema))


class BatchBytes:
    """A batch as a tree, and its buffers, in the order of the tree. Keeps the batch alive.

    Raises TypeError for a type that DuckDB does not give.
    """

    def __init__(self, batch: RecordBatch) -> None:
        self._held = batch.__arrow_c_array__()
        self.buffers: list[memoryview] = []
        schema = _pointed(self._held[0], b"arrow_schema", _Schema)
        self.tree = self._of(schema, _pointed(self._held[1], b"arrow_array", _Array))

    def _of(self, schema: Any, array: Any) -> Tree:
        sizes = _sizes(schema.format.decode(), array)
        for size, address in zip(sizes, array.buffers[: array.n_buffers], strict=True):
            if size:
                self.buffers.append(memoryview((c_char * size).from_address(address)).cast("B"))
        children = [
            self._of(schema.children[place].contents, array.children[place].contents)
            for place in range(array.n_children)
        ]
        dictionary = None
        if array.dictionary:
            dictionary = self._of(schema.dictionary.contents, array.dictionary.contents)
        return [array.length, array.null_count, array.offset, sizes, children, dictionary]


def _described(schema: Any) -> Tree:
    children = [_described(schema.children[place].contents) for place in range(schema.n_children)]
    dictionary = _described(schema.dictionary.contents) if schema.dictionary else None
    metadata = _metadata(schema.metadata)
    return [schema.format, schema.name, metadata, schema.flags, children, dictionary]


def _sizes(format: str, array: Any) -> list[int | None]:
    """The bytes of each buffer of an array; None for one that is not there."""
    n = array.length + array.offset
    wanted: list[int]
    if format.startswith(("+us:", "+ud:")):
        wanted = [n, 4 * n][: 1 if format[2] == "s" else 2]
        return _there(wanted, array)
    if format == "n":
        return []
    wanted = [(n + 7) // 8]
    bits = _bits(format)
    if bits is not None:
        wanted.append((n * bits + 7) // 8)
    elif format in _OFFSETS:
        width = _OFFSETS[format]
        wanted.append((n + 1) * width)
        if format in "uzUZ":
            wanted.append(_last_offset(array, n, width))
    elif not format.startswith(("+s", "+w:")):
        raise TypeError(f"the type {format!r} of Arrow cannot be carried")
    return _there(wanted, array)


def _bits(format: str) -> int | None:
    kind, _, given = format.partition(":")
    if kind == "w":
        return 8 * int(given)
    if kind == "d":
        parts = given.split(",")
        return int(parts[2]) if len(parts) > 2 else 128
    return _FIXED_BITS.get("tD" + kind[2:] if kind.startswith("ts") else kind)


def _last_offset(array: Any, n: int, width: int) -> int:
    address = array.buffers[1]
    if not address:
        return 0
    kind = ctypes.c_int32 if width == 4 else ctypes.c_int64
    return int((kind * (n + 1)).from_address(address)[n])


def _there(wanted: Sequence[int], array: Any) -> list[int | None]:
    found = array.buffers[: array.n_buffers]
    return [size if address else None for size, address in zip(wanted, found, strict=True)]


def _metadata(address: int | None) -> bytes | None:
    """Pairs of texts, each after its length, after their number: all int32 of this machine."""
    if not address:
        return None
    length = 4
    for _ in range(2 * ctypes.c_int32.from_address(address).value):
        length += 4 + ctypes.c_int32.from_address(address + length).value
    return ctypes.string_at(address, length)


def _pointed(capsule: object, name: bytes, kind: type[Structure]) -> Any:
    return kind.from_address(_capsule_pointer(capsule, name))


_capsule_pointer: Final = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.argtypes = [ctypes.py_object, c_char_p]
_capsule_pointer.restype = c_void_p


# --- from bytes -------------------------------------------------------------------------------


def schema_of(tree: Tree) -> Schema:
    """The schema of a tree."""
    given = _Given(tree)
    try:
        return Schema.from_arrow(given)
    finally:
        given.let_go()


def batch_of(schema: Tree, array: Tree, buffers: Sequence[bytearray]) -> RecordBatch:
    """The batch of a tree and its buffers, of the sizes of `sizes_in`. They are not copied."""
    given = _GivenBatch(schema, array, buffers)
    try:
        return RecordBatch.from_arrow(given)
    finally:
        given.let_go()


def sizes_in(array: Tree) -> list[int]:
    """The sizes of the buffers that belong to an array's tree, in their order."""
    own = [size for size in array[3] if size]
    children = [*array[4], *([array[5]] if array[5] is not None else [])]
    return own + [size for child in children for size in sizes_in(child)]


_kept: Final[dict[int, object]] = {}
_keys: Final = count(1)
_NOTHING: Final = (c_char * 64)()
"""What an empty buffer points to: some readers refuse NULL."""


def _freed(pointer: Any, kept: dict[int, object] = _kept) -> None:
    """Arrow's release of a structure: from any thread, and after the reader has moved it."""
    kept.pop(pointer.contents.private_data, None)
    pointer.contents.release = None


_free_schema: Final = ctypes.CFUNCTYPE(None, POINTER(_Schema))(_freed)
_free_array: Final = ctypes.CFUNCTYPE(None, POINTER(_Array))(_freed)
# A table may outlive this module when Python ends; these are never destroyed.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_free_schema))
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_free_array))

_new_capsule: Final = ctypes.pythonapi.PyCapsule_New
_new_capsule.argtypes = [c_void_p, c_char_p, c_void_p]
_new_capsule.restype = ctypes.py_object


class _Given:
    """What `from_arrow` takes: a schema in C's structures.

    A reader takes the content of a structure, and frees it some day, or only looks at it: then
    `let_go` frees it. The structures themselves live as long as this object.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._roots: list[Any] = []

    def __arrow_c_schema__(self) -> object:
        kept: list[object] = []
        return self._capsule(_made_schema(self._tree, kept), kept, b"arrow_schema")

    def let_go(self) -> None:
        """Free what no reader has taken."""
        for root in self._roots:
            if root.release:
                _kept.pop(root.private_data, None)

    def _capsule(self, root: Any, kept: list[object], name: bytes) -> object:
        root.private_data = key = next(_keys)
        _kept[key] = kept
        self._roots.append(root)
        return _new_capsule(ctypes.addressof(root), name, None)


class _GivenBatch(_Given):
    def __init__(self, schema: Tree, array: Tree, buffers: Sequence[bytearray]) -> None:
        super().__init__(schema)
        self._array = array
        self._buffers = buffers

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        kept: list[object] = []
        root = _made_array(self._array, iter(self._buffers), kept)
        return self.__arrow_c_schema__(), self._capsule(root, kept, b"arrow_array")


def _made_schema(tree: Tree, kept: list[object]) -> Any:
    format, name, metadata, flags, children, dictionary = tree
    made = _Schema(format=format, name=name, flags=flags, n_children=len(children))
    if metadata is not None:
        text = ctypes.create_string_buffer(metadata, len(metadata))
        made.metadata = ctypes.addressof(text)
        kept.append(text)
    made.release = ctypes.cast(_free_schema, c_void_p)
    _attach(made, _Schema, [_made_schema(child, kept) for child in children], kept)
    if dictionary is not None:
        made.dictionary = ctypes.pointer(_made_schema(dictionary, kept))
    kept.append(made)
    return made


def _made_array(tree: Tree, buffers: Any, kept: list[object]) -> Any:
    length, nulls, offset, sizes, children, dictionary = tree
    made = _Array(length=length, null_count=nulls, offset=offset)
    made.n_buffers, made.n_children = len(sizes), len(children)
    addresses = (c_void_p * max(1, len(sizes)))()
    for place, size in enumerate(sizes):
        if size is not None:
            held = (c_char * size).from_buffer(next(buffers)) if size else _NOTHING
            addresses[place] = ctypes.addressof(held)
            kept.append(held)
    made.buffers = ctypes.cast(addresses, POINTER(c_void_p))
    made.release = ctypes.cast(_free_array, c_void_p)
    kept.append(addresses)
    _attach(made, _Array, [_made_array(child, buffers, kept) for child in children], kept)
    if dictionary is not None:
        made.dictionary = ctypes.pointer(_made_array(dictionary, buffers, kept))
    kept.append(made)
    return made


def _attach(made: Any, kind: type[Structure], children: list[Any], kept: list[object]) -> None:
    if children:
        pointers = (POINTER(kind) * len(children))(*map(ctypes.pointer, children))
        made.children = ctypes.cast(pointers, POINTER(POINTER(kind)))
        kept.append(pointers)
