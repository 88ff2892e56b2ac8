import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Interruptible } from "./time-slices.ts";

/** A message is of more fields than it may be. Its message goes on after "The message has". */
export class TooManyFieldsError extends Error {
  override readonly name = "TooManyFieldsError";
  constructor(maxFields: number) {
    super(`more than ${maxFields} fields and elements of lists, the limit`);
  }
}

// As deep as protobuf-es itself goes.
export const MAX_DEPTH = 100;

// As many are looked at in one go; it takes about a millisecond.
const SLICE_FIELDS = 8 * 1024;

/**
 * Counts the fields that a message is made of, those of the messages inside it too, before any of it is in memory: an
 * empty message takes two bytes on the wire and a hundred decoded, and every field takes its time. Each element of a
 * list is a field. Fails with a TooManyFieldsError as soon as there are more than may be, and with a RangeError where
 * the bytes are no such message or it is nested too deep.
 *
 * protobuf-es reads a field that it knows without a look at how it is encoded. Here one that is encoded as another
 * type is refused: otherwise the two could see different messages in the same bytes.
 */
export function* countingFields(
  schema: DescMessage,
  bytes: Uint8Array,
  maxFields: number,
): Interruptible<void> {
  // A field takes a byte at least.
  if (bytes.byteLength <= maxFields) return;
  const shapes = new Map<DescMessage, Shape>();
  const reader = new BinaryReader(bytes);
  const open: Open[] = [{ shape: shapeOf(schema, shapes), end: bytes.byteLength }];
  let fields = 0;
  for (let round = 1; ; round += 1) {
    const inner = innermost(open, reader.pos);
    if (inner === undefined) return;
    const [number, wireType] = reader.tag();
    const field = inner.shape.get(number);
    if (field !== undefined && wireType === WireType.LengthDelimited) {
      const length = reader.uint32();
      const end = reader.pos + length;
      if (end > inner.end) throw cutOff();
      fields += lengthOf(field, bytes.subarray(reader.pos, end));
      const child = field.child?.(shapes);
      if (child === undefined) reader.pos = end;
      else open.push({ shape: child, end });
    } else {
      if (field !== undefined && wireType !== field.wireType) throw otherType();
      const { byteLength } = reader.skip(wireType, number, MAX_DEPTH - open.length);
      // Nobody looks into a group here: it is taken for as many fields as it can hold.
      fields += wireType === WireType.StartGroup ? byteLength : 1;
    }
    if (fields > maxFields) throw new TooManyFieldsError(maxFields);
    if (open.length > MAX_DEPTH) throw tooDeep();
    if (round % SLICE_FIELDS === 0) yield;
  }
}

/** The fields of a message, or of an entry of a map, by their numbers. */
type Shape = ReadonlyMap<number, FieldShape>;

interface FieldShape {
  readonly wireType: WireType;
  /** How its elements are encoded where they may stand in one piece. */
  readonly packed?: WireType;
  readonly child?: (shapes: Map<DescMessage, Shape>) => Shape;
}

interface Open {
  readonly shape: Shape;
  readonly end: number;
}

/** The innermost message that the position is in, once those that end there are left. */
function innermost(open: Open[], position: number): Open | undefined {
  for (let inner = open.at(-1); inner !== undefined; inner = open.at(-1)) {
    if (position > inner.end) throw cutOff();
    if (position < inner.end) return inner;
    open.pop();
  }
  return undefined;
}

/** How many fields it is of which this is the body. */
function lengthOf({ wireType, packed }: FieldShape, body: Uint8Array): number {
  if (wireType === WireType.LengthDelimited) return 1;
  if (packed === undefined) throw otherType();
  if (packed === WireType.Bit32) return body.byteLength / 4;
  if (packed === WireType.Bit64) return body.byteLength / 8;
  // The last byte of a varint is the one without the highest bit.
  return body.reduce((elements, byte) => (byte < 0x80 ? elements + 1 : elements), 0);
}

/** What is wrong with a message, whoever reads it. */
export function otherType(): RangeError {
  return new RangeError("A field in it is encoded as another type.");
}

export function tooDeep(): RangeError {
  return new RangeError(`A message in it is nested more than ${MAX_DEPTH} deep.`);
}

export function cutOff(): RangeError {
  return new RangeError("A field in it ends beyond the message that it stands in.");
}

function shapeOf(schema: DescMessage, shapes: Map<DescMessage, Shape>): Shape {
  let shape = shapes.get(schema);
  if (shape === undefined) {
    shape = new Map(schema.fields.map((field) => [field.number, toFieldShape(field)]));
    shapes.set(schema, shape);
  }
  return shape;
}

function toFieldShape(field: DescField): FieldShape {
  switch (field.fieldKind) {
    case "scalar":
      return { wireType: wireTypeOf(field.scalar) };
    case "enum":
      return { wireType: WireType.Varint };
    case "message":
      return messageShape(field.message, field.delimitedEncoding);
    case "map":
      return mapShape(field);
    case "list":
      if (field.listKind === "message") return messageShape(field.message, field.delimitedEncoding);
      return listShape(field.listKind === "enum" ? WireType.Varint : wireTypeOf(field.scalar));
  }
}

function messageShape(message: DescMessage, isGroup: boolean): FieldShape {
  if (isGroup) return { wireType: WireType.StartGroup };
  return { wireType: WireType.LengthDelimited, child: (shapes) => shapeOf(message, shapes) };
}

function listShape(wireType: WireType): FieldShape {
  return wireType === WireType.LengthDelimited ? { wireType } : { wireType, packed: wireType };
}

function mapShape(field: DescField & { readonly fieldKind: "map" }): FieldShape {
  let value: FieldShape;
  if (field.mapKind === "message") value = messageShape(field.message, false);
  else if (field.mapKind === "enum") value = { wireType: WireType.Varint };
  else value = { wireType: wireTypeOf(field.scalar) };
  const entry: Shape = new Map([
    [1, { wireType: wireTypeOf(field.mapKey) }],
    [2, value],
  ]);
  return { wireType: WireType.LengthDelimited, child: () => entry };
}

function wireTypeOf(scalar: ScalarType): WireType {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return WireType.LengthDelimited;
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
    case ScalarType.FLOAT:
      return WireType.Bit32;
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
    case ScalarType.DOUBLE:
      return WireType.Bit64;
    case ScalarType.BOOL:
    case ScalarType.INT32:
    case ScalarType.INT64:
    case ScalarType.UINT32:
    case ScalarType.UINT64:
    case ScalarType.SINT32:
    case ScalarType.SINT64:
      return WireType.Varint;
  }
}
