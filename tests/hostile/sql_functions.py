"""Which functions of the installed DuckDB nobody has looked at.

Print them with `python -m tests.hostile.sql_functions`.

A function that is neither in `projections/sql_allowed.py` nor here is new. Users' SQL cannot call
it; whoever has read what it does puts its name into one of the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

import duckdb

from runlore.projections.sql_allowed import FUNCTIONS, TABLE_FUNCTIONS

REFUSED: Final = {
    "takes SQL, or the name of a table, as a text": """
        query query_table json_execute_serialized_sql json_serialize_sql json_serialize_plan
        json_deserialize_sql""",
    "reads variables, settings or the environment": """
        getvariable getenv current_setting in_search_path""",
    "shows the engine's own affairs": """
        current_catalog current_connection_id current_database current_query current_query_id
        current_role current_schema current_schemas current_transaction_id current_user
        session_user user txid_current stats vector_type index_key parse_duckdb_log_message
        hive_partition_component get_block_size inet_client_addr inet_client_port
        inet_server_addr inet_server_port""",
    "keeps or changes a state, or waits": """
        nextval currval setval setseed write_log sleep_ms pg_sleep""",
    "makes types, or reads states of aggregates, from what is given": """
        make_type get_type replace_type to_aggregate_state finalize combine combine_aggr""",
    "is there for PostgreSQL's tools": """
        col_description format_pg_type format_type has_*_privilege map_to_pg_oid obj_description
        pg_*_is_visible pg_conf_load_time pg_get_constraintdef pg_get_expr pg_get_viewdef
        pg_has_role pg_is_other_temp_schema pg_my_temp_schema pg_postmaster_start_time
        shobj_description""",
    "is a part of DuckDB's own plans": """
        __* collate_* icu_collate_* create_sort_key bitstring_byte_comparable
        timetz_byte_comparable variant_bytes_to_variant variant_comparator
        variant_to_parquet_variant json_copy_strftime_if_* st_* vertex_extract""",
    "is not a name that SQL can call": """
        IS*DISTINCT*FROM""",
}
"""Functions that stand where a value stands, and are not offered; names may be patterns."""

REFUSED_TABLE_FUNCTIONS: Final = {
    "takes SQL, or the name of a table, as a text": """
        query query_table json_execute_serialized_sql histogram histogram_values""",
    "opens a path": """
        glob parquet_* read_* sniff_csv seq_scan""",
    "reads memory at an address": """
        arrow_scan arrow_scan_dumb pandas_scan python_arrow_scan python_map_function""",
    "shows settings, paths or the database": """
        duckdb_* pragma_* which_secret""",
    "changes something": """
        checkpoint force_checkpoint create_external_resource deregister_external_resource
        destroy_external_resource register_external_resource register_external_resource_type
        disable_logging enable_logging disable_profiling enable_profiling truncate_duckdb_logs""",
}
"""Functions that stand where a table stands, and are not offered."""

OF_TABLES: Final = ("table", "table_macro", "pragma")
"""The types of functions, as DuckDB names them, that give tables. None of them else can pass."""

_NAMES: Final = (
    "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type {} ORDER BY 1"
)


def looked_at(name: str, refused: dict[str, str], allowed: Iterable[str]) -> bool:
    """Whether somebody decided about a function."""
    patterns = " ".join(refused.values()).split()
    written = name.replace(" ", "*")
    return name.lower() in allowed or any(
        fnmatchcase(name, pattern) or written == pattern for pattern in patterns
    )


def new_functions(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The functions that nobody has looked at, by where they stand.

    Pragmas are not among them: a SELECT cannot call one.
    """
    values = connection.execute(
        _NAMES.format("NOT IN ('table', 'table_macro', 'pragma')")
    ).fetchall()
    tables = connection.execute(_NAMES.format("IN ('table', 'table_macro')")).fetchall()
    return {
        "function": [name for (name,) in values if not looked_at(name, REFUSED, FUNCTIONS)],
        "table function": [
            name
            for (name,) in tables
            if not looked_at(name, REFUSED_TABLE_FUNCTIONS, TABLE_FUNCTIONS)
        ],
    }


def main() -> None:
    """Prints the functions that nobody has looked at, with their parameters."""
    with duckdb.connect() as connection:
        for kind, names in new_functions(connection).items():
            for name in names:
                rows = connection.execute(
                    "SELECT DISTINCT parameters, return_type, description FROM duckdb_functions() "
                    "WHERE function_name = ?",
                    [name],
                ).fetchall()
                for parameters, returned, description in rows:
                    print(f"{kind} {name}({', '.join(parameters)}) -> {returned}: {description}")


if __name__ == "__main__":
    main()
