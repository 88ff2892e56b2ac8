import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  mergeFromBinary,
  type MessageShape,
} from "@bufbuild/protobuf";
import { reflect, type ReflectList, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { MAX_DEPTH } from "./count-fields.ts";
import type { Interruptible } from "./time-slices.ts";

// What is decoded at one go: it can hold eight thousand empty messages, which take milliseconds.
const SLICE_BYTES = 16 * 1024;

/**
 * Decodes a message that grpc-js received. Its bytes fields are plain Uint8Arrays, as their type says: from
 * a Buffer, protobuf-es would cut Buffers, which compare and print as something else.
 */
export function decodeMessage<D extends DescMessage>(schema: D, received: Uint8Array): MessageShape<D> {
  return fromBinary(schema, toPlain(received));
}

/** The same, of a message that may be large, and without what this version doesn't know. */
export function* decoding<D extends DescMessage>(
  schema: D,
  received: Uint8Array,
): Interruptible<MessageShape<D>> {
  const bytes = toPlain(received);
  if (bytes.byteLength <= SLICE_BYTES) {
    return fromBinary(schema, bytes, { recursionLimit: MAX_DEPTH, readUnknownFields: false });
  }
  const message = create(schema);
  yield* merging(reflect(schema, message), bytes, 1);
  return message;
}

// Any run of whole fields is an encoding by itself, and merging one after the other gives the whole. A field
// that is too large for one go is a message, which is decoded in the same way, or a single text.
// https://protobuf.dev/programming-guides/encoding/#last-one-wins
function* merging(target: ReflectMessage, bytes: Uint8Array, depth: number): Interruptible<void> {
  if (depth > MAX_DEPTH) throw new RangeError(`a message is nested more than ${MAX_DEPTH} deep`);
  const fields = new Map(target.desc.fields.map((field) => [field.number, field]));
  const reader = new BinaryReader(bytes);
  let merged = 0;
  const merge = (end: number): void => {
    const options = { recursionLimit: MAX_DEPTH - depth + 1, readUnknownFields: false };
    mergeFromBinary(target.desc, target.message, bytes.subarray(merged, end), options);
    merged = end;
  };
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    const body = skipField(reader, number, wireType);
    const field = fields.get(number);
    if (
      body !== undefined &&
      reader.pos - body > SLICE_BYTES &&
      field !== undefined &&
      isMessageField(field)
    ) {
      merge(start);
      yield* mergingChild(target, field, { bytes: bytes.subarray(body, reader.pos), depth });
      merged = reader.pos;
    } else if (reader.pos - merged > SLICE_BYTES) {
      merge(reader.pos);
      yield;
    }
  }
  merge(reader.pos);
}

type MessageField = DescField & { readonly message: DescMessage };

function isMessageField(field: DescField): field is MessageField {
  const { fieldKind } = field;
  if (fieldKind === "message") return !field.delimitedEncoding;
  return fieldKind === "list" && field.listKind === "message" && !field.delimitedEncoding;
}

function* mergingChild(
  target: ReflectMessage,
  field: MessageField,
  part: { readonly bytes: Uint8Array; readonly depth: number },
): Interruptible<void> {
  const { bytes, depth } = part;
  if (field.fieldKind === "list") {
    const child = reflect(field.message);
    yield* merging(child, bytes, depth + 1);
    const list: ReflectList = target.get(field);
    list.add(child);
  } else if (field.fieldKind === "message") {
    // Sent twice, it is one message with the fields of both.
    const child = target.get(field);
    yield* merging(child, bytes, depth + 1);
    target.set(field, child);
  }
}

/** Gives where the body of a length-delimited field begins. */
function skipField(reader: BinaryReader, number: number, wireType: WireType): number | undefined {
  if (wireType !== WireType.LengthDelimited) {
    reader.skip(wireType, number, MAX_DEPTH);
    return undefined;
  }
  const length = reader.uint32();
  const body = reader.pos;
  if (length > reader.len - body) throw new RangeError("a field ends beyond its message");
  reader.pos = body + length;
  return body;
}

/** The same bytes, as no Buffer. */
export function toPlain(received: Uint8Array): Uint8Array {
  return new Uint8Array(received.buffer, received.byteOffset, received.byteLength);
}
