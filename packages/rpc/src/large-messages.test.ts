import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  type ListValue,
  ListValueSchema,
  type Value,
  ValueSchema,
} from "@bufbuild/protobuf/wkt";
import { WireType } from "@bufbuild/protobuf/wire";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decoding } from "./decode.ts";
import { encoding } from "./encode.ts";
import type { Interruptible } from "./time-slices.ts";

describe("a large message", () => {
  it.each([
    ["many small ones", listOf(30_000, () => number(1))],
    ["many empty ones", listOf(50_000, () => create(ValueSchema))],
    [
      "a long text among small ones",
      listOf(3_000, (at) => (at === 7 ? string("é".repeat(50_000)) : number(at))),
    ],
    ["a large one in a large one", listOf(3, () => nested(listOf(9_000, () => nested(listOf(2, number)))))],
    ["one at the end of a chain", chain(40, listOf(20_000, number))],
  ])("is encoded and decoded as by protobuf-es, but in parts: %s", (_, message) => {
    const bytes = toBinary(ListValueSchema, message);
    const encoded = finish(encoding(ListValueSchema, message));
    expect(Buffer.compare(encoded.value, bytes)).toBe(0);
    expect(encoded.parts).toBeGreaterThan(0);
    const decoded = finish(decoding(ListValueSchema, Buffer.from(bytes)));
    expect(Buffer.compare(toBinary(ListValueSchema, decoded.value), bytes)).toBe(0);
    expect(decoded.parts).toBeGreaterThan(0);
  });

  it("is encoded with what this version doesn't know, and decoded without it", () => {
    const file = create(FileDescriptorProtoSchema, {
      name: "",
      messageType: Array.from({ length: 9_000 }, (_, at) => ({ name: `M${at}`, field: [{ number: at }] })),
      options: { javaPackage: "x", deprecated: false },
      dependency: ["a", "b"],
      $unknown: [{ no: 1_000, wireType: WireType.Varint, data: Uint8Array.of(7) }],
    });
    const set = create(FileDescriptorSetSchema, { file: [file, { name: "small" }] });
    const bytes = toBinary(FileDescriptorSetSchema, set);
    expect(Buffer.compare(finish(encoding(FileDescriptorSetSchema, set)).value, bytes)).toBe(0);
    expect(finish(decoding(FileDescriptorSetSchema, bytes)).value).toEqual(
      fromBinary(FileDescriptorSetSchema, bytes, { readUnknownFields: false }),
    );
    const without = { writeUnknownFields: false };
    expect(
      Buffer.compare(
        finish(encoding(FileDescriptorSetSchema, set, without)).value,
        toBinary(FileDescriptorSetSchema, set, without),
      ),
    ).toBe(0);
  });

  it("is one with the fields of both where it was sent in two pieces", () => {
    const halves = [listOf(9_000, number), listOf(9_001, number)].map((list) =>
      toBinary(ValueSchema, nested(list)),
    );
    const bytes = Buffer.concat(halves);
    expect(finish(decoding(ValueSchema, bytes)).value).toEqual(fromBinary(ValueSchema, bytes));
  });

  it("is refused where it is cut off, or nested without end", () => {
    const bytes = toBinary(
      ListValueSchema,
      listOf(3, () => nested(listOf(9_000, number))),
    );
    for (const length of [bytes.length - 1, 40_000, 3]) {
      expect(() => finish(decoding(ListValueSchema, bytes.subarray(0, length)))).toThrow();
    }
    const deep = toBinary(ListValueSchema, chain(60, listOf(20_000, number)));
    expect(() => fromBinary(ListValueSchema, deep)).toThrow(/depth/);
    expect(() => finish(decoding(ListValueSchema, deep))).toThrow(/deep|depth/);
  });

  it("may be anything", () => {
    const { value } = fc.letrec<{ value: MessageInitShape<typeof ValueSchema> }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.constant({}),
        fc.double().map((each) => ({ kind: { case: "numberValue" as const, value: each } })),
        fc.string({ maxLength: 20_000, size: "max" }).map((each) => ({
          kind: { case: "stringValue" as const, value: each },
        })),
        fc.tuple(fc.array(tie("value"), { maxLength: 5 }), fc.nat(3_000)).map(([values, times]) => ({
          kind: {
            case: "listValue" as const,
            value: { values: [...values, ...Array.from({ length: times }, () => ({}))] },
          },
        })),
      ),
    }));
    const check = fc.property(value, (init) => {
      const message = create(ValueSchema, init);
      const bytes = toBinary(ValueSchema, message);
      expect(Buffer.compare(finish(encoding(ValueSchema, message)).value, bytes)).toBe(0);
      expect(Buffer.compare(toBinary(ValueSchema, finish(decoding(ValueSchema, bytes)).value), bytes)).toBe(
        0,
      );
    });
    fc.assert(check, { numRuns: 100 });
  });
});

function finish<T>(work: Interruptible<T>): { readonly value: T; readonly parts: number } {
  for (let parts = 0; ; parts += 1) {
    const next = work.next();
    if (next.done === true) return { value: next.value, parts };
  }
}

const number = (value: number): Value => create(ValueSchema, { kind: { case: "numberValue", value } });
const string = (value: string): Value => create(ValueSchema, { kind: { case: "stringValue", value } });
const nested = (value: ListValue): Value => create(ValueSchema, { kind: { case: "listValue", value } });

function listOf(length: number, make: (at: number) => Value): ListValue {
  return create(ListValueSchema, { values: Array.from({ length }, (_, at) => make(at)) });
}

function chain(depth: number, end: ListValue): ListValue {
  return depth === 0 ? end : create(ListValueSchema, { values: [nested(chain(depth - 1, end))] });
}
