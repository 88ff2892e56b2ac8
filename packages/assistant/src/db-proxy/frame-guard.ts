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
  // Of a header of which only a part has come.
  const parted = Buffer.alloc(HEADER_BYTES);
  let have = 0;
  let left = 0;
  // Before the parser's own listener.
  stream.prependListener("data", (chunk: Buffer) => {
    let offset = 0;
    for (;;) {
      const passed = Math.min(left, chunk.length - offset);
      left -= passed;
      offset += passed;
      if (offset === chunk.length) return;
      let header = chunk;
      let at = offset;
      if (have > 0 || chunk.length - offset < HEADER_BYTES) {
        const copied = chunk.copy(parted, have, offset, offset + HEADER_BYTES - have);
        have += copied;
        offset += copied;
        if (have < HEADER_BYTES) return;
        header = parted;
        at = 0;
        have = 0;
      } else {
        offset += HEADER_BYTES;
      }
      // The length counts itself, not the type before it.
      left = header.readInt32BE(at + 1) - 4;
      if (left > limit.maxBytes) {
        stream.destroy(limit.error());
        return;
      }
    }
  });
}
