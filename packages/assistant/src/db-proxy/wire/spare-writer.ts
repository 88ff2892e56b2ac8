import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { Interruptible } from "@tandem/rpc";

// The memory of a larger one isn't kept.
const MAX_KEPT_BYTES = 64 * 1024;

/**
 * Writes messages one after the other into the same memory. To ask for some of its own was most of what it took to write
 * a small one.
 */
export class SpareWriter {
  #spare: BinaryWriter | undefined = new BinaryWriter();

  write(work: (writer: BinaryWriter) => void): Uint8Array {
    const writer = this.#take();
    work(writer);
    return this.#finish(writer);
  }

  /** What is worked on in slices keeps the memory to itself: others find their own meanwhile. */
  *writing(work: (writer: BinaryWriter) => Interruptible<void>): Interruptible<Uint8Array> {
    const writer = this.#take();
    yield* work(writer);
    return this.#finish(writer);
  }

  // What was written of one that failed doesn't come back, to stand before the next.
  #take(): BinaryWriter {
    const writer = this.#spare ?? new BinaryWriter();
    this.#spare = undefined;
    return writer;
  }

  #finish(writer: BinaryWriter): Uint8Array {
    const bytes = writer.finish();
    this.#spare = bytes.byteLength > MAX_KEPT_BYTES ? undefined : writer;
    return bytes;
  }
}
