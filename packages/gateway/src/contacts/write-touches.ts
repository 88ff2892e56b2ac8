import { countInteractions, lockContactsOfAddresses } from "@tandem/assistant-statements";
import { newRequestId } from "@tandem/dbproxy";
import type { Logger } from "@tandem/rpc";
import { setTimeout as delay } from "node:timers/promises";
import { decideOnce } from "../authority/decide-once.ts";
import type { Decider } from "../authority/decider.ts";
import type { Deciding } from "../authority/deciding.ts";
import { step } from "../authority/declared-step.ts";
import type { TouchCount, TouchLimits } from "./touches.ts";

/** Writes a batch, once under its id. */
export type WriteTouches = (
  batch: readonly TouchCount[],
  options: {
    readonly requestId: string;
    /** Whether it was tried before: it may be written. */
    readonly again: boolean;
    readonly deadline: Date;
    readonly signal: AbortSignal;
  },
) => Promise<void>;

/** In whichever database decides, for the gateway itself. */
export function writeTouchesTo(deciding: Deciding): WriteTouches {
  return async (batch, { requestId, again, deadline, signal }) => {
    const types = batch.map(({ type }) => type);
    const addresses = batch.map(({ address }) => address);
    const counts = batch.map(({ count }) => count);
    const seenAt = batch.map((touched) => touched.seenAt);
    const steps = [
      step(lockContactsOfAddresses, { types, addresses }),
      step(countInteractions, { types, addresses, counts, seenAt }),
    ];
    const options = { caller: "gateway", requestId, deadline, signal };
    const write = (decider: Decider): Promise<unknown> => decider.write(steps, options);
    await (again ? decideOnce(deciding, write, options) : deciding.decide(write, options));
  };
}

/** Writes a batch, and again where that fails, so often as the limits say; then it is lost, and the log says so. */
export async function writeBatch(
  batch: readonly TouchCount[],
  options: {
    readonly write: WriteTouches;
    readonly logger: Logger;
    readonly limits: TouchLimits;
    /** Once it is aborted nothing is tried again. */
    readonly stopping: AbortSignal;
    /** Ends what runs. */
    readonly ended: AbortSignal;
  },
): Promise<void> {
  const { write, logger, limits, stopping, ended } = options;
  const requestId = newRequestId();
  for (let attempt = 1; ; attempt += 1) {
    try {
      const deadline = new Date(Date.now() + limits.writeTimeoutMs);
      return await write(batch, { requestId, again: attempt > 1, deadline, signal: ended });
    } catch (err) {
      const last = attempt >= limits.maxAttempts || stopping.aborted;
      const what = last ? "are lost" : "could not be written, and are tried again";
      logger.warn({ err, channels: batch.length, attempt }, `counted interactions ${what}`);
      if (last) return;
    }
    await delay(limits.retryMs, undefined, { signal: stopping }).catch(() => undefined);
  }
}
