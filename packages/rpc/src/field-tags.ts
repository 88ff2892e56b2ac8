import type { DescField } from "@bufbuild/protobuf";
import { type BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** A field as it stands before its value, of one whose value is a varint: a number, an enum or a boolean. */
export function varintTag({ number }: DescField): number {
  return (number << 3) | WireType.Varint;
}

/** The same of a field with a length: a text, bytes or a message. */
export function lengthTag({ number }: DescField): number {
  return (number << 3) | WireType.LengthDelimited;
}

/** The same of a double. */
export function doubleTag({ number }: DescField): number {
  return (number << 3) | WireType.Bit64;
}

/** Writes a signed integer of 64 bits; one that isn't negative and has 32 is written in fewer steps, to the same bytes. */
export function writeInt64(writer: BinaryWriter, tag: number, value: bigint | number): void {
  writer.uint32(tag);
  if (value >= 0 && value <= MAX_UINT32) writer.uint32(Number(value));
  else writer.int64(value);
}

const MAX_UINT32 = 2 ** 32 - 1;
