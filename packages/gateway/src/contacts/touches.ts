import { type Logger, settlesWithin } from "@tandem/rpc";
import { writeBatch, type WriteTouches } from "./write-touches.ts";

/** An address that was in use. */
export interface TouchedAddress {
  readonly type: string;
  readonly address: string;
}

/** How often an address was used, and when last. */
export interface TouchCount extends TouchedAddress {
  readonly count: number;
  readonly seenAt: Date;
}

/**
 * Counts interactions in memory and writes them in batches. What is counted is lost where the process is killed, or
 * where it can't be written for long.
 */
export interface Touches extends AsyncDisposable {
  touch(address: TouchedAddress): void;
}

export interface TouchLimits {
  /** How long a count waits to be written, at most, while all is well. */
  readonly intervalMs: number;
  /** Addresses that are written together. */
  readonly maxBatch: number;
  /** Addresses that are counted at a time; beyond it those that are new are lost. */
  readonly maxHeld: number;
  /** How often a batch is tried before it is lost, and how long after a failure. */
  readonly maxAttempts: number;
  readonly retryMs: number;
  /** How long one try may take, and how long what is left when it ends. */
  readonly writeTimeoutMs: number;
  readonly stopTimeoutMs: number;
}

export const defaultTouchLimits: TouchLimits = {
  intervalMs: 1_000,
  maxBatch: 500,
  maxHeld: 10_000,
  maxAttempts: 5,
  retryMs: 2_000,
  writeTimeoutMs: 5_000,
  stopTimeoutMs: 3_000,
};

/** Whoever makes it disposes of it: what is counted by then is written, if it can be written soon. */
export function createTouches(options: {
  readonly write: WriteTouches;
  readonly logger: Logger;
  readonly limits?: Partial<TouchLimits>;
}): Touches {
  const { write, logger } = options;
  const limits = { ...defaultTouchLimits, ...options.limits };
  const stopping = new AbortController();
  const ended = new AbortController();
  let held = new Map<string, TouchCount>();
  let lost = 0;
  let timer: NodeJS.Timeout | undefined;
  let flushing: Promise<void> | undefined;

  const insist = { write, logger, limits, stopping: stopping.signal, ended: ended.signal };
  const flush = async (): Promise<void> => {
    const counted = [...held.values()];
    held = new Map();
    if (lost > 0) logger.warn({ interactions: lost }, "too many channels were in use: interactions are lost");
    lost = 0;
    for (let from = 0; from < counted.length; from += limits.maxBatch) {
      await writeBatch(counted.slice(from, from + limits.maxBatch), insist);
    }
  };
  const schedule = (): void => {
    if (flushing !== undefined || stopping.signal.aborted || held.size === 0) return;
    const restMs = held.size >= limits.maxBatch ? 0 : limits.intervalMs;
    clearTimeout(timer);
    timer = setTimeout(() => {
      flushing = flush().finally(() => {
        flushing = undefined;
        timer = undefined;
        schedule();
      });
    }, restMs).unref();
  };
  return {
    touch({ type, address }) {
      const key = `${type} ${address}`;
      const before = held.get(key);
      if (before === undefined && held.size >= limits.maxHeld) {
        lost += 1;
        return;
      }
      held.set(key, { type, address, count: (before?.count ?? 0) + 1, seenAt: new Date() });
      if (timer === undefined || (before === undefined && held.size === limits.maxBatch)) schedule();
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      clearTimeout(timer);
      const finish = async (): Promise<void> => {
        await flushing;
        await flush();
      };
      const done = await settlesWithin(finish(), limits.stopTimeoutMs);
      if (!done) logger.warn("what was counted last could not be written in time, and is lost");
      ended.abort();
    },
  };
}
