import type { Duplex } from "node:stream";

const HEADER_BYTES = 5;

/**
 * Looks at the length of every message of PostgreSQL's before `pg` assembles it, and ends the connection when
 * one is longer than any that is wanted: a single value can be a gigabyte, which no limit on rows would see
 * before it is in memory.
 */
export function guardFrames(
  stream: Duplex,
  limit: { readonly maxBytes: number; readonly error: () => Error },
): void {
  let header = Buffer.alloc(0);
  let left = 0;
  // Before the parser's own listener.
  stream.prependListener("data", (chunk: Buffer) => {
    let offset = 0;
    while (offset < chunk.length) {
      if (left > 0) {
        const passed = Math.min(left, chunk.length - offset);
        left -= passed;
        offset += passed;
        continue;
      }
      const wanted = HEADER_BYTES - header.length;
      header = Buffer.concat([header, chunk.subarray(offset, offset + wanted)]);
      offset = Math.min(chunk.length, offset + wanted);
      if (header.length < HEADER_BYTES) return;
      // The length counts itself, not the type before it.
      left = header.readInt32BE(1) - 4;
      header = Buffer.alloc(0);
      if (left > limit.maxBytes) {
        stream.destroy(limit.error());
        return;
      }
    }
  });
}
