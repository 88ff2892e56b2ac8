import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { DescMessage } from "@bufbuild/protobuf";
import { cutOff, MAX_DEPTH, otherType, tooDeep } from "./count-fields.ts";
import type { Interruptible } from "./time-slices.ts";

// As many bytes are read at one go: they can hold eight thousand empty messages, which take a millisecond.
const SLICE_BYTES = 16 * 1024;

/**
 * Reads one field of a message into what is made of that, in one switch over `reader.nextTag()`; what it doesn't know it
 * leaves to `reader.skipOther`. A field that is a message is left to `reader.message`, and may not be there yet when that
 * returns.
 */
export type FieldReader<T> = (reader: MessageReader, target: T) => void;

/**
 * Reads a message by hand, field by field, into `target`: a message that is generated of a schema for each that is read
 * only to be looked at once is most of what reading costs. Fails where the bytes are none, where a field is encoded as
 * another type, or nested too deep. What is large is read in slices.
 */
export function* reading<T>(bytes: Uint8Array, target: T, readField: FieldReader<T>): Interruptible<T> {
  const reader = new MessageReader(bytes);
  let sliceEnd = SLICE_BYTES;
  reader.open(bytes.byteLength, () => readField(reader, target));
  while (reader.step()) {
    if (reader.pos < sliceEnd) continue;
    sliceEnd = reader.pos + SLICE_BYTES;
    yield;
  }
  return target;
}

interface OpenMessage {
  readonly end: number;
  readonly readField: () => void;
}

/** A reader that knows where the message ends that it is in. */
export class MessageReader extends BinaryReader {
  readonly #bytes: Uint8Array;
  // Those that are too large for one go, and the one that is read: only in what is large something large can stand.
  readonly #open: OpenMessage[] = [];
  /** Of the message that is read: nothing in it may end behind it. */
  #end: number;
  #depth = 0;
  #tagAt = 0;

  constructor(bytes: Uint8Array) {
    super(bytes);
    this.#bytes = bytes;
    this.#end = bytes.byteLength;
  }

  /** A field's number and type, as they stand before it: see `varintTag` and `lengthTag`. */
  nextTag(): number {
    this.#tagAt = this.pos;
    const byte = this.#bytes[this.pos];
    // A field with a number up to 15.
    if (byte !== undefined && byte < 0x80) {
      this.pos += 1;
      return byte;
    }
    const [number, type] = this.tag();
    return ((number << 3) | type) >>> 0;
  }

  /** Reads the message that stands here into `target`, at once or, where it is large, with the next steps. */
  message<T>(target: T, readField: FieldReader<T>): void {
    const length = this.uint32();
    const end = this.pos + length;
    const outerEnd = this.#end;
    // Before it is left for later: of one that only claims to be large, what stands around it would be read first.
    if (end > outerEnd) throw cutOff();
    if (length > SLICE_BYTES) return this.open(end, () => readField(this, target));
    this.#deeper();
    this.#end = end;
    while (this.pos < end) readField(this, target);
    if (this.pos > end) throw cutOff();
    this.#end = outerEnd;
    this.#depth -= 1;
  }

  /** A text of whole characters. */
  text(): string {
    return this.string(true);
  }

  /** A signed integer of 64 bits. */
  integer(): bigint {
    const value = this.int64();
    return typeof value === "bigint" ? value : BigInt(value);
  }

  /**
   * Leaves out the field whose tag was read, which this version doesn't know. Fails where it knows the field, and not as
   * what it is here.
   */
  skipOther(schema: DescMessage): void {
    this.pos = this.#tagAt;
    const [number, type] = this.tag();
    if (schema.fields.some((field) => field.number === number)) throw otherType();
    this.skip(type, number, MAX_DEPTH - this.#depth);
  }

  /** Reads the message up to this end, field by field, with the next steps. */
  open(end: number, readField: () => void): void {
    this.#deeper();
    this.#open.push({ end, readField });
    this.#end = end;
  }

  /** Goes on with what is open. Gives whether there was something left. */
  step(): boolean {
    const inner = this.#open.at(-1);
    if (inner === undefined) return false;
    if (this.pos < inner.end) {
      inner.readField();
    } else {
      if (this.pos > inner.end) throw cutOff();
      this.#open.pop();
      this.#end = this.#open.at(-1)?.end ?? 0;
      this.#depth -= 1;
    }
    return true;
  }

  #deeper(): void {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw tooDeep();
  }
}
