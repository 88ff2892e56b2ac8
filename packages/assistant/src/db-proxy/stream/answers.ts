import { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { ItemAnswer, MessageStream } from "@tandem/rpc";

/** What goes out on a stream: an item's answer under its id, or that it takes no new items. */
type Outgoing =
  | {
      readonly id: bigint;
      readonly answer: ItemAnswer;
      /** How long its caller has waited by now. */
      readonly tookMs?: number;
    }
  | "go away";

export interface AnswersOptions {
  /** How many more are to come of what runs now. */
  readonly expected: () => number;
  /** For so long an answer waits for others at most, where many are expected. */
  readonly maxHeldMs: number;
  /** Answers go out together up to this size. */
  readonly maxGatheredBytes: number;
  /** Called whenever some have gone out. */
  readonly onWritten: () => void;
}

// A message costs either side as much as a small transaction. Where so many more are expected for each that waits, it
// waits a moment for some of them; whoever has few under way isn't kept waiting.
const EXPECTED_FOR_ONE = 8;

// No answer waits for more than this part of what it took without that: one that was quick beside slow ones goes at once.
const HELD_PART = 1 / 8;

// A timer waits a millisecond at least, which is too far from less than that.
const MIN_HELD_MS = 0.5;

/**
 * The answers of a stream on their way out, in the order in which they come. While a message is being written, or many
 * more are expected, they wait, and then go out together, if the caller reads more than one in a message.
 */
export class Answers {
  /** Whether the caller takes several in one message. */
  gathers = false;
  readonly #stream: MessageStream;
  readonly #options: AnswersOptions;
  readonly #waiting: Outgoing[] = [];
  #waitingBytes = 0;
  #writing = false;
  #held: NodeJS.Timeout | undefined;

  constructor(stream: MessageStream, options: AnswersOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  get count(): number {
    return this.#waiting.length;
  }

  get bytes(): number {
    return this.#waitingBytes;
  }

  /** Whether all of them are on their way. */
  get isIdle(): boolean {
    return !this.#writing && this.#waiting.length === 0;
  }

  send(outgoing: Outgoing): void {
    this.#waiting.push(outgoing);
    this.#waitingBytes += sizeOf(outgoing);
    if (outgoing === "go away") this.#write();
    else this.#writeOrHold(outgoing);
  }

  /** Nobody is left to write to. */
  drop(): void {
    clearTimeout(this.#held);
  }

  #writeOrHold(latest: Outgoing | undefined): void {
    const { expected, maxHeldMs } = this.#options;
    const isForCompany = this.gathers && this.#waiting.length * EXPECTED_FOR_ONE < expected();
    const heldMs = isForCompany ? Math.min(maxHeldMs, tookMsOf(latest) * HELD_PART) : 0;
    if (this.#writing || heldMs < MIN_HELD_MS) return this.#write();
    this.#held ??= setTimeout(this.#write, heldMs);
  }

  readonly #write = (): void => {
    const [first] = this.#waiting;
    if (this.#writing || first === undefined) return;
    clearTimeout(this.#held);
    this.#held = undefined;
    let bytes = sizeOf(first);
    let count = 1;
    while (this.gathers && count < this.#waiting.length) {
      const next = sizeOf(this.#waiting[count]);
      if (bytes + next > this.#options.maxGatheredBytes) break;
      bytes += next;
      count += 1;
    }
    const message = encode(this.#waiting.splice(0, count));
    this.#waitingBytes -= bytes;
    this.#writing = true;
    this.#stream.write(message, this.#written);
  };

  readonly #written = (): void => {
    this.#writing = false;
    if (this.#waiting.length > 0) this.#writeOrHold(this.#waiting[0]);
    this.#options.onWritten();
  };
}

function sizeOf(outgoing: Outgoing | undefined): number {
  return typeof outgoing === "object" ? outgoing.answer.bytes.byteLength : 0;
}

function tookMsOf(outgoing: Outgoing | undefined): number {
  return typeof outgoing === "object" ? (outgoing.tookMs ?? Infinity) : 0;
}

/** As one TransactionStreamResponse: the first of them, with the others in `more`. */
function encode([first, ...others]: readonly Outgoing[]): Uint8Array {
  const writer = new BinaryWriter();
  if (first !== undefined) write(first, writer);
  for (const other of others) {
    writer.uint32(TAG.more).fork();
    write(other, writer);
    writer.join();
  }
  return writer.finish();
}

function write(outgoing: Outgoing, writer: BinaryWriter): void {
  if (outgoing === "go away") {
    writer.uint32(TAG.goAway).bool(true);
    return;
  }
  const { id, answer } = outgoing;
  writer.uint32(TAG.id).uint64(id);
  writer.uint32(TAG[answer.kind]).bytes(answer.bytes);
}

// Number and type of each field: https://protobuf.dev/programming-guides/encoding/#structure
const TAG = {
  id: (1 << 3) | 0,
  response: (2 << 3) | 2,
  error: (3 << 3) | 2,
  goAway: (4 << 3) | 0,
  more: (5 << 3) | 2,
} as const;
