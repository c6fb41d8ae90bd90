"""Calls of every function of the installed DuckDB, with arguments that fit its parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import duckdb

_FUNCTIONS: Final = """
SELECT DISTINCT function_name, function_type, parameter_types, parameters, varargs
FROM duckdb_functions() ORDER BY ALL
"""
_LITERALS: Final = {
    "BIGNUM": "7::BIGNUM",
    "BIT": "'101'::BIT",
    "BLOB": "'\\xAA'::BLOB",
    "BOOLEAN": "true",
    "DATE": "DATE '2026-11-30'",
    "DOUBLE": "0.5::DOUBLE",
    "FLOAT": "0.5::FLOAT",
    "GEOMETRY": "NULL",
    "INTERVAL": "INTERVAL 1 DAY",
    "JSON": "'{\"a\": [1, 2]}'::JSON",
    "LAMBDA": "lambda x: x",
    "MAP(K, V)": "MAP {1: 2}",
    "POINTER": "0",
    "STRUCT": "{'a': 1}",
    "TABLE": "(FROM runs)",
    "TIME": "TIME '10:00:00'",
    "TIME WITH TIME ZONE": "TIMETZ '10:00:00+01'",
    "TIME_NS": "'10:00:00'::TIME_NS",
    "TIMESTAMP": "TIMESTAMP '2026-11-30 10:00:00'",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ '2026-11-30 10:00:00+01'",
    "TUPLE": "(1, 2)",
    "UNION": "union_value(a := 1)",
    "UUID": "uuid()",
    "VARIANT": "1::VARIANT",
}
# The name of a parameter says more than VARCHAR.
_TEXTS: Final = {
    "part": "'day'",
    "specifier": "'day'",
    "format": "'%Y'",
    "regex": "'a.*'",
    "aggregate": "'sum'",
    "timezone": "'Europe/Berlin'",
    "path": "'$.a'",
    "structure": '\'{"a": "INTEGER"}\'',
}
# Parameters of macros have names only.
_OF_MACROS: Final = {
    "arr": "[1, 2, 3]",
    "arr1": "[1, 2, 3]",
    "arr2": "[1, 2, 3]",
    "bytes": "1000",
    "date": "DATE '2026-11-30'",
    "delimiter": "','",
    "i": "INTERVAL 1 DAY",
    "l": "[1, 2, 3]",
    "map": "MAP {1: 2}",
    "param": "'abc'",
    "pattern": "'b'",
    "sep": "','",
    "string": "'a,b'",
    "text": "'abc'",
}
_EXAMPLES: Final = """
    SELECT array_reduce([1, 2], lambda a, b: a + b), list_reduce([1, 2], lambda a, b: a + b)
    SELECT reduce([1, 2], lambda a, b: a + b), invoke(lambda a: a + 1, 2)
    SELECT array_slice([1, 2, 3], 1, 2), list_slice([1, 2, 3], 1, 2), list_zip([1], [2])
    SELECT array_zip([1], [2]), array_to_json([1]), to_json(1), json_quote('a'), json('[1]')
    SELECT json_object('a', 1), row_to_json({'a': 1}), from_json_strict('[1]', '["INTEGER"]')
    SELECT json_transform_strict('[1]', '["INTEGER"]')
    SELECT bitstring('101', 5), cardinality(MAP {1: 2}), decode('a'::BLOB), unbin('101')
    SELECT from_binary('101'), from_base64('YWJj'), to_base(10, 2), printf('%d', 1)
    SELECT enum_code('a'::ENUM('a', 'b')), enum_first(NULL::ENUM('a')), enum_last(NULL::ENUM('a'))
    SELECT enum_range(NULL::ENUM('a', 'b')), enum_range_boundary('a'::ENUM('a', 'b'), NULL)
    SELECT generate_subscripts([1, 2], 1), regexp_split_to_table('a,b', ',')
    SELECT like_escape('a%', 'a$%', '$'), ilike_escape('a%', 'a$%', '$')
    SELECT not_like_escape('a%', 'a$%', '$'), not_ilike_escape('a%', 'a$%', '$')
    SELECT lttb(x, x, 2) FROM range(5) AS u(x)
    SELECT map_concat(MAP {1: 2}, MAP {2: 3}), map_from_entries([(1, 2)])
    SELECT map_contains_entry(MAP {1: 2}, 1, 2), map_contains_value(MAP {1: 2}, 2)
    SELECT parse_formatted_bytes('1 KB'), split_part('a,b', ',', 1)
    SELECT remap_struct({'a': 1}, NULL::STRUCT(b INTEGER), {'b': 'a'}, NULL)
    SELECT * FROM repeat_row(1, 'a', num_rows := 3)
    SELECT * FROM unnest([1, 2])
    SELECT typeof(u) FROM test_all_types() AS u
    SELECT struct_concat({'a': 1}, {'b': 2}), struct_insert({'a': 1}, b := 2), struct_pack(a := 1)
    SELECT struct_keys({'a': 1}), struct_update({'a': 1}, a := 2)
    SELECT union_extract(union_value(a := 1), 'a'), uuid_extract_timestamp(uuidv7())
    SELECT list_bool_and([true]), list_bool_or([false]), date_add(DATE '2026-11-30', INTERVAL 1 DAY)
"""
_OPERATOR: Final = re.compile(r"\W+")


class Call(NamedTuple):
    """A call, as a whole statement."""

    name: str
    type: str
    statement: str


def calls(connection: duckdb.DuckDBPyConnection, text: str = "'abc'") -> Iterator[Call]:
    """Calls of all functions, one for each of their forms; `text` is given for texts."""
    for name, type_, types, names, more in connection.execute(_FUNCTIONS).fetchall():
        arguments = [
            _argument(kind, named, text)
            for kind, named in zip(types, names or [""] * len(types), strict=False)
        ]
        if more is not None:
            arguments += [_argument(more, "", text)] * 2
        for statement in _statements(name, type_, arguments):
            yield Call(name, type_, statement)
    for statement in _EXAMPLES.strip().splitlines():
        for name in re.findall(r"\b[a-z]\w+(?=\()", statement):
            yield Call(name, "example", statement.strip())


def _statements(name: str, type_: str, arguments: list[str]) -> Iterator[str]:
    listed = ", ".join(arguments)
    called = f'"{name}"({listed})'
    if type_ in ("table", "table_macro"):
        yield f"SELECT * FROM {called}"
        yield f"CALL {called}"
    elif type_ == "pragma":
        yield f"PRAGMA {name}({listed})" if listed else f"PRAGMA {name}"
        yield f"CALL {called}"
        yield f"SELECT * FROM pragma_{name}({listed})"
    elif type_ == "window":
        yield f"SELECT {called} OVER (ORDER BY x) FROM (VALUES (1), (2)) t(x)"
    elif _OPERATOR.fullmatch(name) and len(arguments) == 2:
        yield f"SELECT ({arguments[0]}) {name} ({arguments[1]})"
    else:
        yield f"SELECT {called}"


def _argument(kind: str | None, named: str, text: str) -> str:
    if kind is None and named in _OF_MACROS:
        return _OF_MACROS[named]
    if kind is None or kind in ("T", "K", "V"):
        kind = "ANY"
    if kind.endswith("]") and "[" in kind:
        inner = _argument(kind[: kind.rindex("[")], named, text)
        sized = kind[kind.rindex("[") + 1 : -1]
        cast = f"::{kind[: kind.rindex('[')]}[3]" if sized else ""
        return f"[{inner}, {inner}, {inner}]{cast.replace('ANY[', 'DOUBLE[')}"
    if kind == "VARCHAR":
        return _TEXTS.get(named, text)
    if kind.startswith("STRUCT("):
        return "{'year': 2026, 'month': 1, 'day': 2}"
    if kind.startswith("TUPLE("):
        return "{'key': 1, 'value': 2}"
    return _LITERALS.get(kind) or ("1" if kind in ("ANY",) else f"1::{_cast(kind)}")


def _cast(kind: str) -> str:
    return kind if re.fullmatch(r"[A-Z_]+", kind) else "BIGINT"
