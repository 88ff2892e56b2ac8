import type { BinaryWriter } from "@bufbuild/protobuf/wire";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type Value, ValueListSchema, ValueSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { doubleTag, lengthTag, varintTag, writeInt64 } from "@tandem/rpc";
import { writeText } from "./write-text.ts";

/** Writes what a Value is made of. */
export function writeValue(writer: BinaryWriter, { kind }: Value): void {
  switch (kind.case) {
    case undefined:
      return;
    case "boolValue":
      writer.uint32(BOOL).bool(kind.value);
      return;
    case "intValue":
      writeInt64(writer, INT, kind.value);
      return;
    case "doubleValue":
      writer.uint32(DOUBLE).double(kind.value);
      return;
    case "textValue":
      writeText(writer, TEXT, kind.value);
      return;
    case "bytesValue":
      writer.uint32(BYTES).bytes(kind.value);
      return;
    case "timestampValue":
      writer.uint32(TIMESTAMP).fork();
      writeTime(writer, kind.value);
      writer.join();
      return;
    case "numericValue":
      writeText(writer, NUMERIC, kind.value);
      return;
    case "jsonValue":
      writeText(writer, JSON_TEXT, kind.value);
      return;
    case "listValue":
      writer.uint32(LIST).fork();
      for (const value of kind.value.values) {
        writer.uint32(LIST_VALUES).fork();
        writeValue(writer, value);
        writer.join();
      }
      writer.join();
  }
}

/** Writes what a Timestamp or a Duration is made of. */
export function writeTime(
  writer: BinaryWriter,
  { seconds, nanos }: { readonly seconds: bigint | number; readonly nanos: number },
): void {
  if (Number(seconds) !== 0) writeInt64(writer, SECONDS, seconds);
  if (nanos !== 0) writer.uint32(NANOS).int32(nanos);
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

// A Duration's fields have the same numbers.
const SECONDS = varintTag(TimestampSchema.field.seconds);
const NANOS = varintTag(TimestampSchema.field.nanos);
