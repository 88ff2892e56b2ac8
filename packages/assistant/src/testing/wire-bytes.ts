import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import * as fc from "fast-check";

const MAX_NESTED = 5;

/**
 * Any bytes that are a message of this schema: its fields in any order, none, once or often, and between them what the
 * schema doesn't know.
 */
export function bytesOf(schema: DescMessage, nested = 0): fc.Arbitrary<Uint8Array> {
  const fields = schema.fields.filter((field) => nested < MAX_NESTED || field.message === undefined);
  const field = fc.oneof(...fields.map((each) => bytesOfField(each, nested)), unknownField());
  return fc.array(field, { maxLength: 5 }).map((parts) => new Uint8Array(Buffer.concat(parts)));
}

/** The same with some bytes that are other ones, are not there, or are there twice. */
export function mutated(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    at: fc.nat(),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff)),
    how: fc.constantFrom("set", "set", "cut", "insert", "remove"),
  });
  return fc.tuple(bytes, fc.array(change, { minLength: 1, maxLength: 3 })).map(([whole, changes]) => {
    const mutant = [...whole];
    for (const { at, byte, how } of changes) {
      const position = at % (mutant.length + 1);
      if (how === "cut") mutant.length = position;
      else mutant.splice(position, how === "insert" ? 0 : 1, ...(how === "remove" ? [] : [byte]));
    }
    return Uint8Array.from(mutant);
  });
}

/** Whether a field that the schema knows is encoded as another type, or ends beyond the message that it stands in. */
export function isAmiss(schema: DescMessage, bytes: Uint8Array): boolean {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    const field = schema.fields.find((each) => each.number === number);
    if (field !== undefined && type !== typeOf(field)) return true;
    if (type !== WireType.LengthDelimited) {
      reader.skip(type, number);
      continue;
    }
    const length = reader.uint32();
    const body = bytes.subarray(reader.pos, reader.pos + length);
    if (body.byteLength < length) return true;
    reader.pos += length;
    if (field?.message !== undefined && isAmiss(field.message, body)) return true;
  }
  return false;
}

function typeOf(field: DescField): WireType {
  if (field.message !== undefined) return WireType.LengthDelimited;
  if (field.scalar === ScalarType.DOUBLE) return WireType.Bit64;
  const hasLength = field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES;
  return hasLength ? WireType.LengthDelimited : WireType.Varint;
}

function bytesOfField(field: DescField, nested: number): fc.Arbitrary<Uint8Array> {
  const writer = (): BinaryWriter => new BinaryWriter().tag(field.number, typeOf(field));
  if (field.message !== undefined) {
    return bytesOf(field.message, nested + 1).map((body) => writer().bytes(body).finish());
  }
  if (field.scalar === ScalarType.STRING) return texts().map((text) => writer().string(text).finish());
  if (field.scalar === ScalarType.DOUBLE) return fc.double().map((value) => writer().double(value).finish());
  if (field.scalar === ScalarType.BYTES) {
    return fc.uint8Array({ maxLength: 40 }).map((bytes) => writer().bytes(bytes).finish());
  }
  // An int64, an int32, an enum or a boolean: also one that is longer than it need be, or than it can hold.
  return integers().map((value) => writer().uint64(BigInt.asUintN(64, value)).finish());
}

function texts(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.constantFrom("", "a\ufeff", "☂".repeat(40), "x".repeat(33)),
  );
}

function integers(): fc.Arbitrary<bigint> {
  return fc.oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.constantFrom(0n, 1n, 2n, -1n, 2n ** 31n, 2n ** 32n, 2n ** 32n - 1n, 2n ** 63n - 1n, -(2n ** 63n)),
  );
}

function unknownField(): fc.Arbitrary<Uint8Array> {
  const number = fc.constantFrom(15, 16, 99, 2 ** 29 - 1);
  const body = fc.constantFrom<(writer: BinaryWriter, number: number) => BinaryWriter>(
    (writer, at) => writer.tag(at, WireType.Varint).uint64(300),
    (writer, at) => writer.tag(at, WireType.Bit32).fixed32(7),
    (writer, at) => writer.tag(at, WireType.Bit64).fixed64(7),
    (writer, at) => writer.tag(at, WireType.LengthDelimited).string("unknown"),
    (writer, at) =>
      writer.tag(at, WireType.StartGroup).tag(1, WireType.Varint).uint32(1).tag(at, WireType.EndGroup),
  );
  return fc.tuple(number, body).map(([at, write]) => write(new BinaryWriter(), at).finish());
}
