import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ValueListSchema, ValueSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { doubleTag, lengthTag, type MessageReader, varintTag } from "@tandem/rpc";
import type { Draft, GivenTime, GivenValue } from "./given.ts";

/** A value while it is read. What it holds is by then not more than what was read of it. */
export interface ValueDraft {
  case: string | undefined;
  value: unknown;
}

/** One that is NULL unless there is more to read. */
export function nullDraft(): ValueDraft {
  return { case: undefined, value: undefined };
}

/** Makes it one that is NULL, whatever it was. */
export function toNull(draft: ValueDraft): void {
  draft.case = undefined;
  draft.value = undefined;
}

/** A value that has been read, or will be: as `readValueField` sets it, it is one of these. */
export function asGiven(draft: ValueDraft): GivenValue {
  return draft as GivenValue;
}

/** Reads a field of a Value. Of several kinds the last one holds; of a message or a list the last ones together. */
export function readValueField(reader: MessageReader, draft: ValueDraft): void {
  const tag = reader.nextTag();
  switch (tag) {
    case BOOL:
      return set(draft, "boolValue", reader.bool());
    case INT:
      return set(draft, "intValue", reader.integer());
    case DOUBLE:
      return set(draft, "doubleValue", reader.double());
    case TEXT:
      return set(draft, "textValue", reader.text());
    case BYTES:
      return set(draft, "bytesValue", reader.bytes());
    case TIMESTAMP: {
      const time = draft.case === "timestampValue" ? (draft.value as Draft<GivenTime>) : noTime();
      set(draft, "timestampValue", time);
      return reader.message(time, readTimeField);
    }
    case NUMERIC:
      return set(draft, "numericValue", reader.text());
    case JSON_TEXT:
      return set(draft, "jsonValue", reader.text());
    case LIST: {
      const values = draft.case === "listValue" ? (draft.value as GivenValue[]) : [];
      set(draft, "listValue", values);
      return reader.message(values, readListField);
    }
    default:
      reader.skipOther(ValueSchema);
  }
}

function set(draft: ValueDraft, kind: NonNullable<GivenValue["case"]>, value: unknown): void {
  draft.case = kind;
  draft.value = value;
}

function readListField(reader: MessageReader, values: GivenValue[]): void {
  const tag = reader.nextTag();
  if (tag !== LIST_VALUES) return reader.skipOther(ValueListSchema);
  const value = nullDraft();
  values.push(asGiven(value));
  reader.message(value, readValueField);
}

/** A Timestamp or a Duration of which nothing is read. */
export function noTime(): Draft<GivenTime> {
  return { seconds: 0n, nanos: 0 };
}

/** Reads a field of either: they have the same numbers. */
export function readTimeField(reader: MessageReader, time: Draft<GivenTime>): void {
  const tag = reader.nextTag();
  if (tag === SECONDS) time.seconds = reader.integer();
  else if (tag === NANOS) time.nanos = reader.int32();
  else reader.skipOther(TimestampSchema);
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
