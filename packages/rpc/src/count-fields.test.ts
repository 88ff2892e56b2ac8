import { create, type DescMessage, toBinary } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  type ListValue,
  ListValueSchema,
  StructSchema,
  type Value,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, it } from "vitest";
import { countingFields, MAX_DEPTH, TooManyFieldsError } from "./count-fields.ts";
import { decodeMessage } from "./decode.ts";

describe("the fields of a message", () => {
  const empty = create(ValueSchema);
  const numbers = listOf(3, create(ValueSchema, { kind: { case: "numberValue", value: 1 } }));
  const struct = create(StructSchema, { fields: { a: empty, bc: nested(numbers) } });
  const texts = create(FileDescriptorProtoSchema, { name: "n", dependency: ["", "a long one", ""] });
  it.each<[string, DescMessage, Uint8Array, number]>([
    ["elements, and what is in them", ListValueSchema, toBinary(ListValueSchema, numbers), 3 + 3],
    ["empty ones", ListValueSchema, toBinary(ListValueSchema, listOf(3, empty)), 3],
    ["of messages in messages", ValueSchema, toBinary(ValueSchema, nested(numbers)), 1 + 3 + 3],
    ["entries of a map", StructSchema, toBinary(StructSchema, struct), 2 * (1 + 2) + 1 + 3 + 3],
    ["texts", FileDescriptorProtoSchema, toBinary(FileDescriptorProtoSchema, texts), 1 + 3],
    ["numbers of a list, one by one", FileDescriptorProtoSchema, Uint8Array.of(0x50, 1, 0x50, 0x81, 1), 2],
    ["numbers of a list, packed", FileDescriptorProtoSchema, Uint8Array.of(0x52, 4, 1, 0x81, 1, 0), 3],
    ["what isn't known", ListValueSchema, Uint8Array.of(0x7a, 2, 0x0a, 0x00, 0x70, 1), 2],
    ["what stands twice", ValueSchema, Uint8Array.of(0x20, 1, 0x20, 0), 2],
  ])("are counted: %s", (_, schema, bytes, fields) => {
    expect(count(schema, bytes)).toBe(fields);
  });

  it("are not built to be counted: of two million it looks at as many as may be", () => {
    const bytes = Buffer.from("0a00".repeat(2_000_000), "hex");
    const began = process.threadCpuUsage().user;
    expect(() => finish(countingFields(ListValueSchema, bytes, 65_536))).toThrow(TooManyFieldsError);
    const tookUs = process.threadCpuUsage().user - began;
    expect(() => finish(countingFields(ListValueSchema, bytes, 2_000_000))).not.toThrow();
    expect(process.threadCpuUsage().user - began).toBeGreaterThan(5 * tookUs);
  });

  it("are counted in parts", () => {
    const bytes = Buffer.from("0a00".repeat(60_000), "hex");
    expect(finish(countingFields(ListValueSchema, bytes, 60_000))).toBeGreaterThan(5);
  });

  it("can't be hidden behind another encoding, which protobuf-es doesn't look at", () => {
    // As a number, the first byte is all that there is of it; as a message, it is the length of one.
    const hidden = new BinaryWriter().tag(1, WireType.Varint).uint32(4).finish();
    const bytes = Buffer.concat([hidden, Buffer.from("0a000a00", "hex")]);
    const value = Buffer.concat([Buffer.from("3206", "hex"), bytes]);
    expect(JSON.stringify(decodeMessage(ValueSchema, value))).toContain("listValue");
    expect(() => count(ListValueSchema, bytes)).toThrow("another type");
    expect(() => count(ValueSchema, value)).toThrow("another type");
    expect(() => count(ValueSchema, Buffer.from("220101", "hex"))).toThrow("another type");
  });

  it("can't be hidden beyond the end of a message", () => {
    expect(() => count(ListValueSchema, Uint8Array.of(0x0a, 3, 0x32, 4, 0x0a, 0, 0x0a, 0))).toThrow("ends");
    expect(() => count(ListValueSchema, Uint8Array.of(0x0a, 9))).toThrow("ends");
  });

  it(`may be nested ${MAX_DEPTH} deep and no deeper`, () => {
    const deep = (depth: number): Uint8Array => {
      let bytes = new Uint8Array();
      for (let at = 0; at < depth; at += 1) {
        const tag = at % 2 === depth % 2 ? 6 : 1;
        bytes = new BinaryWriter().tag(tag, WireType.LengthDelimited).bytes(bytes).finish();
      }
      return bytes;
    };
    expect(count(ListValueSchema, deep(MAX_DEPTH - 1))).toBe(MAX_DEPTH - 1);
    for (const depth of [MAX_DEPTH, 10_000])
      expect(() => count(ListValueSchema, deep(depth))).toThrow("deep");
  });
});

/** The least limit that a message passes. */
function count(schema: DescMessage, bytes: Uint8Array): number {
  const fits = (fields: number): boolean => {
    try {
      finish(countingFields(schema, bytes, fields));
      return true;
    } catch (error) {
      if (error instanceof TooManyFieldsError) return false;
      throw error;
    }
  };
  for (let fields = 0; fields < bytes.byteLength; fields += 1) if (fits(fields)) return fields;
  throw new Error("It has more fields than bytes.");
}

function finish(work: Generator): number {
  let parts = 0;
  for (const _ of work) parts += 1;
  return parts;
}

function nested(value: ListValue): Value {
  return create(ValueSchema, { kind: { case: "listValue", value } });
}

function listOf(length: number, value: Value): ListValue {
  return create(ListValueSchema, { values: Array.from({ length }, () => value) });
}
