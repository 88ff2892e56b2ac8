import { DbProxy, TransactionStreamResponseSchema } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  type Channel,
  type HandlerError,
  type CallStream,
  type CallStreamEnd,
  openCallStream,
  StatusCode,
  type TransportError,
} from "@tandem/rpc";
import type { StreamLimits } from "./limits.ts";
import {
  EntryWriter,
  MAX_ENTRY_OVERHEAD,
  readAnswers,
  type StreamAnswer,
  type StreamEntry,
} from "./messages.ts";
import type { StreamedTransaction } from "./streamed-transaction.ts";

/** What whoever has a stream hears of it. None of these may throw. */
export interface TransactionStreamListener {
  /** The other side took it: its `peer` is known. */
  onTaken(stream: TransactionStream): void;
  /** It takes no more: the other side asked for it, and these were not written yet. */
  onLeaving(stream: TransactionStream, unwritten: readonly StreamedTransaction[]): void;
  /** It is over. `written` may have arrived, as `end` says; of the others nothing has left. */
  onEnd(stream: TransactionStream, end: TransactionStreamEnd): void;
}

export interface TransactionStreamEnd {
  readonly code: StatusCode;
  /** Whether the other side took the stream. What it has not taken it has not read. */
  readonly taken: boolean;
  readonly written: readonly StreamedTransaction[];
  readonly unwritten: readonly StreamedTransaction[];
  /** What the end is for a transaction that was on it, as if its own call had ended so. */
  failure(transaction: StreamedTransaction): HandlerError | TransportError;
}

/**
 * One stream of transactions to one instance of the owner.
 *
 * States: *connecting*, where nothing is written, since what was written can't be taken back; *open*; *closed*, where
 * this side has said all and waits for the other to end it; *ended*. A stream that is leaving takes no more
 * transactions: it goes from connecting straight to its end, from open to closed, as soon as the last of them is answered.
 */
export class TransactionStream {
  /** The address of the instance that took it. */
  peer: string | undefined;
  /** What it was opened with, and all that is on it goes by. */
  authorization: string | undefined;
  readonly #stream: CallStream;
  readonly #limits: StreamLimits;
  readonly #listener: TransactionStreamListener;
  /**
   * By their ids, which follow each other; those above the last one written wait. No Map: one that is added to and deleted
   * from all the time leaves behind it tables that keep each other, and all that was in them, from the collector of what is
   * young.
   */
  readonly #transactions: Record<number, StreamedTransaction> = {};
  #load = 0;
  #lastId = 0;
  #lastWritten = 0;
  readonly #writer = new EntryWriter();
  readonly #cancels: number[] = [];
  /** It takes no more transactions. */
  isLeaving = false;
  #state: "connecting" | "open" | "closed" | "ended" = "connecting";
  #isWriting = false;
  #isScheduled = false;
  #ending: NodeJS.Timeout | undefined;
  #malformed: unknown;

  /** Fails with a TransportError where the channel is closed. */
  constructor(channel: Channel, limits: StreamLimits, listener: TransactionStreamListener) {
    this.#limits = limits;
    this.#listener = listener;
    this.#stream = openCallStream(channel, DbProxy.method.transactionStream, {
      onConnected: () => {
        this.authorization = channel.authorization();
        if (this.#state === "connecting") this.#state = "open";
        this.#schedule();
        // grpc-js opens its own stream only after this.
        setImmediate(() => this.#releaseWhenEmpty());
      },
      onTaken: (peer) => {
        this.peer = peer;
        this.#releaseWhenEmpty();
        listener.onTaken(this);
      },
      onMessage: (message) => this.#read(message),
      onEnd: (end) => this.#end(end),
    });
  }

  /** How many transactions are on it. */
  get load(): number {
    return this.#load;
  }

  /** Whether it is known by now what it was opened with. */
  get isConnected(): boolean {
    return this.#state !== "connecting";
  }

  send(transaction: StreamedTransaction): void {
    transaction.stream = this;
    // Also where it had one on another stream: that is somebody else's here.
    transaction.id = ++this.#lastId;
    this.#transactions[transaction.id] = transaction;
    this.#load += 1;
    this.#schedule();
  }

  /** Nobody waits for its answer any more. */
  forget(transaction: StreamedTransaction): void {
    const { id } = transaction;
    if (!this.#take(id)) return;
    if (id <= this.#lastWritten) {
      this.#cancels.push(id);
      this.#schedule();
    }
    if (this.load === 0) this.#becameEmpty();
  }

  /** Takes no more, and ends when what is on it is answered. */
  leave(): void {
    this.isLeaving = true;
    if (this.load === 0) this.#becameEmpty();
  }

  // At the end of what runs now, so that callers who were answered together ask together.
  #schedule(): void {
    if (this.#isScheduled || this.#isWriting || this.#state !== "open") return;
    this.#isScheduled = true;
    process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isScheduled = false;
    if (this.#isWriting || this.#state !== "open") return;
    const entries = this.#gather();
    if (entries.length === 0) return this.#closeWhenDone();
    this.#isWriting = true;
    this.#stream.write(this.#writer.encode(entries), this.#onWritten);
  };

  readonly #onWritten = (): void => {
    this.#isWriting = false;
    this.#flush();
  };

  #gather(): StreamEntry[] {
    const { maxGatheredBytes } = this.#limits;
    const cancels = this.#cancels.splice(0, Math.ceil(maxGatheredBytes / MAX_ENTRY_OVERHEAD));
    const entries: StreamEntry[] = cancels.map((id) => ({ id, cancel: true }));
    let bytes = entries.length * MAX_ENTRY_OVERHEAD;
    const now = Date.now();
    for (; this.#lastWritten < this.#lastId; this.#lastWritten += 1) {
      const transaction = this.#transactions[this.#lastWritten + 1];
      // Nobody waits for it any more.
      if (transaction === undefined) continue;
      bytes += transaction.bytes.byteLength + MAX_ENTRY_OVERHEAD;
      if (bytes > maxGatheredBytes && entries.length > 0) break;
      transaction.call.sent = "maybe";
      entries.push(toEntry(transaction, now));
    }
    return entries;
  }

  /** It is no more among them. Gives nothing where it wasn't. */
  #take(id: number): StreamedTransaction | undefined {
    const transaction = this.#transactions[id];
    if (transaction === undefined) return undefined;
    delete this.#transactions[id];
    this.#load -= 1;
    return transaction;
  }

  /** In their order. */
  #takeAll(which: (id: number) => boolean): StreamedTransaction[] {
    const taken = Object.values(this.#transactions).filter(({ id }) => which(id));
    for (const { id } of taken) this.#take(id);
    return taken;
  }

  #read(message: Buffer): void {
    let answers: readonly StreamAnswer[];
    try {
      answers = readAnswers(message);
    } catch (error) {
      this.#malformed = error;
      return this.#stream.cancel();
    }
    for (const answer of answers) {
      if (answer.kind === "go away") this.#goAway();
      else this.#settle(answer);
    }
  }

  #settle({ kind, id, bytes }: Exclude<StreamAnswer, { kind: "go away" }>): void {
    const transaction = id > this.#lastWritten ? undefined : this.#take(id);
    // One that nobody waits for any more, or whose cancellation crossed its answer.
    if (transaction === undefined) return;
    if (kind === "response") transaction.answer(bytes);
    else transaction.refuse(bytes);
    if (this.load === 0) this.#becameEmpty();
  }

  #goAway(): void {
    const unwritten = this.#takeAll((id) => id > this.#lastWritten);
    this.leave();
    this.#listener.onLeaving(this, unwritten);
  }

  #releaseWhenEmpty(): void {
    if (this.load === 0) this.#stream.unref();
  }

  #becameEmpty(): void {
    this.#stream.unref();
    if (this.isLeaving) this.#closeWhenDone();
  }

  #closeWhenDone(): void {
    if (!this.isLeaving || this.load > 0 || this.#isWriting || this.#cancels.length > 0) return;
    if (this.#state === "connecting") return this.#stream.cancel();
    if (this.#state !== "open") return;
    this.#state = "closed";
    this.#stream.end();
    // An owner that leaves it open has nothing more to say on it.
    this.#ending = setTimeout(() => this.#stream.cancel(), this.#limits.idleMs).unref();
  }

  #end(end: CallStreamEnd): void {
    this.#state = "ended";
    clearTimeout(this.#ending);
    const written = this.#takeAll((id) => id <= this.#lastWritten);
    const unwritten = this.#takeAll((id) => id > this.#lastWritten);
    const { error, sent, taken } = end;
    const failure = ({ call }: StreamedTransaction): HandlerError | TransportError => {
      if (sent === "no") call.sent = "no";
      if (this.#malformed !== undefined)
        return call.error(StatusCode.INTERNAL, NOT_AN_ANSWER, this.#malformed);
      if (error.code === StatusCode.OK) return call.error(StatusCode.UNAVAILABLE, error.message, error);
      return call.fromEnd(error);
    };
    this.#listener.onEnd(this, { code: error.code, taken, written, unwritten, failure });
  }
}

function toEntry({ id, call, bytes, deadline }: StreamedTransaction, now: number): StreamEntry {
  return { id, request: bytes, timeoutMs: deadline - now, callId: call.callId };
}

const NOT_AN_ANSWER = `the answer is not a ${TransactionStreamResponseSchema.typeName}`;
