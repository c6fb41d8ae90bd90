"""What SQL of users may name: an allow-list, by kind and group.

A function that DuckDB brings anew is refused until somebody has looked at it and put it here:
`python -m tests.hostile.sql_functions` prints those that nobody has looked at. Listed is what
computes its result from its arguments alone. Nothing is that takes SQL, the name of a table, a
path to open, a variable or a setting as text, that reads the machine or the database, that keeps or
changes a state, or that waits.
"""

from __future__ import annotations

from typing import Final


def _names(*groups: str) -> frozenset[str]:
    return frozenset(name for group in groups for name in group.split())


# --- the parsed tree ---------------------------------------------------------------------------

QUERY_NODES: Final = _names("SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE")
"""Queries that only read. DuckDB has others, for changes and COPY inside a WITH."""

TABLE_NODES: Final = _names(
    "EMPTY BASE_TABLE SUBQUERY JOIN TABLE_FUNCTION EXPRESSION_LIST PIVOT SHOW_REF"
)
MODIFIERS: Final = _names(
    "ORDER_MODIFIER LIMIT_MODIFIER DISTINCT_MODIFIER ORDER_DEFAULT ASCENDING DESCENDING"
)
EXPRESSIONS: Final = {
    "BETWEEN": _names("COMPARE_BETWEEN COMPARE_NOT_BETWEEN"),
    "CASE": _names("CASE_EXPR"),
    "CAST": _names("OPERATOR_CAST"),
    "COLLATE": _names("COLLATE"),
    "COLUMN_REF": _names("COLUMN_REF"),
    "COMPARISON": _names(
        "COMPARE_EQUAL COMPARE_NOTEQUAL COMPARE_LESSTHAN COMPARE_GREATERTHAN",
        "COMPARE_LESSTHANOREQUALTO COMPARE_GREATERTHANOREQUALTO COMPARE_DISTINCT_FROM",
        "COMPARE_NOT_DISTINCT_FROM",
    ),
    "CONJUNCTION": _names("CONJUNCTION_AND CONJUNCTION_OR"),
    "CONSTANT": _names("VALUE_CONSTANT"),
    "FUNCTION": _names("FUNCTION"),
    "LAMBDA": _names("LAMBDA"),
    "LAMBDA_REF": _names("LAMBDA_REF"),
    "OPERATOR": _names(
        "OPERATOR_NOT OPERATOR_IS_NULL OPERATOR_IS_NOT_NULL OPERATOR_UNPACK OPERATOR_NULLIF",
        "OPERATOR_COALESCE OPERATOR_TRY COMPARE_IN COMPARE_NOT_IN GROUPING_FUNCTION",
        "ARRAY_EXTRACT ARRAY_SLICE STRUCT_EXTRACT ARRAY_CONSTRUCTOR ARROW",
    ),
    "PARAMETER": _names("VALUE_PARAMETER"),
    "POSITIONAL_REFERENCE": _names("POSITIONAL_REFERENCE"),
    "STAR": _names("STAR"),
    "SUBQUERY": _names("SUBQUERY"),
    "TYPE": _names("TYPE"),
    "WINDOW": _names(
        "WINDOW_AGGREGATE WINDOW_FUNCTION WINDOW_RANK WINDOW_RANK_DENSE WINDOW_NTILE",
        "WINDOW_PERCENT_RANK WINDOW_CUME_DIST WINDOW_ROW_NUMBER WINDOW_FIRST_VALUE",
        "WINDOW_LAST_VALUE WINDOW_LEAD WINDOW_LAG WINDOW_NTH_VALUE WINDOW_FILL",
    ),
}
"""The classes of expressions, and the types of each."""

# --- functions ---------------------------------------------------------------------------------

TABLE_FUNCTIONS: Final = _names(
    "range generate_series unnest repeat repeat_row summary json_each json_tree pg_timezone_names",
    "icu_calendar_names test_all_types test_vector_types",
)

AGGREGATES: Final = _names(
    # counts, sums and means
    "count count_if count_star countif sum sum_no_overflow sumkahan kahan_sum fsum product avg",
    "mean favg decimal_average geomean geometric_mean wavg weighted_avg",
    # the least and the greatest
    "min max min_by max_by arg_min arg_max argmin argmax arg_min_null arg_max_null",
    "arg_min_nulls_last arg_max_nulls_last",
    # any, the first and the last
    "any_value arbitrary first last",
    # statistics
    "median mode mad quantile quantile_cont quantile_disc approx_quantile reservoir_quantile",
    "stddev stddev_pop stddev_samp variance var_pop var_samp sem skewness kurtosis kurtosis_pop",
    "entropy corr covar_pop covar_samp regr_avgx regr_avgy regr_count regr_intercept regr_r2",
    "regr_slope regr_sxx regr_sxy regr_syy approx_count_distinct approx_top_k histogram",
    "histogram_exact lttb",
    # lists and texts
    "list array_agg string_agg group_concat listagg json_group_array json_group_object",
    "json_group_structure variant_group_array variant_group_object",
    # bits and booleans
    "bit_and bit_or bit_xor bitstring_agg bool_and bool_or",
)

WINDOW_FUNCTIONS: Final = _names(
    "row_number rank dense_rank rank_dense percent_rank cume_dist ntile lag lead first_value",
    "last_value nth_value fill",
)

SCALARS: Final = _names(
    # operators
    "+ - * / // % ** ^ & | << >> ~ ! !__postfix @ xor && || ->> -> = != < <= > >= ^@ @> <@ <->",
    "<=> ~~ !~~ ~~* !~~* ~~~ add subtract multiply divide mod fmod fdiv decimal_division",
    "like_escape ilike_escape not_like_escape not_ilike_escape",
    # choices
    "if nullif coalesce ifnull switch greatest least error assert_true alias typeof pg_typeof",
    "constant_or_null can_cast_implicitly cast_to_type",
    # numbers
    "abs acos acosh asin asinh atan atan2 atanh cbrt ceil ceiling cos cosh cot degrees even exp",
    "factorial floor gamma gcd greatest_common_divisor lcm least_common_multiple lgamma ln log",
    "log10 log2 nextafter pi pow power radians random round round_even roundbankers sign signbit",
    "sin sinh sqrt tan tanh trunc isfinite isinf isnan equi_width_bins is_histogram_other_bin",
    "set_bit get_bit bit_count bit_length bit_position bitstring binom",
    # texts
    "ascii bar char_length character_length chr concat concat_ws contains ends_with format",
    "formatreadabledecimalsize formatreadablesize format_bytes parse_formatted_bytes instr lcase",
    "left left_grapheme len length length_grapheme lower lpad ltrim nfc_normalize octet_length",
    "ord overlay position prefix printf repeat replace reverse right right_grapheme rpad rtrim",
    "split split_part starts_with str_split string_split string_to_array strip_accents strlen",
    "strpos substr substring substring_grapheme suffix translate trim ucase unicode upper",
    "url_decode url_encode damerau_levenshtein editdist3 hamming jaccard jaro_similarity",
    "jaro_winkler_similarity levenshtein mismatches icu_sort_key pg_size_pretty",
    # regular expressions
    "regexp_escape regexp_extract regexp_extract_all regexp_full_match regexp_matches",
    "regexp_replace regexp_split_to_array regexp_split_to_table str_split_regex",
    "string_split_regex",
    # texts of paths, which are taken apart and not opened
    "parse_dirname parse_dirpath parse_filename parse_path path_join",
    # digests and encodings
    "hash md5 md5_number md5_number_lower md5_number_upper sha1 sha256 base64 from_base64",
    "to_base64 bin unbin to_binary from_binary hex unhex to_hex from_hex to_base decode encode",
    "gen_random_uuid uuid uuidv4 uuidv7 uuid_extract_timestamp uuid_extract_version",
    # times
    "age ago century current_date current_localtime current_localtimestamp date_add date_diff",
    "date_part date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth",
    "dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us era",
    "get_current_time get_current_timestamp hour isodow isoyear julian last_day make_date",
    "make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond",
    "millennium millisecond minute month monthname nanosecond normalized_interval now quarter",
    "second strftime strptime try_strptime time_bucket timezone timezone_hour timezone_minute",
    "to_centuries to_days to_decades to_hours to_microseconds to_millennia to_milliseconds",
    "to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today",
    "transaction_timestamp week weekday weekofyear year yearweek",
    # lists
    "aggregate array_aggr array_aggregate list_aggr list_aggregate apply array_append array_apply",
    "array_cat array_concat array_contains array_cosine_distance array_cosine_similarity",
    "array_cross_product array_distance array_distinct array_dot_product array_extract",
    "array_filter array_grade_up array_has array_has_all array_has_any array_indexof",
    "array_inner_product array_intersect array_length array_negative_dot_product",
    "array_negative_inner_product array_pop_back array_pop_front array_position array_prepend",
    "array_push_back array_push_front array_reduce array_resize array_reverse array_reverse_sort",
    "array_select array_slice array_sort array_to_json array_to_string",
    "array_to_string_comma_default array_transform array_unique array_value array_where array_zip",
    "cardinality element_at filter flatten generate_subscripts generate_series grade_up invoke",
    "list_any_value list_append list_apply list_approx_count_distinct list_avg list_bit_and",
    "list_bit_or list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains",
    "list_cosine_distance list_cosine_similarity list_count list_distance list_distinct",
    "list_dot_product list_element list_entropy list_extract list_filter list_first list_grade_up",
    "list_has list_has_all list_has_any list_histogram list_indexof list_inner_product",
    "list_intersect list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median",
    "list_min list_mode list_negative_dot_product list_negative_inner_product list_pack",
    "list_position list_prepend list_product list_reduce list_resize list_reverse",
    "list_reverse_sort list_select list_sem list_skewness list_slice list_sort list_stddev_pop",
    "list_stddev_samp list_string_agg list_sum list_transform list_unique list_value list_var_pop",
    "list_var_samp list_where list_zip range reduce unnest unpivot_list",
    # structs, maps, unions and enums
    "map map_concat map_contains map_contains_entry map_contains_value map_entries map_extract",
    "map_extract_value map_from_entries map_keys map_values remap_struct row row_to_json",
    "struct_concat struct_contains struct_extract struct_extract_at struct_has struct_indexof",
    "struct_insert struct_keys struct_pack struct_position struct_update struct_values",
    "union_extract union_tag union_value enum_code enum_first enum_last enum_range",
    "enum_range_boundary",
    # JSON
    "from_json from_json_strict json json_array json_array_length json_contains json_deep_merge",
    "json_exists json_extract json_extract_path json_extract_path_text json_extract_string",
    "json_insert json_keys json_merge_patch json_merge_patch_diff json_normalize json_object",
    "json_pretty json_quote json_remove json_replace json_set json_strip_nulls json_structure",
    "json_transform json_transform_strict json_type json_valid json_value to_json",
    # variants
    "variant_array_length variant_contains variant_exists variant_extract variant_extract_string",
    "variant_keys variant_normalize variant_type variant_typeof",
    # the software
    "version",
)

FUNCTIONS: Final = SCALARS | AGGREGATES | WINDOW_FUNCTIONS
"""What may be called where a value stands."""

CALLS_AGGREGATE: Final = _names("aggregate array_aggr array_aggregate list_aggr list_aggregate")
"""These take an aggregate function's name as a text, which must be a literal, and listed."""
