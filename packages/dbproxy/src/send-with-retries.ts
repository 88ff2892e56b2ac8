import { setTimeout as delay } from "node:timers/promises";
import type { DbProxy as DbProxyService } from "@tandem/contract/tandem/assistant/v1/db_proxy";
import { type CallOptions, type Channel, type Client, TransportError } from "@tandem/rpc";
import type { CallBounds } from "./call-bounds.ts";
import type { DbProxyLimits } from "./limits.ts";
import { type CallError, canGetBetter, isCallError, retryDelayMs } from "./retry.ts";
import type { RetryBudget } from "./retry-budget.ts";
import type { SendTransaction } from "./stream/transaction-streams.ts";

/** The owner of the database, as all calls of one client reach it. */
export interface Owner {
  readonly client: Client<typeof DbProxyService>;
  /** Sends a transaction once. */
  readonly send: SendTransaction;
  readonly channel: Channel;
  readonly limits: DbProxyLimits;
  readonly budget: RetryBudget;
  /** Says of a failure that its caller waits it out, and not this client. */
  readonly isCallersOwn: (error: CallError) => boolean;
  /** Aborted when the client is closed, so that nobody waits for a retry that can't be sent. */
  readonly closing: AbortSignal;
}

export interface RetryOptions {
  readonly bounds: CallBounds;
  /** When each send of it ends, where that is before the call does. */
  readonly until?: number;
  readonly maxRetries?: number;
  /** Says of a failure that the retry after it doesn't count: until there is no time left. */
  readonly isFree?: (error: CallError) => boolean;
  /** Hears of every failure before the next send; says whether a further one is worth it. */
  readonly isWorthIt?: (error: CallError) => boolean;
}

/**
 * Sends until it succeeds, or fails with the last send's error: the failure can't get better, or the retries,
 * the time or the client's budget are used up, or nobody waits any more.
 */
export async function sendWithRetries<T>(
  { limits, budget, channel, closing, isCallersOwn }: Owner,
  options: RetryOptions,
  send: (options: CallOptions) => Promise<T>,
): Promise<T> {
  const { bounds, until = bounds.deadline, maxRetries = limits.maxRetries } = options;
  const { isWorthIt = canGetBetter, isFree = () => false } = options;
  let retries = 0;
  for (let failures = 1; ; failures += 1) {
    try {
      return await send(bounds.toCallOptions(until));
    } catch (error) {
      if (!isCallError(error) || !isWorthIt(error) || isCallersOwn(error)) throw error;
      if (!isFree(error)) retries += 1;
      const delayMs = retryDelayMs(error, failures, { limits });
      const over = channel.closed || bounds.signal?.aborted === true || Date.now() + delayMs >= until;
      if (over || retries > maxRetries) throw error;
      // What nobody was there to take is no burden to anybody.
      const unsent = error instanceof TransportError && error.sent === "no";
      if (!unsent && !budget.spend()) throw error;
      await pause(delayMs, [bounds.signal, closing]);
    }
  }
}

// An abort only ends the wait: the next send is then not made, and fails with the words for it.
async function pause(delayMs: number, signals: readonly (AbortSignal | undefined)[]): Promise<void> {
  const signal = AbortSignal.any(signals.filter((given) => given !== undefined));
  await delay(delayMs, undefined, { signal }).catch(() => undefined);
}
