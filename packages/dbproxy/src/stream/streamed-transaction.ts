import { fromBinary } from "@bufbuild/protobuf";
import { StatusSchema } from "@tandem/contract/google/rpc/status";
import {
  type TransactionResponse,
  TransactionResponseSchema,
} from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type BegunCall, type CallOptions, HandlerError, StatusCode } from "@tandem/rpc";
import { inLightOf } from "../outcomes.ts";
import type { TransactionRequest } from "../wire/transaction-request.ts";
import type { TransactionStream } from "./transaction-stream.ts";

/** What may be said of one send of a transaction. */
export type SendOptions = Pick<CallOptions, "deadline" | "signal" | "context">;

export interface StreamedTransactionOptions {
  readonly call: BegunCall;
  readonly request: TransactionRequest;
  readonly options: SendOptions;
  /** The request, encoded. */
  readonly bytes: Buffer;
  readonly resolve: (response: TransactionResponse) => void;
  readonly reject: (error: unknown) => void;
  /** Whether it may go over another stream: it was refused on one that takes no more, and has not moved yet. */
  readonly move: (transaction: StreamedTransaction) => boolean;
  /** Called once, before the caller hears. */
  readonly onSettled: (transaction: StreamedTransaction) => void;
}

/** One send of a transaction that goes over a stream: it is settled once, and what comes later is dropped. */
export class StreamedTransaction {
  readonly call: BegunCall;
  readonly bytes: Buffer;
  readonly deadline: number;
  readonly request: TransactionRequest;
  readonly options: SendOptions;
  /** Where it is, and under which id. */
  stream: TransactionStream | undefined;
  id = 0;
  /** Among the deadlines. */
  place = -1;
  /** Whether it was on a stream that refused it as it takes no more. */
  hasMoved = false;
  #settled = false;
  readonly #to: Pick<StreamedTransactionOptions, "resolve" | "reject" | "move" | "onSettled">;

  constructor(options: StreamedTransactionOptions) {
    this.call = options.call;
    this.bytes = options.bytes;
    this.deadline = options.call.deadline;
    this.request = options.request;
    this.options = options.options;
    this.#to = options;
    this.call.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  readonly #onAbort = (): void => this.giveUp(this.call.cancelled());

  /** Its caller doesn't wait any more: whoever runs it is told so. */
  giveUp(error: unknown): void {
    if (this.#settled) return;
    this.stream?.forget(this);
    this.fail(error);
  }

  answer(bytes: Uint8Array): void {
    try {
      const response = this.call.decode(TransactionResponseSchema, bytes);
      if (this.#settle()) this.#to.resolve(response);
    } catch (error) {
      this.fail(error);
    }
  }

  /** The other side answered with a failure: a google.rpc.Status. */
  refuse(bytes: Uint8Array): void {
    try {
      const { attempt } = this.request;
      const failure = inLightOf(attempt, this.call.fromAnswer(fromBinary(StatusSchema, bytes)));
      if (isOfItsStream(failure, attempt) && this.stream?.isLeaving === true && this.#to.move(this)) return;
      this.fail(failure);
    } catch (cause) {
      this.fail(this.call.error(StatusCode.INTERNAL, "the answer is not a google.rpc.Status", cause));
    }
  }

  fail(error: unknown): void {
    if (this.#settle()) this.#to.reject(error);
  }

  /** Another way is found for it: it is settled as that is. */
  becomes(response: Promise<TransactionResponse>): void {
    if (this.#settle()) response.then(this.#to.resolve, this.#to.reject);
  }

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.call.signal?.removeEventListener("abort", this.#onAbort);
    this.#to.onSettled(this);
    return true;
  }
}

/**
 * Whether a transaction was refused for the stream that it came over: it crossed the word that this takes no more, or the
 * other side doesn't know the connection's certificate any more. A call by itself is then refused unseen, and grpc-js
 * sends it over another connection.
 */
function isOfItsStream(failure: unknown, attempt: number): boolean {
  if (!(failure instanceof HandlerError)) return false;
  const { reason, outcome } = failure;
  // What may have run there, as one that was ended by force, goes on as a copy: whoever sends it again counts it.
  const isCounted = attempt > 0 || outcome === "NOT_COMMITTED";
  return isCounted && (reason === "DRAINING" || reason === "UNAUTHENTICATED");
}
