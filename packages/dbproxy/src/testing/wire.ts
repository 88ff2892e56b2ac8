import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { fromValue } from "../values/from-value.ts";
import { type SqlValue, toValue } from "../values/to-value.ts";

/** A value as the other side sees it: encoded, and decoded again. */
export function sent(value: SqlValue): Value {
  return fromBinary(ValueSchema, toBinary(ValueSchema, toValue(value, "$1")));
}

/** What comes back where the other side gives a value as it got it. */
export function sentAndBack(value: SqlValue): unknown {
  return fromValue(sent(value));
}
