import type { Interruptible } from "@tandem/rpc";
import type { GivenValue } from "../wire/given.ts";
import { type ArrayParts, parsingArrayText } from "./array-text.ts";
import type { PgType } from "./kind.ts";
import { parseTimestampText } from "./timestamp-text.ts";

const SLICE_ELEMENTS = 1_024;

/** A result's value, from the text in which PostgreSQL sent it. */
export function* decodingValue(text: string | null, type: PgType): Interruptible<GivenValue> {
  if (text === null) return NULL;
  if (type.kind !== "list") return scalarOf(text, type);
  const parts = type.element === undefined ? undefined : yield* parsingArrayText(text, type.delimiter ?? ",");
  // An array whose lower bounds aren't 1 has no other form than PostgreSQL's own.
  if (parts === undefined) return { case: "textValue", value: text };
  return yield* listOf(parts, type.element ?? type);
}

const NULL = { case: undefined } as const;

function* listOf(parts: ArrayParts, element: PgType): Interruptible<GivenValue> {
  const values: GivenValue[] = [];
  for (const part of parts) {
    if (part === null) values.push(NULL);
    else if (typeof part === "string") values.push(scalarOf(part, element));
    else values.push(yield* listOf(part, element));
    if (values.length % SLICE_ELEMENTS === 0) yield;
  }
  return { case: "listValue", value: values };
}

function scalarOf(text: string, { kind }: PgType): GivenValue {
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
      return { case: "timestampValue", value: timestamp };
    }
    case "list":
    case "text":
      return { case: "textValue", value: text };
  }
}
