const HEADER_BYTES = 5;

/** A message of PostgreSQL's: its type, and where its content stands in a chunk that is only good for now. */
export type OnMessage = (type: number, bytes: Buffer, start: number, end: number) => void;

export interface FrameListener {
  readonly onMessage: OnMessage;
  /** A message begins that is longer than any that is wanted, or shorter than any can be: nothing is read any more. */
  readonly onRefused: () => void;
}

/**
 * Finds PostgreSQL's messages in what comes over the wire, however that is cut into chunks. The length of each is looked
 * at before it is in memory: a single value can be a gigabyte, which no limit on rows would see before.
 */
export class FrameReader {
  readonly #listener: FrameListener;
  readonly #maxBytes: number;
  #refused = false;
  /** Of a message of which only a part has come, and how many bytes have come and have to come before more can be said. */
  #parts: Buffer[] = [];
  #have = 0;
  #need = 0;

  /** `maxBytes`: of a message's content. */
  constructor(maxBytes: number, listener: FrameListener) {
    this.#maxBytes = maxBytes;
    this.#listener = listener;
  }

  read(chunk: Buffer): void {
    if (this.#refused) return;
    const bytes = this.#parts.length === 0 ? chunk : this.#join(chunk);
    if (bytes === undefined) return;
    let at = 0;
    let need = HEADER_BYTES;
    while (bytes.length - at >= HEADER_BYTES) {
      // The length counts itself, not the type before it.
      need = 1 + bytes.readUInt32BE(at + 1);
      if (need < HEADER_BYTES || need - HEADER_BYTES > this.#maxBytes) return this.#refuse();
      if (bytes.length - at < need) break;
      this.#listener.onMessage(bytes[at] ?? 0, bytes, at + HEADER_BYTES, at + need);
      at += need;
      need = HEADER_BYTES;
    }
    if (at === bytes.length) return;
    this.#parts = [bytes.subarray(at)];
    this.#have = bytes.length - at;
    this.#need = need;
  }

  #refuse(): void {
    this.#refused = true;
    this.#listener.onRefused();
  }

  #join(chunk: Buffer): Buffer | undefined {
    this.#parts.push(chunk);
    this.#have += chunk.length;
    if (this.#have < this.#need) return undefined;
    const bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    return bytes;
  }
}
