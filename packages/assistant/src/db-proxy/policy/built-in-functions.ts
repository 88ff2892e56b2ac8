import { words } from "./tree.ts";

/**
 * Functions that everybody may call: they work on what they are given, and tell of nothing but that and the
 * clock. Left out, beside all that reads catalogs or has effects: what makes much of a number (repeat, lpad,
 * rpad, format, array_fill, generate_series), what runs or reads SQL (query_to_xml, ts_stat, ts_rewrite), and
 * random numbers other than keys. Much can still be made of little with those that are here: replace and
 * overlay within one another, and aggregates over long texts. A policy can add single ones for its callers.
 */
export const builtInFunctions: ReadonlySet<string> = new Set([
  // aggregates
  ...words(`
    count sum avg min max bool_and bool_or every any_value bit_and bit_or
    array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg mode
    stddev stddev_pop stddev_samp variance var_pop var_samp
    percentile_cont percentile_disc
`),
  // windows
  ...words(`
    row_number rank dense_rank percent_rank cume_dist ntile lag lead
    first_value last_value nth_value
`),
  // numbers
  ...words(`
    
    abs
    ceil
    ceiling
    floor
    round
    trunc
    sign
    mod
    div
    power
    sqrt
    exp
    ln
    
    log width_bucket scale trim_scale
`),
  // text and bytes; the grammar makes calls of some, as of LIKE … ESCAPE
  ...words(`
    lower upper initcap length char_length character_length octet_length bit_length
    btrim ltrim rtrim substring substr position strpos left right replace
    overlay reverse split_part starts_with translate concat concat_ws ascii chr
    regexp_replace regexp_match regexp_like regexp_count regexp_substr like_escape
    similar_to_escape normalize is_normalized md5 sha256 encode decode
    convert_from convert_to to_hex to_char to_number
`),
  // time
  ...words(`
    now transaction_timestamp statement_timestamp clock_timestamp date_trunc date_part
    date_bin extract age timezone make_date make_time make_interval make_timestamp
    make_timestamptz to_date to_timestamp isfinite overlaps justify_days
    justify_hours justify_interval
`),
  // keys
  ...words(`
    gen_random_uuid uuidv4 uuidv7 uuid_extract_timestamp uuid_extract_version
`),
  // documents
  ...words(`
    to_json to_jsonb row_to_json array_to_json json_build_object json_build_array
    jsonb_build_object jsonb_build_array jsonb_set jsonb_insert jsonb_strip_nulls
    jsonb_array_length jsonb_array_elements jsonb_array_elements_text jsonb_each
    jsonb_each_text jsonb_object_keys jsonb_extract_path jsonb_extract_path_text
    jsonb_typeof jsonb_path_exists jsonb_path_query jsonb_path_query_first jsonb_to_record
    jsonb_to_recordset json_array_elements json_array_elements_text json_to_recordset
`),
  // arrays and ranges
  ...words(`
    unnest array_length cardinality array_position array_positions array_append
    array_prepend array_cat array_remove array_replace array_lower array_upper
    array_ndims array_to_string string_to_array num_nulls num_nonnulls isempty
    int4range int8range numrange tsrange tstzrange daterange
`),
  // networks
  ...words(`
    host family masklen network broadcast netmask
`),
]);

/** Whose call would undo the policy, or the connection, for everybody: no policy can allow them. */
export function isNeverAllowed(name: string): boolean {
  return never.test(name);
}

const never =
  /^(pg_|lo_|lo(get|put|read|write|import|export|creat|open|close)|dblink|set_config$|setval$|ts_stat$|ts_rewrite$|currtid|(query|cursor|table|schema|database)_to_xml|binary_upgrade_)/;

/** The columns of those above that name what they give; what others give has the name that the call has in FROM. */
export const resultColumns: ReadonlyMap<string, readonly string[]> = new Map([
  ["jsonb_each", ["key", "value"]],
  ["jsonb_each_text", ["key", "value"]],
  ["jsonb_array_elements", ["value"]],
  ["jsonb_array_elements_text", ["value"]],
  ["json_array_elements", ["value"]],
  ["json_array_elements_text", ["value"]],
]);
