import { DbProxy } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import {
  HandlerError,
  type HandlerContext,
  type Handlers,
  type Item,
  type ItemAnswer,
  type ItemCall,
  type ItemListener,
  type ItemMethod,
  itemMethod,
  type MessageStream,
  type MessageStreamHandler,
  type MessageStreamReader,
} from "@tandem/rpc";
import type { DbProxyLimits } from "../limits.ts";
import { Answers } from "./answers.ts";
import { readMessage, type ReceivedItem } from "./received-items.ts";

/** Runs many transactions over one stream, each by what answers a call of Transaction. */
export function transactionStream(
  transaction: Handlers<typeof DbProxy>["transaction"],
  limits: DbProxyLimits,
): MessageStreamHandler {
  const method = itemMethod(DbProxy.method.transaction, transaction);
  return { open: (stream, context) => new TransactionStream({ stream, context, method, limits }) };
}

interface OpenItem extends Item {
  readonly id: bigint;
  readonly weight: number;
  /** When it was begun, in milliseconds since 1970. */
  readonly since: number;
}

interface TransactionStreamOptions {
  readonly stream: MessageStream;
  readonly context: HandlerContext;
  readonly method: ItemMethod;
  readonly limits: DbProxyLimits;
}

// To begin, to refuse and to answer one takes some ten microseconds.
const ITEMS_A_TURN = 64;

/**
 * One stream while it is open.
 *
 * States: open → leaving (`go_away` is sent, as it is old or the server drains: what comes is still taken, for it
 * crossed that, unless its caller may not go on) → left (the grace is over: what comes is refused). Whatever the state, the stream ends when every item
 * is answered and no more can come: its caller has half-closed it, it is left, or something has ended it.
 */
class TransactionStream implements MessageStreamReader, ItemListener<OpenItem> {
  readonly #stream: MessageStream;
  readonly #context: HandlerContext;
  readonly #method: ItemMethod;
  readonly #limits: DbProxyLimits;
  readonly #answers: Answers;
  /** Those without an answer, by their ids. No Map, for the same reason as a Roster is no Set. */
  readonly #open: Record<string | number, ItemCall<OpenItem>> = {};
  #openCount = 0;
  /** What came and was not begun, since too much is under way. */
  #behind: ReceivedItem[] = [];
  /** Those whose handlers run, and what they keep in memory. */
  #running = 0;
  #runningBytes = 0;
  #state: "open" | "leaving" | "left" = "open";
  #halfClosed = false;
  #failure: { readonly error: unknown } | undefined;
  /** What it ends with when all is answered, where its caller may not go on. */
  #farewell: { readonly error: unknown } | undefined;
  #paused = false;
  #timer: NodeJS.Timeout;
  /** Set while no more are to be begun in this turn of the loop. */
  #turn: NodeJS.Immediate | undefined;

  constructor({ stream, context, method, limits }: TransactionStreamOptions) {
    this.#stream = stream;
    this.#context = context;
    this.#method = method;
    this.#limits = limits;
    const { maxGatheredBytes, maxHeldMs, maxStreamAgeMs } = limits;
    this.#answers = new Answers(stream, {
      maxGatheredBytes,
      maxHeldMs,
      expected: () => this.#openCount,
      onWritten: () => this.#goOn(),
    });
    // Those that were opened together shall not all be opened anew together.
    const ageMs = maxStreamAgeMs * (0.9 + 0.2 * Math.random());
    this.#timer = setTimeout(this.#leave, ageMs);
    context.draining.addEventListener("abort", this.#leave, { once: true });
    if (context.draining.aborted) this.#leave();
  }

  message(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return;
    const { maxStreamItems: maxItems } = this.#limits;
    // As many bytes can't be of more fields than a request may have: those of several needn't be counted.
    const { maxRequestFields: maxGatheredBytes } = this.#stream.limits;
    try {
      const { items, readsMore } = readMessage(bytes, { maxItems, maxGatheredBytes, now: Date.now() });
      if (readsMore) this.#answers.gathers = true;
      for (const item of items) this.#behind.push(item);
    } catch (error) {
      this.#failure = { error };
    }
    this.#goOn();
  }

  halfClosed(): void {
    this.#halfClosed = true;
    this.#goOn();
  }

  unwelcome(error: unknown): void {
    if (this.#farewell !== undefined) return;
    this.#farewell = { error };
    // What crosses that is refused by itself for a while, so that its caller knows of it.
    this.#leave();
    if (this.#state === "left") this.#failure ??= this.#farewell;
    this.#goOn();
  }

  aborted(): void {
    this.#failure ??= { error: this.#context.signal.reason };
    this.#behind = [];
    this.#goOn();
  }

  closed(): void {
    this.#answers.drop();
    clearTimeout(this.#timer);
    clearImmediate(this.#turn);
    this.#context.draining.removeEventListener("abort", this.#leave);
    this.#behind = [];
  }

  answered(item: OpenItem, answer: ItemAnswer): void {
    // Of two with the same id it's the first that is open.
    const id = keyOf(item.id);
    if (this.#open[id]?.item === item) {
      delete this.#open[id];
      this.#openCount -= 1;
    }
    this.#answers.send({ id: item.id, answer, tookMs: Date.now() - item.since });
  }

  ended({ weight }: OpenItem): void {
    this.#running -= 1;
    this.#runningBytes -= weight;
    this.#goOn();
  }

  /** Begins what can be begun, lets more come or not, and ends the stream where nothing is left of it. */
  #goOn(): void {
    if (this.#behind.length > 0 && this.#turn === undefined) this.#beginSome();
    const paused = this.#behind.length > 0 || this.#isFull();
    if (paused !== this.#paused) this.#stream[paused ? "pause" : "resume"]();
    this.#paused = paused;
    this.#endIfDone();
  }

  /** Begins no more than a few: the rest in the next turn of the loop, which is everybody's. */
  #beginSome(): void {
    let begun = 0;
    while (begun < this.#behind.length && begun < ITEMS_A_TURN && !this.#isFull()) {
      this.#begin(this.#behind[begun]);
      begun += 1;
    }
    this.#behind.splice(0, begun);
    if (begun < ITEMS_A_TURN) return;
    this.#turn = setImmediate(() => {
      this.#turn = undefined;
      this.#goOn();
    });
  }

  #isFull(): boolean {
    const { maxStreamItems, maxStreamRequestBytes, maxUnsentBytes } = this.#limits;
    return (
      this.#running + this.#answers.count >= maxStreamItems ||
      this.#runningBytes >= maxStreamRequestBytes ||
      this.#answers.bytes >= maxUnsentBytes
    );
  }

  #begin(received: ReceivedItem | undefined): void {
    if (received === undefined) return;
    const { id, kind, request, metadata, deadline, weight, flaw } = received;
    const open = this.#open[keyOf(id)];
    // An answer and a cancel may cross: of what isn't open nothing is left to be cancelled.
    if (kind === "cancel" && flaw === undefined) return open?.cancel();
    const refused = open !== undefined ? inUse(id) : (flaw ?? (this.#isClosing() ? moved() : undefined));
    const item = {
      method: this.#method,
      id,
      request,
      metadata,
      deadline,
      refused,
      weight,
      since: Date.now(),
    };
    const call = this.#stream.call<OpenItem>(item, this);
    if (open === undefined) {
      this.#open[keyOf(id)] = call;
      this.#openCount += 1;
    }
    this.#running += 1;
    this.#runningBytes += weight;
    this.#stream.begin(call);
  }

  #isClosing(): boolean {
    return this.#state === "left" || this.#farewell !== undefined;
  }

  readonly #leave = (): void => {
    if (this.#state !== "open") return;
    this.#state = "leaving";
    this.#answers.send("go away");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#state = "left";
      // Whoever goes on all the same isn't listened to for ever.
      this.#failure ??= this.#farewell;
      this.#goOn();
    }, this.#limits.streamGraceMs);
  };

  #endIfDone(): void {
    if (this.#failure === undefined && !this.#halfClosed && this.#state !== "left") return;
    if (this.#openCount > 0 || this.#behind.length > 0 || !this.#answers.isIdle) return;
    const failure = this.#failure ?? this.#farewell;
    if (failure === undefined) this.#stream.end();
    else this.#stream.fail(failure.error);
  }
}

// An object's keys are numbers or texts; those that callers give one after the other cost least as numbers.
function keyOf(id: bigint): string | number {
  return id <= Number.MAX_SAFE_INTEGER ? Number(id) : String(id);
}

// Under its id the first one is answered, too: whoever takes this for that one must not take it for undone.
function inUse(id: bigint): HandlerError {
  const message = `The id ${id} is that of an item without an answer yet: give each its own.`;
  return new HandlerError({ reason: "INVALID_REQUEST", message, outcome: "UNKNOWN" });
}

function moved(): HandlerError {
  const message = "This stream takes no new transactions: send it over another one.";
  return new HandlerError({ reason: "DRAINING", message, retryAfterMs: 0 });
}
