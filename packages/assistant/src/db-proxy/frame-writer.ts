import type { Bound } from "./values/encode-param.ts";

const FIRST_BYTES = 4 * 1024;
// What is larger is not kept for the next ones.
const KEPT_BYTES = 64 * 1024;
// As many bytes as UTF-8 needs at most for what counts as one in a string's length.
const MAX_BYTES_EACH = 3;
const EXACT_FROM_LENGTH = 4 * 1024;

const TEXT = 0;
const BINARY = 1;
const UNNAMED_PORTAL = 0;
const EXECUTE_BYTES = 10;

/** Messages to PostgreSQL, one behind the other in one piece, which one connection makes of one flush at a time. */
export class FrameWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #at = 0;

  /** Messages as they are. */
  add(messages: Buffer): void {
    this.#reserve(messages.length);
    this.#at += messages.copy(this.#bytes, this.#at);
  }

  /** Bind and Execute: runs a prepared statement, and gives no more rows than these where it is said. */
  run(statement: string, values: readonly Bound[], maxRows = 0): void {
    const start = this.#begin("B");
    this.#bytes[this.#at++] = UNNAMED_PORTAL;
    this.#string(statement);
    this.#reserve(values.length * 2);
    this.#bytes[this.#at++] = 0;
    this.#int16(values.length);
    for (const value of values) this.#int16(Buffer.isBuffer(value) ? BINARY : TEXT);
    this.#int16(values.length);
    for (const value of values) this.#value(value);
    this.#reserve(4 + EXECUTE_BYTES);
    // All columns as text.
    this.#int16(1);
    this.#int16(TEXT);
    this.#end(start);
    const execute = this.#begin("E");
    this.#bytes[this.#at++] = UNNAMED_PORTAL;
    this.#at = this.#bytes.writeInt32BE(maxRows, this.#at);
    this.#end(execute);
  }

  /** All of it, and begins anew. */
  take(): Buffer {
    const written = this.#bytes.subarray(0, this.#at);
    this.#at = 0;
    if (this.#bytes.length <= KEPT_BYTES) return Buffer.from(written);
    this.#bytes = Buffer.allocUnsafe(FIRST_BYTES);
    return written;
  }

  #begin(type: string): number {
    this.#bytes[this.#at] = type.charCodeAt(0);
    this.#at += 5;
    return this.#at - 4;
  }

  /** The length counts itself, not the type before it. */
  #end(start: number): void {
    this.#bytes.writeInt32BE(this.#at - start, start);
  }

  #value(value: Bound): void {
    if (value === null) {
      this.#reserve(4);
      this.#at = this.#bytes.writeInt32BE(-1, this.#at);
    } else if (typeof value === "string") {
      this.#reserve(4);
      const start = this.#at;
      this.#at += 4;
      this.#string(value);
      this.#bytes.writeInt32BE(this.#at - start - 4, start);
    } else {
      this.#reserve(4);
      this.#at = this.#bytes.writeInt32BE(value.length, this.#at);
      this.add(value);
    }
  }

  #string(text: string): void {
    const { length } = text;
    this.#reserve(length < EXACT_FROM_LENGTH ? length * MAX_BYTES_EACH : Buffer.byteLength(text));
    this.#at += this.#bytes.write(text, this.#at, "utf8");
  }

  #int16(value: number): void {
    this.#at = this.#bytes.writeUInt16BE(value, this.#at);
  }

  /** Room for as many bytes, and for a little more: what is of a fixed length, and begins the next message. */
  #reserve(bytes: number): void {
    const needed = this.#at + bytes + 32;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}
