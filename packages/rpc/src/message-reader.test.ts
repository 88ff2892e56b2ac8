import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type ListValue, ListValueSchema, type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countingFields, MAX_DEPTH } from "./count-fields.ts";
import { lengthTag, varintTag } from "./field-tags.ts";
import { type FieldReader, reading } from "./message-reader.ts";
import type { Interruptible } from "./time-slices.ts";

/** Lists of nulls, texts and lists, read by hand. */
type Read = { kind?: null | string | Read[] };

const { nullValue, stringValue, listValue } = ValueSchema.field;
const VALUES = lengthTag(ListValueSchema.field.values);
const NULL = varintTag(nullValue);
const TEXT = lengthTag(stringValue);
const LIST = lengthTag(listValue);

const readList: FieldReader<Read[]> = (reader, list) => {
  const tag = reader.nextTag();
  if (tag !== VALUES) return reader.skipOther(ListValueSchema);
  const value: Read = {};
  list.push(value);
  reader.message(value, readValue);
};

const readValue: FieldReader<Read> = (reader, value) => {
  const tag = reader.nextTag();
  if (tag === NULL) {
    reader.int32();
    value.kind = null;
  } else if (tag === TEXT) value.kind = reader.text();
  else if (tag !== LIST) reader.skipOther(ValueSchema);
  else reader.message(Array.isArray(value.kind) ? value.kind : (value.kind = []), readList);
};

const read = (bytes: Uint8Array): Interruptible<Read[]> => reading<Read[]>(bytes, [], readList);

function toRead({ values }: ListValue): Read[] {
  return values.map(({ kind }) => {
    if (kind.case === "listValue") return { kind: toRead(kind.value) };
    if (kind.case === "stringValue") return { kind: kind.value };
    return kind.case === "nullValue" ? { kind: null } : {};
  });
}

describe("a message is read by hand", () => {
  it("or refused, as it is by the count of its fields and by protobuf-es", () => {
    const element = fc.constantFrom(
      Buffer.from("0a00", "hex"),
      Buffer.from("0a020800", "hex"),
      Buffer.from("0a031a0178", "hex"),
      Buffer.from("0a0632040a000a00", "hex"),
      Buffer.from("7b0a007c", "hex"),
      Buffer.from("8a0000", "hex"),
      Buffer.from("8a808080800000", "hex"),
    );
    const bytes = fc
      .tuple(fc.array(element, { maxLength: 6 }), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }))
      .map(([elements, changes]) => {
        const whole = new Uint8Array(Buffer.concat(elements));
        for (const [at, byte] of changes) if (whole.length > 0) whole[at % whole.length] = byte;
        return whole;
      });
    const seen = { read: 0, refused: 0 };
    const property = fc.property(bytes, (each) => {
      // A value of another kind is one that this reader knows nothing of.
      fc.pre(!isOfAnotherKind(each));
      const expected = attempt(() => {
        // As many fields no message of so many bytes has.
        finish(countingFields(ListValueSchema, each, each.byteLength - 1));
        return toRead(fromBinary(ListValueSchema, each, { readUnknownFields: false }));
      });
      seen[expected === undefined ? "refused" : "read"] += 1;
      expect(attempt(() => finish(read(each)).value)).toEqual(expected);
    });
    fc.assert(property, { numRuns: 2_000 });
    expect(Math.min(seen.read, seen.refused)).toBeGreaterThan(200);
  });

  it("in parts where it is large, at most 16 KiB of them at a go but for a text", () => {
    const small = create(ValueSchema, { kind: { case: "stringValue", value: "text" } });
    const inner = listOf(...Array.from({ length: 10_000 }, () => small));
    const bytes = toBinary(
      ListValueSchema,
      listOf(small, nested(listOf(nested(inner), small)), nested(inner)),
    );
    const { value, parts } = finish(read(bytes));
    expect(value).toEqual(toRead(fromBinary(ListValueSchema, bytes)));
    expect(parts).toBeGreaterThanOrEqual(Math.floor(bytes.byteLength / (16 * 1024)));
  });

  it("as often as it comes, large or not", () => {
    const large = nested(listOf(create(ValueSchema, { kind: textKind("x".repeat(20_000)) })));
    const bytes = toBinary(ListValueSchema, listOf(...Array.from({ length: MAX_DEPTH }, () => large)));
    expect(finish(read(bytes)).value).toHaveLength(MAX_DEPTH);
  });

  it("or refused where what stands in it ends beyond it, large or not", () => {
    for (const length of [1, 20_000]) {
      const values = toBinary(
        ListValueSchema,
        listOf(create(ValueSchema, { kind: textKind("x".repeat(length)) })),
      );
      const inner = new BinaryWriter()
        .tag(listValue.number, WireType.LengthDelimited)
        .uint32(values.byteLength - 1)
        .raw(values)
        .finish();
      const bytes = new BinaryWriter().uint32(VALUES).bytes(inner).finish();
      expect(() => finish(read(bytes))).toThrow("ends beyond");
    }
  });

  it("or refused where what stands in a small one claims to be large, and fits only into what is around both", () => {
    const lie = new BinaryWriter().uint32(VALUES).uint32(20_000).finish();
    const small = new BinaryWriter().uint32(LIST).bytes(lie).finish();
    const unknown = new BinaryWriter()
      .tag(99, WireType.LengthDelimited)
      .bytes(new Uint8Array(19_995))
      .finish();
    const bytes = new BinaryWriter().uint32(VALUES).bytes(small).raw(unknown).finish();
    expect(() => finish(read(bytes))).toThrow("ends beyond");
  });

  it(`as deep as ${MAX_DEPTH} and no deeper, large or not`, () => {
    for (const text of ["", "x".repeat(20_000)]) {
      const deep = (depth: number): Uint8Array => {
        let bytes: Uint8Array = new BinaryWriter().tag(3, WireType.LengthDelimited).string(text).finish();
        for (let at = 0; at < depth; at += 1) {
          const tag = at % 2 === 0 ? 1 : 6;
          bytes = new BinaryWriter().tag(tag, WireType.LengthDelimited).bytes(bytes).finish();
        }
        return bytes;
      };
      expect(() => finish(read(deep(MAX_DEPTH - 1)))).not.toThrow();
      expect(() => finish(read(deep(MAX_DEPTH + 1)))).toThrow("deep");
    }
  });
});

it("counts the groups that it knows nothing of among what is nested", () => {
  for (const depth of [MAX_DEPTH - 1, MAX_DEPTH]) {
    const bytes = Uint8Array.from({ length: 2 * depth }, (_, at) => (at < depth ? 0x7b : 0x7c));
    const isRead = attempt(() => fromBinary(ListValueSchema, bytes)) !== undefined;
    expect(isRead).toBe(depth < MAX_DEPTH);
    expect(attempt(() => finish(read(bytes))) !== undefined).toBe(isRead);
  }
});

/** Kinds that `readValue` doesn't read: a number, a boolean, a struct. */
function isOfAnotherKind(bytes: Uint8Array): boolean {
  const text = attempt(() => JSON.stringify(fromBinary(ListValueSchema, bytes)));
  return text !== undefined && /numberValue|boolValue|structValue/.test(text);
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

function finish<T>(work: Interruptible<T>): { readonly value: T; readonly parts: number } {
  for (let parts = 0; ; parts += 1) {
    const next = work.next();
    if (next.done === true) return { value: next.value, parts };
  }
}

function textKind(value: string): Value["kind"] {
  return { case: "stringValue", value };
}

function nested(value: ListValue): Value {
  return create(ValueSchema, { kind: { case: "listValue", value } });
}

function listOf(...values: Value[]): ListValue {
  return create(ListValueSchema, { values });
}
