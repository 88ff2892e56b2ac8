import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type Value, ValueListSchema, ValueSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import type { Interruptible } from "@tandem/rpc";
import { type ArrayParts, parsingArrayText } from "./array-text.ts";
import type { PgType } from "./kind.ts";
import { parseTimestampText } from "./timestamp-text.ts";

const SLICE_ELEMENTS = 1_024;

/** A result's value, from the text in which PostgreSQL sent it; not for a list's type. */
export function decodeScalar(text: string | null, type: PgType): Value {
  return text === null ? create(ValueSchema) : create(ValueSchema, { kind: scalarOf(text, type) });
}

/** The same, for a type that is a list. */
export function* decodingList(text: string, type: PgType): Interruptible<Value> {
  const parts = type.element === undefined ? undefined : yield* parsingArrayText(text, type.delimiter ?? ",");
  // An array whose lower bounds aren't 1 has no other form than PostgreSQL's own.
  if (parts === undefined) return create(ValueSchema, { kind: { case: "textValue", value: text } });
  return yield* listOf(parts, type.element ?? type);
}

function* listOf(parts: ArrayParts, element: PgType): Interruptible<Value> {
  const values: Value[] = [];
  for (const part of parts) {
    values.push(
      part === null || typeof part === "string" ? decodeScalar(part, element) : yield* listOf(part, element),
    );
    if (values.length % SLICE_ELEMENTS === 0) yield;
  }
  return create(ValueSchema, { kind: { case: "listValue", value: create(ValueListSchema, { values }) } });
}

function scalarOf(text: string, { kind }: PgType): Value["kind"] {
  switch (kind) {
    case "bool":
      return { case: "boolValue", value: text === "t" };
    case "int":
      return { case: "intValue", value: BigInt(text) };
    case "double":
      return { case: "doubleValue", value: Number(text) };
    case "bytes":
      return { case: "bytesValue", value: Uint8Array.from(Buffer.from(text.slice(2), "hex")) };
    case "numeric":
      return { case: "numericValue", value: text };
    case "json":
      return { case: "jsonValue", value: text };
    case "timestamp": {
      const timestamp = parseTimestampText(text);
      if (timestamp === undefined) return { case: "textValue", value: text };
      return { case: "timestampValue", value: create(TimestampSchema, timestamp) };
    }
    case "list":
    case "text":
      return { case: "textValue", value: text };
  }
}
