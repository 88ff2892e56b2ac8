import {
  DbProxy,
  TransactionRequestSchema,
  type TransactionResponse,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { BegunCall, type Channel, HandlerError, StatusCode } from "@tandem/rpc";
import { inLightOf } from "../outcomes.ts";
import { createDeadlines, type Deadlines } from "./deadlines.ts";
import type { StreamLimits } from "./limits.ts";
import { MAX_ENTRY_OVERHEAD } from "./messages.ts";
import { StreamSearch } from "./stream-search.ts";
import { type SendOptions, StreamedTransaction } from "./streamed-transaction.ts";
import { TransactionStream, type TransactionStreamEnd } from "./transaction-stream.ts";
import type { TransactionEncoder } from "../wire/encode-transaction.ts";
import type { TransactionRequest } from "../wire/transaction-request.ts";

/** Sends a transaction once. Fails with a HandlerError or a TransportError, in the light of the request's attempt. */
export type SendTransaction = (
  request: TransactionRequest,
  options: SendOptions,
) => Promise<TransactionResponse>;

export interface TransactionStreamsOptions {
  readonly channel: Channel;
  readonly limits: StreamLimits;
  readonly encoder: TransactionEncoder;
  /** Makes the same as a call by itself: where the other side takes no stream, and of what is too large for one. */
  readonly sendAlone: SendTransaction;
}

/** The streams of one client: one to each instance of the owner that they find. */
export class TransactionStreams {
  readonly #channel: Channel;
  readonly #limits: StreamLimits;
  readonly #encoder: TransactionEncoder;
  readonly #sendAlone: SendTransaction;
  readonly #maxBytes: number;
  readonly #open: Deadlines<StreamedTransaction>;
  /** Those that take transactions. */
  #streams: TransactionStream[] = [];
  /** One that may lead where none of them does: transactions go over it once that is known. */
  #candidate: TransactionStream | undefined;
  readonly #search: StreamSearch;
  #turn = 0;
  #aloneUntil = 0;
  #usedAt = 0;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor({ channel, limits, encoder, sendAlone }: TransactionStreamsOptions) {
    // What is around a request counts as well at the other side; each field takes a byte at least.
    const mostBytes = Math.min(channel.limits.maxRequestBytes, channel.limits.maxRequestFields);
    this.#maxBytes = mostBytes - MAX_ENTRY_OVERHEAD;
    this.#channel = channel;
    this.#limits = { ...limits, maxGatheredBytes: Math.min(limits.maxGatheredBytes, mostBytes) };
    this.#search = new StreamSearch(limits);
    this.#encoder = encoder;
    this.#sendAlone = sendAlone;
    this.#open = createDeadlines((transaction) => {
      const { call } = transaction;
      transaction.giveUp(call.error(StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the answer"));
    });
  }

  readonly send: SendTransaction = (request, options) => {
    const now = Date.now();
    if (now < this.#aloneUntil || this.#channel.closed) return this.#sendAlone(request, options);
    this.#usedAt = now;
    return new Promise((resolve, reject) => {
      const call = new BegunCall(this.#channel, DbProxy.method.transaction, options);
      const bytes = call.encodeBy(TransactionRequestSchema, () => this.#encoder.encode(request));
      if (bytes.byteLength > this.#maxBytes) return resolve(this.#sendAlone(request, options));
      const transaction = new StreamedTransaction({
        call,
        request,
        options,
        bytes,
        resolve,
        reject,
        move: this.#move,
        onSettled: this.#onSettled,
      });
      this.#open.add(transaction);
      this.#place(transaction);
    });
  };

  /** Ends the streams, each when what is on it is answered. */
  leave(): void {
    for (const stream of [...this.#streams, this.#candidate]) if (stream !== undefined) this.#retire(stream);
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
  }

  /** Once: another stream that takes no more either says something of the owner, and its caller is to know. */
  readonly #move = (transaction: StreamedTransaction): boolean => {
    if (transaction.hasMoved) return false;
    transaction.hasMoved = true;
    this.#place(transaction);
    return true;
  };

  readonly #onSettled = (transaction: StreamedTransaction): void => this.#open.delete(transaction);

  #place(transaction: StreamedTransaction): void {
    try {
      this.#choose().send(transaction);
    } catch {
      // The channel is closed: a call by itself fails in the words for that.
      this.#makeAlone(transaction);
    }
  }

  /** The stream with the least on it; those with as much take turns. */
  #choose(): TransactionStream {
    const authorization = this.#channel.authorization();
    for (const stream of this.#streams) {
      // It was opened with a token that is not the channel's any more.
      if (stream.isConnected && stream.authorization !== authorization) this.#retire(stream);
    }
    const newest = this.#streams.at(-1);
    if (newest === undefined) return this.#openFirst();
    if (newest.peer !== undefined) this.#lookForMore();
    this.#turn += 1;
    let chosen: TransactionStream | undefined;
    for (let index = 0; index < this.#streams.length; index += 1) {
      const stream = this.#streams[(this.#turn + index) % this.#streams.length];
      if (stream !== undefined && (chosen === undefined || stream.load < chosen.load)) chosen = stream;
    }
    return chosen ?? newest;
  }

  #openFirst(): TransactionStream {
    const stream = this.#openStream();
    this.#streams.push(stream);
    this.#idleTimer ??= this.#watchIdle(this.#limits.idleMs);
    return stream;
  }

  #lookForMore(): void {
    if (this.#candidate !== undefined || this.#streams.length >= this.#limits.maxStreams) return;
    if (this.#search.isDue(Date.now())) this.#candidate = this.#openStream();
  }

  #openStream(): TransactionStream {
    return new TransactionStream(this.#channel, this.#limits, {
      onTaken: (stream) => this.#onTaken(stream),
      onLeaving: (stream, unwritten) => {
        this.#retire(stream);
        for (const transaction of unwritten) this.#place(transaction);
      },
      onEnd: (stream, end) => this.#onEnd(stream, end),
    });
  }

  #onTaken(stream: TransactionStream): void {
    if (stream !== this.#candidate) return;
    if (this.#streams.some(({ peer }) => peer === stream.peer)) {
      this.#retire(stream);
    } else {
      this.#candidate = undefined;
      this.#streams.push(stream);
      this.#search.beginAnew();
    }
  }

  /** It takes no more transactions. */
  #retire(stream: TransactionStream): void {
    if (stream === this.#candidate) {
      this.#candidate = undefined;
      this.#search.waitLonger(Date.now());
    } else if (this.#streams.includes(stream)) {
      this.#streams = this.#streams.filter((other) => other !== stream);
      this.#search.beginAnew();
    } else {
      return;
    }
    stream.leave();
  }

  #onEnd(stream: TransactionStream, end: TransactionStreamEnd): void {
    this.#retire(stream);
    const { taken, code, written, unwritten } = end;
    if (!taken && refusesStreams.has(code)) {
      // One of several instances may be older than the others.
      if (this.#streams.length === 0) this.#aloneUntil = Date.now() + this.#limits.withoutMs;
      for (const transaction of [...written, ...unwritten]) this.#makeAlone(transaction);
      return;
    }
    for (const transaction of written) transaction.fail(failureOf(transaction, end));
    for (const transaction of unwritten) {
      // It has nothing to do with a stream that others were on before it.
      if (taken) this.#place(transaction);
      else transaction.fail(failureOf(transaction, end));
    }
  }

  #makeAlone(transaction: StreamedTransaction): void {
    const { call, request, options } = transaction;
    call.sent = "no";
    transaction.becomes(this.#sendAlone(request, { ...options, deadline: new Date(call.deadline) }));
  }

  #watchIdle(afterMs: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#idleTimer = undefined;
      if (this.#streams.length === 0) return;
      const idleMs = this.#open.size > 0 ? 0 : Date.now() - this.#usedAt;
      if (idleMs >= this.#limits.idleMs) this.leave();
      else this.#idleTimer = this.#watchIdle(this.#limits.idleMs - idleMs);
    }, afterMs).unref();
  }
}

/**
 * What ended a stream that was taken is no word on a transaction that was on it: it may have been run before, also
 * where the reason is one that a call is refused with before it is read. Of sends before that it is never one.
 */
function failureOf(transaction: StreamedTransaction, end: TransactionStreamEnd): unknown {
  const { attempt } = transaction.request;
  const error = end.failure(transaction);
  if (!end.taken && attempt === 0) return inLightOf(attempt, error);
  return error instanceof HandlerError ? error.withOutcome("UNKNOWN") : error;
}

// An owner that is older than the stream, or whose rules let its callers make single calls alone.
const refusesStreams: ReadonlySet<StatusCode> = new Set([
  StatusCode.UNIMPLEMENTED,
  StatusCode.PERMISSION_DENIED,
]);
