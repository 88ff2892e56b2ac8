import type { BinaryWriter } from "@bufbuild/protobuf/wire";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ValueListSchema, ValueSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { doubleTag, type Interruptible, lengthTag, varintTag, writeInt64 } from "@tandem/rpc";
import { type ArrayParts, parsingArrayText } from "../values/array-text.ts";
import type { PgType } from "../values/kind.ts";
import { parseTimestampText } from "../values/timestamp-text.ts";

/** Writes what a Value is made of, from the text in which PostgreSQL sent it. Of a list it writes nothing. */
export function writeScalar(writer: BinaryWriter, text: string, { kind }: PgType): void {
  switch (kind) {
    case "bool":
      writer.uint32(BOOL).bool(text === "t");
      return;
    case "int":
      writeInt64(writer, INT, text.length < SAFE_DIGITS ? Number(text) : BigInt(text));
      return;
    case "double":
      writer.uint32(DOUBLE).double(Number(text));
      return;
    case "bytes":
      writer.uint32(BYTES).bytes(Buffer.from(text.slice(2), "hex"));
      return;
    case "numeric":
      writer.uint32(NUMERIC).string(text);
      return;
    case "json":
      writer.uint32(JSON_TEXT).string(text);
      return;
    case "timestamp": {
      const timestamp = parseTimestampText(text);
      if (timestamp === undefined) {
        writer.uint32(TEXT).string(text);
        return;
      }
      writer.uint32(TIMESTAMP).fork();
      if (timestamp.seconds !== 0n) writeInt64(writer, SECONDS, timestamp.seconds);
      if (timestamp.nanos !== 0) writer.uint32(NANOS).int32(timestamp.nanos);
      writer.join();
      return;
    }
    case "list":
      return;
    case "text":
      writer.uint32(TEXT).string(text);
  }
}

// Fewer characters are a number that is exact.
const SAFE_DIGITS = 16;
const SLICE_ELEMENTS = 1_024;

/** The same, of a list. */
export function* writingList(writer: BinaryWriter, text: string, type: PgType): Interruptible<void> {
  const parts = type.element === undefined ? undefined : yield* parsingArrayText(text, type.delimiter ?? ",");
  // An array whose lower bounds aren't 1 has no other form than PostgreSQL's own.
  if (parts === undefined) writer.uint32(TEXT).string(text);
  else yield* writingParts(writer, parts, type.element ?? type);
}

function* writingParts(writer: BinaryWriter, parts: ArrayParts, element: PgType): Interruptible<void> {
  writer.uint32(LIST).fork();
  for (const [at, part] of parts.entries()) {
    writer.uint32(LIST_VALUES).fork();
    if (typeof part === "string") writeScalar(writer, part, element);
    else if (part !== null) yield* writingParts(writer, part, element);
    writer.join();
    if (at % SLICE_ELEMENTS === SLICE_ELEMENTS - 1) yield;
  }
  writer.join();
}

const value = ValueSchema.field;
const BOOL = varintTag(value.boolValue);
const INT = varintTag(value.intValue);
const DOUBLE = doubleTag(value.doubleValue);
const TEXT = lengthTag(value.textValue);
const BYTES = lengthTag(value.bytesValue);
const TIMESTAMP = lengthTag(value.timestampValue);
const NUMERIC = lengthTag(value.numericValue);
const JSON_TEXT = lengthTag(value.jsonValue);
const LIST = lengthTag(value.listValue);
const LIST_VALUES = lengthTag(ValueListSchema.field.values);
const SECONDS = varintTag(TimestampSchema.field.seconds);
const NANOS = varintTag(TimestampSchema.field.nanos);
